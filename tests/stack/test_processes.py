"""Several processes on one port: they share it, replace each other, and end together."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.processes import listeners
from runtime.settings import inherited_environment
from runtime.tasks import spawn, stop
from tests.process_group import Group, Load, alive, ask, begin_group, ready, total, under_load
from tests.until import until, until_async

pytestmark = pytest.mark.stack

Begin = Callable[..., Group]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    groups: list[Group] = []

    def begin(processes: int = 3, *, port: int = 0, **environment: str) -> Group:
        groups.append(begin_group(tmp_path, f"{len(groups)}", processes, port, **environment))
        return groups[-1]

    yield begin
    for group in groups:
        group.parent.stop()


# --- sharing


async def test_all_processes_share_the_port_and_answer(begin: Begin) -> None:
    group = begin(3)
    await ready(group)
    pids = {int(await ask(group.port)) for _ in range(60)}
    assert pids == group.children
    assert group.parent.pid not in pids


async def test_metrics_of_any_process_are_those_of_all(begin: Begin) -> None:
    group = begin(3)
    before = await ready(group)
    for _ in range(30):
        await ask(group.port)
    await until_async(lambda: all_pages_say(group.port, before + 30))


async def all_pages_say(port: int, number: float) -> bool:
    return {await total(port) for _ in range(12)} == {number}


async def test_no_process_leaves_a_core(begin: Begin) -> None:
    group = begin(2)
    await ready(group, 2)
    for pid in {group.parent.pid, *group.children}:
        assert re.search(r"^Max core file size +0 +0 ", limits(pid), re.MULTILINE)


def limits(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text(encoding="ascii")


async def test_a_port_in_use_is_not_joined(begin: Begin) -> None:
    group = begin(2)
    await ready(group, 2)
    second = begin(2, port=group.port)
    assert second.wait() == 3
    text = second.parent.command.log.read_text(encoding="utf-8")
    assert f"small: 127.0.0.1:{group.port} cannot be opened (Address already in use)" in text


def test_listeners_share_a_free_port() -> None:
    opened = listeners(3, "127.0.0.1", 0)
    try:
        assert len({one.getsockname() for one in opened}) == 1
    finally:
        for one in opened:
            one.close()


# --- dying


async def test_what_waits_for_a_process_that_dies_is_answered_by_the_next(begin: Begin) -> None:
    group = begin(3)
    await ready(group)
    victim = min(group.children)
    os.kill(victim, signal.SIGSTOP)
    asked = [spawn(ask(group.port), name=f"ask {number}") for number in range(60)]
    waiting: set[asyncio.Task[str]] = set()

    async def only_the_stopped_are_missing() -> bool:
        nonlocal waiting
        done, waiting = await asyncio.wait(asked, timeout=0.5)
        return len(await asyncio.gather(*done)) + len(waiting) == 60 and await quiet(waiting)

    await until_async(only_the_stopped_are_missing)
    assert waiting, "the kernel gave the stopped process nothing"
    os.kill(victim, signal.SIGKILL)
    answers = await asyncio.gather(*asked)
    assert all(answer.isdigit() for answer in answers), Counter(answers)
    assert str(victim) not in answers
    successor = {int(task.result()) for task in waiting}
    assert len(successor) == 1
    assert successor < group.children


async def quiet(waiting: set[asyncio.Task[str]]) -> bool:
    """Nobody else got an answer meanwhile."""
    done, _ = await asyncio.wait(waiting, timeout=0.5) if waiting else (set(), set())
    return not done


async def test_a_killed_process_under_load_is_replaced_and_nobody_is_refused(begin: Begin) -> None:
    group = begin(3)
    await ready(group)
    before = group.children
    victim = min(before)
    async with under_load(group.port, connections=4) as load:
        await until_async(lambda: answered(load, 100))
        os.kill(victim, signal.SIGKILL)
        await until_async(lambda: answered_by_others(load, before))
    # What it had accepted is lost with it, and not more: one request per connection at most.
    assert set(load.failed) <= {"reset", "closed"}
    assert sum(load.failed.values()) <= 4
    (line,) = group.told("process.ended")
    assert (line["pid"], line["code"], line["cause"]) == (victim, -signal.SIGKILL, "died")


async def answered(load: Load, times: int) -> bool:
    return sum(load.answers.values()) >= times


async def answered_by_others(load: Load, before: set[int]) -> bool:
    return bool(load.pids - before)


async def test_who_keeps_dying_is_given_growing_pauses(begin: Begin) -> None:
    group = begin(2)
    await ready(group, 2)
    for death in (1, 2, 3):
        os.kill(max(group.children), signal.SIGKILL)
        await until_async(lambda d=death: has_told(group, "process.restarts", d))  # type: ignore[misc]
        await until_async(lambda: has_two(group))
        await ready(group, 2)
    pauses = [line["seconds"] for line in group.told("process.restarts")]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0


async def test_nothing_waits_long_for_who_keeps_dying(begin: Begin) -> None:
    """The fifth pause is 4 s: meanwhile the other process has all of the port, and afterwards they share it again."""
    group = begin(2)
    await ready(group, 2)
    steady = min(group.children)
    for death in (1, 2, 3, 4, 5):
        os.kill(max(group.children - {steady}), signal.SIGKILL)
        await until_async(lambda d=death: has_told(group, "process.restarts", d))  # type: ignore[misc]
        if death < 5:
            await until_async(lambda: has_two(group))
    assert {await ask(group.port, within=3) for _ in range(40)} == {str(steady)}
    await ready(group, 2)


async def has_two(group: Group) -> bool:
    return len(group.children) == 2


async def test_counts_never_fall_while_processes_are_replaced(begin: Begin) -> None:
    group = begin(3)
    await ready(group)
    seen: list[float] = []

    async def watch() -> None:
        while True:
            seen.append(await total(group.port))

    before = group.children
    watching = spawn(watch(), name="watch", on_death=lambda error: seen.append(-1))
    async with under_load(group.port) as load:
        for victim in sorted(before)[:2]:
            # Not kill -9: a page that its death cuts off would end the watching.
            os.kill(victim, signal.SIGTERM)
            await until_async(lambda v=victim: replaced(group, v))  # type: ignore[misc]
            await ready(group)
        group.signal(signal.SIGHUP)
        await until_async(lambda: answered_by_all_new(load, group, before))
    await stop(watching)
    assert load.failed == {}
    assert len(seen) > 20
    assert seen == sorted(seen)
    (folder,) = group.folders
    await asyncio.to_thread(until, lambda: len(list(folder.glob("*.state"))) == 3)


async def replaced(group: Group, victim: int) -> bool:
    return victim not in group.children and len(group.children) == 3


async def answered_by_all_new(load: Load, group: Group, before: set[int]) -> bool:
    return len(group.told("process.ended")) == 5 and len(load.pids - before) >= 3


# --- replacing


async def test_sighup_replaces_all_and_no_request_fails(begin: Begin) -> None:
    group = begin(3)
    await ready(group)
    before = group.children
    async with under_load(group.port, connections=6) as load:
        await until_async(lambda: answered(load, 50))
        group.signal(signal.SIGHUP)
        await until_async(lambda: rolled(group, before))
        load_since = Counter(load.answers)
        await until_async(lambda: answered(load, sum(load_since.values()) + 50))
    assert load.failed == {}
    assert [line["code"] for line in group.told("process.ended")] == [0, 0, 0]


async def rolled(group: Group, before: set[int]) -> bool:
    return not (group.children & before) and len(group.children) == 3


# --- ending


async def test_sigterm_lets_requests_finish_and_ends_with_0(begin: Begin) -> None:
    group = begin(2)
    await ready(group, 2)
    slow = [spawn(ask(group.port, "/?wait=1.5"), name=f"slow {number}") for number in range(6)]
    await until_async(lambda: connected(group.port, 6))
    group.signal(signal.SIGTERM)
    await until_async(lambda: refused(group.port))
    assert all(answer.isdigit() for answer in await asyncio.gather(*slow))
    assert await asyncio.to_thread(group.wait) == 0
    assert group.folders == []


async def connected(port: int, count: int) -> bool:
    """The kernel's table of connections: `count` are established on the servers' side."""
    rows = [row.split() for row in connections_of_this_machine()]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows) >= count


def connections_of_this_machine() -> list[str]:
    return Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]


async def refused(port: int) -> bool:
    return await ask(port) == "refused"


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_draining_process_says_that_it_is_not_ready(begin: Begin, processes: int) -> None:
    """On a connection that is open: new ones are refused."""
    group = begin(processes)
    await ready(group, processes)
    reader, writer = await asyncio.open_connection("127.0.0.1", group.port)
    assert await status(reader, writer, "/readyz") == 200
    group.signal(signal.SIGTERM)
    statuses: list[int] = []
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            statuses.append(await status(reader, writer, "/readyz"))
    writer.close()
    assert 503 in statuses
    assert statuses == sorted(statuses)
    assert await asyncio.to_thread(group.wait) == 0


async def status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> int:
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split()[1])


async def test_who_does_not_finish_in_time_is_cut_off(begin: Begin) -> None:
    group = begin(2, DRAIN_SECONDS="1")
    await ready(group, 2)
    endless = spawn(ask(group.port, "/?wait=600"), name="endless")
    await until_async(lambda: connected(group.port, 1))
    group.signal(signal.SIGINT)
    assert await asyncio.to_thread(group.wait) == 0
    assert await endless in ("reset", "closed", "HTTP/1.1 500")


async def test_who_does_not_even_end_is_killed(begin: Begin) -> None:
    group = begin(2, DRAIN_SECONDS="0.1")
    await ready(group, 2)
    stuck = min(group.children)
    os.kill(stuck, signal.SIGSTOP)
    group.signal(signal.SIGTERM)
    assert await asyncio.to_thread(group.wait) == 1
    assert [line["pid"] for line in group.told("process.late")] == [stuck]


async def test_a_killed_parent_takes_its_processes_with_it(begin: Begin) -> None:
    group = begin(3)
    await ready(group)
    pids = group.children
    slow = spawn(ask(group.port, "/?wait=1"), name="slow")
    await until_async(lambda: connected(group.port, 1))
    os.kill(group.parent.pid, signal.SIGKILL)
    assert (await slow).isdigit()
    await asyncio.to_thread(until, lambda: not alive(pids))


def test_a_process_whose_parent_has_gone_does_not_begin() -> None:
    with socket.socket() as listener:
        reads, writes = os.pipe()
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "tests.small_program"),
                *("--child", "1", str(listener.fileno()), str(writes), "/tmp"),
            ],
            pass_fds=(listener.fileno(), writes),
            env={**inherited_environment(), "PROFILE": "sandbox"},
            timeout=60,
            check=False,
        )
        os.close(reads)
        os.close(writes)
    assert ended.returncode == 113


# --- a group that cannot start


def test_the_first_process_speaks_for_all(begin: Begin, tmp_path: Path) -> None:
    """One sentence, not one per process; and the code that a single process would end with."""
    marker = tmp_path / "broken"
    marker.touch()
    group = begin(3, KILL_SWITCH_FILE=str(marker))
    assert group.wait() == 2
    text = group.parent.command.log.read_text(encoding="utf-8")
    assert text.count("small: this program is broken") == 1
    assert len(group.told("process.started")) == 1


async def test_a_release_that_cannot_start_replaces_nobody(begin: Begin, tmp_path: Path) -> None:
    marker = tmp_path / "broken"
    group = begin(2, KILL_SWITCH_FILE=str(marker))
    await ready(group, 2)
    before = group.children
    marker.touch()
    async with under_load(group.port) as load:
        group.signal(signal.SIGHUP)
        await until_async(lambda: has_told(group, "processes.not_replaced", 1))
    assert load.failed == {}
    assert group.children == before


async def has_told(group: Group, event: str, times: int) -> bool:
    return len(group.told(event)) == times
