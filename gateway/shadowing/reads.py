"""`ShadowReads`: which answers are compared, and how many at once; what is too much is shed and counted, never waited for."""

import asyncio
from typing import Final

import structlog

from catalog.stage import Side
from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.overload import Overload
from gateway.shadowing.counts import Counts
from gateway.shadowing.judge import Judge
from gateway.shadowing.pair import Pair
from gateway.shadowing.reading import Reading
from gateway.shadowing.room import Room
from gateway.shadowing.sides import ALONE, NotAnswered, Sides
from gateway.shadowing.told import Told
from routes.match import match
from runtime.tasks import spawn, stop
from shadow.pair import Reason, said_nothing
from shadow.sampling import sampled

log = structlog.get_logger("shadow")

GATHER_SECONDS: Final = 0.01
"""Nobody waits for a shadow read, so several begin together: one by one between callers' requests, each finds the processor's caches
full of other things, which makes it a third dearer."""
MOST_WAITING: Final = 256
_NOISE: Final = b"noise"


class ShadowReads:
    """One per process. `share`: of the reads that may be compared, 0 to 1; `noise_share`: for how many of those legacy is asked
    twice and compared with itself."""

    def __init__(
        self,
        sides: Sides,
        judge: Judge,
        counts: Counts,
        room: Room,
        overload: Overload,
        *,
        share: float,
        noise_share: float,
    ) -> None:
        self._sides = sides
        self._judge = judge
        self._counts = counts
        self._room = room
        self._overload = overload
        self.share = share
        self.noise_share = noise_share
        self._queue: list[tuple[Request, Facts, Told]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._kept = room.keep  # bound once
        self._ended = self._answered

    @property
    def waiting(self) -> int:
        """Answers behind which nobody has been asked yet, and questions to legacy."""
        return len(self._queue) + len(self._tasks)

    def takes(self, correlation_id: str) -> bool:
        """Whether this read is of the sample."""
        return self.share >= 1.0 or (self.share > 0.0 and sampled(correlation_id, self.share))

    def begin(self, request: Request, facts: Facts, told: Told) -> None:
        """The caller has their answer. What comes now comes behind all answers of the next GATHER_SECONDS."""
        if self._stopped:
            return
        if len(self._queue) >= MOST_WAITING:
            self._counts.shed("in_flight")
            return
        if not self._queue:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._begin_waiting)
        self._queue.append((request, facts, told))

    async def stop(self) -> None:
        """Take no more, and end what is under way in tasks."""
        self._stopped = True
        await stop(*self._tasks)

    def _begin_waiting(self) -> None:
        waiting, self._queue = self._queue, []
        for request, facts, told in waiting:
            try:
                self._begin(request, facts, told)
            except Exception:  # callers have long been answered; the other pairs still wait
                log.exception("shadow.failed", correlation_id=facts.correlation_id)

    def _begin(self, request: Request, facts: Facts, told: Told) -> None:
        plan, found = facts.compared, match(request.path)
        assert plan is not None  # noqa: S101 - the pipeline has set it
        assert found is not None  # noqa: S101 - and found the route
        candidate = plan.side.other
        cell = self._counts.cell(found.resource, facts, candidate, noise=False)
        if said_nothing(told.status):
            self._counts.inconclusive(cell, Reason.PRIMARY_FAILED)
        elif not told.whole:
            self._counts.inconclusive(cell, Reason.TRUNCATED)
        elif facts.side == candidate.value:
            self._counts.inconclusive(cell, Reason.FELL_BACK)
        else:
            pair = Pair(request, found, facts, plan, candidate, told, cell)
            if candidate is Side.LEGACY:
                self._ask(pair, and_again=self._samples_noise(facts))
                return
            self._read(pair)
            if self._samples_noise(facts):
                self._ask(self._noise(pair, told))

    def _samples_noise(self, facts: Facts) -> bool:
        share = self.noise_share
        return share > 0.0 and sampled(facts.correlation_id, share, what=_NOISE)

    def _noise(self, pair: Pair, legacy: Told) -> Pair:
        """Legacy against itself: `legacy` is what it has said."""
        cell = self._counts.cell(pair.found.resource, pair.facts, Side.LEGACY, noise=True)
        return Pair(
            pair.request, pair.found, pair.facts, ALONE[Side.LEGACY], Side.LEGACY, legacy, cell
        )

    def _takes(self, pair: Pair) -> bool:
        if self._overload.shedding.share:
            self._counts.shed("overload")
            return False
        return self._room.take(pair)

    def _read(self, pair: Pair) -> None:
        """A service, by callbacks."""
        if self._takes(pair):
            try:
                Reading(pair, self._sides, self._kept, self._ended).begin()
            except BaseException:
                self._room.leave(pair)
                raise

    def _answered(self, pair: Pair, told: Told | None) -> None:
        """A mistake of ours costs this pair, not its room for ever."""
        try:
            self._judge.judge(pair, told)
        except Exception:
            log.exception("shadow.failed", correlation_id=pair.facts.correlation_id)
            self._counts.shed("failed")
            self._room.leave(pair)

    def _ask(self, pair: Pair, *, and_again: bool = False) -> None:
        """Legacy, in a task. `and_again`: what it says is compared with what it says a second time."""
        if self._takes(pair):
            task = spawn(self._asked(pair, and_again), name="shadow.legacy")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _asked(self, pair: Pair, and_again: bool) -> None:
        told = None
        try:
            told = await self._sides.ask(ALONE[Side.LEGACY], pair)
            self._room.keep(pair, told.size)
        except NotAnswered:
            pass
        except BaseException:
            self._room.leave(pair)
            raise
        self._answered(pair, told)
        if and_again and told is not None and told.whole and not said_nothing(told.status):
            self._ask(self._noise(pair, told))
