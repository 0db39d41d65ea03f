"""The loop of a world: its clock jumps, and whoever waits for nothing is named."""

import asyncio
import itertools
import time

import pytest

from runtime.tasks import spawn
from tests.simulation.clock import Deadlock, Livelock, run

pytestmark = pytest.mark.unit


def test_hours_pass_at_once_and_in_order():
    heard: list[tuple[str, float]] = []

    async def at(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        heard.append((name, asyncio.get_running_loop().time()))

    async def three() -> None:
        await asyncio.gather(at("late", 7200.0), at("soon", 0.5), at("also", 0.5))

    began = time.monotonic()
    run(three())
    assert heard == [("soon", 0.5), ("also", 0.5), ("late", 7200.0)]
    assert time.monotonic() - began < 60


def test_a_timeout_is_the_virtual_clocks():
    async def late() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await asyncio.sleep(6.0)
        return asyncio.get_running_loop().time()

    assert run(late()) == 5.0


def test_tasks_that_nobody_will_wake_are_named():
    async def forever() -> None:
        spawn(asyncio.Event().wait(), name="sleeping beauty")
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="sleeping beauty"):
        run(forever())


def test_a_task_that_never_waits_is_found():
    async def busy() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    with pytest.raises(Livelock):
        run(busy())


def test_what_is_left_is_cancelled():
    ended: list[str] = []

    async def left() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("left")

    async def main() -> None:
        spawn(left(), name="left")
        await asyncio.sleep(1.0)

    run(main())
    assert ended == ["left"]
