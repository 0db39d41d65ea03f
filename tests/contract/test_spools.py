"""What a spool promises, of the one on disk and of the one in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.eventlog.errors import LogUnavailable
from runtime.eventlog.protocol import Message
from runtime.spool import Spool, SpoolFailed
from tests.fakes.memory_spool import Disk, MemorySpool

pytestmark = pytest.mark.contract

Make = Callable[[], Any]


@pytest.fixture(params=["disk", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Spools of several processes of one machine."""
    disk = Disk()
    return lambda: Spool(tmp_path) if request.param == "disk" else MemorySpool(disk)


class Log:
    """It takes so many calls, and is away then."""

    def __init__(self, takes: int = 1000) -> None:
        self.takes = takes
        self.heard: list[bytes] = []

    async def append(self, messages: Sequence[Message]) -> None:
        if self.takes == 0:
            raise LogUnavailable("away")
        self.takes -= 1
        self.heard += [one.value for one in messages]


def message(value: bytes) -> Message:
    return Message(topic="mirror", key=b"k", value=value)


async def test_what_is_put_is_brought_in_order_and_once(make: Make) -> None:
    spool, log = make(), Log()
    for value in (b"1", b"2", b"3"):
        await spool.put(message(value))
    assert spool.waiting == 3
    assert await spool.replay(log.append) == 3
    assert (log.heard, spool.waiting) == ([b"1", b"2", b"3"], 0)
    assert await spool.replay(log.append) == 0
    spool.close()


async def test_what_the_log_does_not_take_waits_on(make: Make) -> None:
    spool, log = make(), Log(takes=0)
    await spool.put(message(b"1"))
    with pytest.raises(LogUnavailable):
        await spool.replay(log.append)
    assert spool.waiting == 1
    log.takes = 1
    assert await spool.replay(log.append) == 1
    spool.close()


async def test_what_the_dead_left_is_brought_by_the_living(make: Make) -> None:
    dead, living, log = make(), make(), Log()
    await dead.put(message(b"1"))
    assert await living.replay(log.append) == 0
    dead.close()
    assert await living.replay(log.append) == 1
    assert await living.replay(log.append) == 0
    assert log.heard == [b"1"]
    living.close()


async def test_what_is_put_behind_a_replay_waits_for_the_next(make: Make) -> None:
    spool, log = make(), Log()
    for value in (b"1", b"2"):
        await spool.put(message(value))
        assert await spool.replay(log.append) == 1
    assert log.heard == [b"1", b"2"]
    spool.close()


async def test_a_full_disk_takes_nothing() -> None:
    spool = MemorySpool(Disk(lambda: True))
    with pytest.raises(SpoolFailed):
        await spool.put(message(b"1"))
    assert spool.waiting == 0
