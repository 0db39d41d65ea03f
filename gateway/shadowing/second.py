"""`SecondReadings`: a pair that may have differed by lag alone is read once more on both sides, when the lag window has passed
(shadow/lag.py)."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.shadowing.comparator import Compares
from gateway.shadowing.counts import Counts
from gateway.shadowing.pair import Pair
from gateway.shadowing.room import Room
from gateway.shadowing.sides import ALONE, NotAnswered, Sides
from gateway.shadowing.told import Told
from gateway.shadowing.wire import Done
from runtime.tasks import spawn, stop
from shadow.finding import Finding
from shadow.lag import persisting
from shadow.pair import Reason, Result, said_nothing
from shadow.tally import Counted
from shadow.verdict import WHOLE

MOST = 256
"""Waiting at once; they hold no bodies."""


class SecondReadings:
    """`window` in seconds; `clock`: seconds since 1970."""

    def __init__(
        self,
        sides: Sides,
        comparator: Compares,
        counts: Counts,
        room: Room,
        *,
        window: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sides = sides
        self._comparator = comparator
        self._counts = counts
        self._room = room
        self._window = window
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        return len(self._tasks)

    def begin(self, pair: Pair, first: Sequence[Finding]) -> None:
        if len(self._tasks) >= MOST:
            self._counts.shed("second_reading")
            self._counts.inconclusive(pair.cell, Reason.LAG)
            return
        task = spawn(self._read(pair, first), name="shadow.second")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        await stop(*self._tasks)

    async def _read(self, pair: Pair, first: Sequence[Finding]) -> None:
        pair.primary = Told(0, b"", b"")  # the first answer is not kept for as long as this takes
        await asyncio.sleep(self._window)
        standing = None
        if self._room.take(pair):
            try:
                standing = await self._standing(pair, first)
            finally:
                self._room.leave(pair)
        if standing is None:
            self._counts.inconclusive(pair.cell, Reason.LAG)
        else:
            self._counts.mismatch(pair.cell, pair.facts, *standing)

    async def _standing(
        self, pair: Pair, first: Sequence[Finding]
    ) -> tuple[Counted, Sequence[Finding]] | None:
        """What the second reading is sure of; None: nothing."""
        try:
            primary, candidate = await asyncio.gather(
                self._sides.ask(pair.plan, pair), self._sides.ask(ALONE[pair.candidate], pair)
            )
        except NotAnswered:
            return None
        self._room.keep(pair, primary.size + candidate.size)
        if said_nothing(primary.status) or not (primary.whole and candidate.whole):
            return None
        done = await self._compared(pair, primary, candidate)
        if done is None or done.counted is None or done.counted.result is not Result.MISMATCH:
            return None
        left = persisting(first, done.findings, self._clock(), self._window)
        if not any(finding.decides for finding in left):
            return None
        kinds = frozenset((one.evidence.field or WHOLE, one.evidence.kind) for one in left)
        return replace(done.counted, kinds=kinds), left

    async def _compared(self, pair: Pair, primary: Told, candidate: Told) -> Done | None:
        if primary.is_same(candidate):
            return None
        done: asyncio.Future[Done | None] = asyncio.get_running_loop().create_future()

        def tell(found: Done | None) -> None:
            if not done.done():
                done.set_result(found)

        if not self._comparator.submit(self._sides.question(pair), primary, candidate, tell):
            return None
        return await done
