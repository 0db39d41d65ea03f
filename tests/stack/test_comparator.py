"""The comparator's process says what the comparison in this process says, and its death costs what it had and nothing else."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.shadowing import comparator as module
from gateway.shadowing.comparator import MOST_BYTES, MOST_PAIRS, Comparator, Compares
from gateway.shadowing.told import LARGEST, Told
from gateway.shadowing.wire import Done, Keys, Question
from runtime.sealed import Sealer
from shadow.pair import Result
from tests.fakes.direct_comparator import DirectComparator
from tests.fakes.keys import key_setting, keyring
from tests.until import until, until_async

pytestmark = pytest.mark.stack

KEYS = Keys(evidence=key_setting("e1"), field=key_setting("f1"), log_level="info")
ROW = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
ITEM = Question(correlation_id="0000-compare", resource="/compliance", staff=True, listed=False)
BODY: dict[str, Any] = {
    "id": ROW, "submission_id": None, "task_type": "identity_check", "status": "completed", "title": "Quickwater",
    "description": None, "is_blocking": False, "priority": 3, "assignee_id": None, "due_at": None,
    "completed_at": None, "completed_by": None, "metadata": {}, "created_at": "2024-01-01T00:00:00+00:00",
    "updated_at": "2024-01-02T00:00:00+00:00",
}  # fmt: skip


def told(body: Any) -> Told:
    one = Told(200, b"application/json", b'"1"')
    one.take(body if isinstance(body, bytes) else json.dumps(body).encode())
    return one


@pytest.fixture
async def process() -> AsyncIterator[Comparator]:
    one = Comparator(KEYS)
    await one.start()
    await until_async(lambda: running(one))
    yield one
    await one.stop()


async def running(one: Comparator) -> bool:
    return one.pid is not None


def nice_value(stat: Path) -> int | None:
    """Of /proc/<pid>/stat; None if there is no such process."""
    try:
        return int(stat.read_text().rpartition(")")[2].split()[16])
    except FileNotFoundError:
        return None


class Answers(list[Done | None]):
    """What was told of the pairs that were sent."""

    async def all_of(self, count: int) -> None:
        async def there() -> bool:
            return len(self) >= count

        await until_async(there)


def send(one: Compares, answers: Answers, *bodies: Any) -> bool:
    primary, candidate = map(told, bodies)
    return one.submit(ITEM, primary, candidate, answers.append)


@pytest.mark.parametrize(
    "candidate",
    [
        {**BODY, "title": "other"},
        {**BODY, "updated_at": "2024-01-02T00:00:00Z"},
        {"id": ROW},
        [BODY],
        b"\xff\x00",
        b'{"id": NaN}',
        b'{"a":' * 500,
        b"[" * LARGEST,
    ],
    ids=["value", "spelling", "missing", "list", "bytes", "nan", "deep", "deeper"],
)
async def test_both_say_the_same(process: Comparator, candidate: Any) -> None:
    answers = Answers()
    for one in (DirectComparator(), process):
        assert send(one, answers, BODY, candidate)
        await answers.all_of(1 if isinstance(one, DirectComparator) else 2)
    direct, other = answers
    assert direct is not None
    assert other is not None
    assert direct.counted == other.counted
    assert [(f.evidence, f.changed_at) for f in direct.findings] == [
        (f.evidence, f.changed_at) for f in other.findings
    ]
    assert "Quickwater" not in repr(other)


def test_it_takes_pairs_in_the_event_loop_that_gateways_run_in() -> None:
    async def compared() -> Done | None:
        process, answers = Comparator(KEYS), Answers()
        await process.start()
        try:
            await until_async(lambda: running(process))
            send(process, answers, BODY, {**BODY, "title": "other"})
            await answers.all_of(1)
        finally:
            await process.stop()
        return answers[0]

    done = uvloop.run(compared())
    assert done is not None
    assert done.counted is not None
    assert done.counted.result is Result.MISMATCH


async def test_a_rows_key_is_sealed_and_opens_with_the_request(process: Comparator) -> None:
    answers = Answers()
    send(process, answers, BODY, {**BODY, "title": "other"})
    await answers.all_of(1)
    assert answers[0] is not None
    [finding] = answers[0].findings
    opened = Sealer(keyring("f1")).open(
        finding.key, entity="compliance_tasks", key="0000-compare", version="shadow"
    )
    assert json.loads(opened) == [ROW]


async def test_what_waits_is_bounded(process: Comparator) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    answers = Answers()
    taken = 0
    while send(process, answers, BODY, {**BODY, "title": "other"}):
        taken += 1
    assert taken == MOST_PAIRS
    os.kill(process.pid, signal.SIGCONT)
    await answers.all_of(taken)
    assert (process.pairs, process.bytes) == (0, 0)
    assert {done.counted.result for done in answers if done and done.counted} == {Result.MISMATCH}


async def test_bytes_that_wait_are_bounded(process: Comparator) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    answers, large = Answers(), {**BODY, "title": "x" * (LARGEST - 2_000)}
    taken = 0
    while send(process, answers, large, {**large, "title": "y"}):
        taken += 1
    assert taken * LARGEST > MOST_BYTES * 0.9
    assert process.bytes <= MOST_BYTES
    os.kill(process.pid, signal.SIGCONT)
    await answers.all_of(taken)


async def test_a_killed_process_loses_what_it_had_and_comes_again(process: Comparator) -> None:
    assert process.pid is not None
    first = process.pid
    os.kill(first, signal.SIGSTOP)
    answers = Answers()
    for _ in range(5):
        send(process, answers, BODY, {**BODY, "title": "other"})
    os.kill(first, signal.SIGKILL)
    await answers.all_of(5)
    assert answers == [None] * 5
    await until_async(lambda: running(process))
    assert process.pid != first
    again = Answers()
    send(process, again, BODY, BODY)
    await again.all_of(1)
    assert again[0] is not None


async def test_a_process_that_hangs_is_killed(
    process: Comparator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOWEST_SECONDS", 0.2)
    assert process.pid is not None
    first = process.pid
    os.kill(first, signal.SIGSTOP)
    answers = Answers()
    send(process, answers, BODY, {**BODY, "title": "other"})
    await answers.all_of(1)
    assert answers == [None]

    async def another() -> bool:
        return process.pid not in (None, first)

    await until_async(another)


async def test_whoever_cannot_be_started_takes_nothing_and_is_tried_again() -> None:
    one = Comparator(KEYS, argv=[sys.executable, "-c", "raise SystemExit(1)"])
    await one.start()

    async def twice() -> bool:
        return one.starts >= 2

    await until_async(twice)
    answers = Answers()
    if send(one, answers, BODY, {**BODY, "title": "other"}):  # it has not been seen to end yet
        await answers.all_of(1)
        assert answers == [None]
    await one.stop()


async def test_it_gives_way_and_ends_with_its_gateway(process: Comparator) -> None:
    assert process.pid is not None
    stat = Path(f"/proc/{process.pid}/stat")

    async def gives_way() -> bool:
        return nice_value(stat) == 10

    async def gone() -> bool:
        return nice_value(stat) is None

    await until_async(gives_way)
    await process.stop()
    await until_async(gone)


_GATEWAY = """
import asyncio
from gateway.shadowing.comparator import Comparator
from tests.stack.test_comparator import KEYS

async def main():
    one = Comparator(KEYS)
    await one.start()
    while one.pid is None:
        await asyncio.sleep(0.02)
    print(one.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_it_ends_with_a_gateway_that_is_killed() -> None:
    gateway = subprocess.Popen([sys.executable, "-c", _GATEWAY], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    stat = Path(f"/proc/{int(gateway.stdout.readline())}/stat")
    assert nice_value(stat) is not None
    gateway.kill()
    gateway.wait()
    gateway.stdout.close()
    until(lambda: nice_value(stat) is None)
