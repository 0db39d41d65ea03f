"""Lanes: beside each other, each one batch at a time."""

import asyncio
from collections.abc import Sequence

import pytest

from migration.lanes import Lanes

pytestmark = pytest.mark.unit


class Work:
    """Each batch waits until its lane may go on."""

    def __init__(self) -> None:
        self.done: list[tuple[str, list[int]]] = []
        self.gates: dict[str, asyncio.Semaphore] = {
            lane: asyncio.Semaphore(0) for lane in ("a", "b")
        }

    async def __call__(self, lane: str, batch: Sequence[int]) -> None:
        await self.gates[lane].acquire()
        if 13 in batch:
            raise ValueError
        self.done.append((lane, list(batch)))


async def test_a_lane_that_waits_holds_up_no_other_and_gathers() -> None:
    work = Work()
    lanes: Lanes[str, int] = Lanes(work, most=2)
    lanes.add("a", {"1": 1})
    await asyncio.sleep(0)
    lanes.add("a", {"2": 2, "3": 3})
    lanes.add("a", {"2": 20, "4": 4})
    lanes.add("b", {"5": 5})
    lanes.add("b", {})
    await asyncio.sleep(0)
    assert len(lanes) == 3
    work.gates["b"].release()
    await asyncio.sleep(0.01)
    assert work.done == [("b", [5])]
    for _ in range(3):
        work.gates["a"].release()
    await lanes.drain()
    assert work.done[1:] == [("a", [1]), ("a", [20, 3]), ("a", [4])]
    assert len(lanes) == 0


async def test_what_a_batch_raises_is_the_end() -> None:
    work = Work()
    lanes: Lanes[str, int] = Lanes(work, most=2)
    work.gates["a"].release()
    lanes.add("a", {"13": 13})
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        await lanes.drain()
    with pytest.raises(ValueError):  # noqa: PT011
        lanes.add("b", {"1": 1})
