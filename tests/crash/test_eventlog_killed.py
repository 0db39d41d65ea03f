"""kill -9 of the event log's server and of its consumers: what was acknowledged is there, and every entry takes effect in order."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.own_valkey import OwnValkey, own_valkey
from runtime.eventlog.errors import LogUnavailable
from runtime.eventlog.protocol import BEGINNING, Message
from runtime.eventlog.redis_log import RedisLog
from tests.crash.consuming import GROUP, TOPIC
from tests.patient import patient
from tests.until import until

pytestmark = pytest.mark.crash

SERVER_KILLS = 10
CONSUMER_KILLS = 3
WRITERS = 8
KEYS = 30
ENTRIES = 8_000
PROGRAM = Path(__file__).parent / "consuming.py"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    with own_valkey(tmp_path / "valkey") as started:
        yield started


# ---- the server


async def acknowledged(valkey: OwnValkey, seed: int, *, answer_first: bool = False) -> set[bytes]:
    """What writers were told to be durable before the server was killed, after a random number of answers."""
    kill_at = random.Random(seed).randrange(1, 3_000)
    told: set[bytes] = set()

    async def write(log: RedisLog, writer: int) -> None:
        number = 0
        while True:
            value = b"%d-%d" % (writer, number)
            if answer_first:
                told.add(value)
            await log.append(TOPIC, b"key %d" % (number % KEYS), value)
            told.add(value)
            number += 1
            if len(told) == kill_at:
                valkey.kill()

    log = RedisLog(valkey.url)
    await log.create(TOPIC)
    ends = await asyncio.gather(*(write(log, n) for n in range(WRITERS)), return_exceptions=True)
    await log.close()
    assert all(isinstance(end, LogUnavailable) for end in ends)
    assert len(told) >= kill_at
    return told


async def kept(valkey: OwnValkey) -> list[bytes]:
    log = RedisLog(valkey.url)
    found = [
        entry.value
        for partition in range(len(await log.end(TOPIC)))
        for entry in await log.read(TOPIC, {partition: BEGINNING}, limit=100_000)
    ]
    await log.close()
    return found


@pytest.mark.parametrize("seed", range(SERVER_KILLS))
async def test_what_was_acknowledged_is_there(valkey: OwnValkey, seed: int) -> None:
    told = await acknowledged(valkey, seed)
    valkey.start()
    found = await kept(valkey)
    assert told <= set(found)
    assert len(found) == len(set(found))


async def test_a_writer_that_is_answered_first_is_found_out(valkey: OwnValkey) -> None:
    """Else the test above would show nothing."""
    told = await acknowledged(valkey, 1, answer_first=True)
    valkey.start()
    assert not told <= set(await kept(valkey))


# ---- the consumers


@contextmanager
def consuming(valkey: OwnValkey, effects: Path, *mode: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(PROGRAM), valkey.url, str(effects), *mode]
    with subprocess.Popen(command, cwd=PROGRAM.parents[2]) as process:
        try:
            yield process
        finally:
            process.kill()


async def create(valkey: OwnValkey) -> None:
    log = RedisLog(valkey.url)
    await log.create(TOPIC)
    await log.close()


async def holders(valkey: OwnValkey) -> dict[int, int]:
    """Process -> how many partitions it holds."""
    client = patient(valkey.url)
    tokens: list[Any] = [
        await client.get(key) async for key in client.scan_iter(f"*:lease:{GROUP}:*")
    ]
    await client.aclose()
    return Counter(int(token.partition(b"~")[0]) for token in tokens if token is not None)


async def fill(valkey: OwnValkey) -> None:
    log = RedisLog(valkey.url)
    await log.create(TOPIC)
    await log.append_many(
        [
            Message(topic=TOPIC, key=b"%d" % (number % KEYS), value=b"%d" % number)
            for number in range(ENTRIES)
        ]
    )
    await log.close()


async def lag(valkey: OwnValkey) -> int:
    log = RedisLog(valkey.url)
    behind = sum(await log.lag(GROUP, TOPIC))
    await log.close()
    return behind


def first_effects(effects: Path) -> list[tuple[int, int]]:
    """Key and value of every entry, where it first took effect."""
    lines = effects.read_bytes().splitlines() if effects.exists() else []
    pairs = [tuple(map(int, line.split())) for line in lines]
    return list(dict.fromkeys((key, value) for key, value in pairs))


def in_order(pairs: list[tuple[int, int]]) -> bool:
    return all(
        values == sorted(values)
        for key in range(KEYS)
        if (values := [value for other, value in pairs if other == key])
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("seed", range(CONSUMER_KILLS))
def test_every_entry_takes_effect_in_order(
    valkey: OwnValkey, tmp_path: Path, seed: int, how: signal.Signals
) -> None:
    """One of two is killed, or stands still and goes on when the other has taken over."""
    asyncio.run(create(valkey))
    effects = tmp_path / "effects"
    hit_at = random.Random(seed).randrange(1, ENTRIES // 4)
    with consuming(valkey, effects) as victim, consuming(valkey, effects) as other:
        until(lambda: asyncio.run(holders(valkey)) == {victim.pid: 4, other.pid: 4})
        asyncio.run(fill(valkey))
        until(lambda: len(first_effects(effects)) >= hit_at)
        victim.send_signal(how)
        assert asyncio.run(lag(valkey)) > 0, "it had nothing left to do"
        until(lambda: len(first_effects(effects)) == ENTRIES)
        victim.send_signal(signal.SIGCONT)
        until(lambda: asyncio.run(lag(valkey)) == 0)
    assert in_order(first_effects(effects))


def test_a_program_that_commits_first_is_found_out(valkey: OwnValkey, tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    asyncio.run(fill(valkey))
    effects = tmp_path / "effects"
    for kills in range(1, 50):
        with consuming(valkey, effects, "commit-first") as victim:
            until(lambda: len(first_effects(effects)) >= 50 * kills)  # noqa: B023 - called here
            victim.kill()
            victim.wait()
        if asyncio.run(lag(valkey)) + len(first_effects(effects)) < ENTRIES:
            return
    pytest.fail("nothing was skipped")
