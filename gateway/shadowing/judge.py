"""`Judge`: two answers to one question, and what becomes of the pair.

Equal bytes are equal: that is found here, whatever their length, since it takes a tenth of what sending them elsewhere does.
Everything else goes to the comparator.
"""

import time
from collections.abc import Callable

from gateway.shadowing.comparator import Compares
from gateway.shadowing.counts import Counts
from gateway.shadowing.pair import Pair
from gateway.shadowing.room import Room
from gateway.shadowing.second import SecondReadings
from gateway.shadowing.sides import Sides
from gateway.shadowing.told import Told
from gateway.shadowing.wire import Done
from shadow.lag import certain
from shadow.pair import Reason, Result, said_nothing


class Judge:
    """`clock`: seconds since 1970; `window`: how far one side may be behind the other, in seconds."""

    def __init__(
        self,
        sides: Sides,
        comparator: Compares,
        counts: Counts,
        room: Room,
        second: SecondReadings,
        *,
        window: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sides = sides
        self._comparator = comparator
        self._counts = counts
        self._room = room
        self._second = second
        self._window = window
        self._clock = clock

    def judge(self, pair: Pair, candidate: Told | None) -> None:
        """`candidate` None: it has not answered. The pair leaves the room when it is judged."""
        cell, counts = pair.cell, self._counts
        if candidate is None or said_nothing(candidate.status):
            counts.inconclusive(cell, Reason.CANDIDATE_FAILED)
        elif not candidate.whole:
            counts.inconclusive(cell, Reason.TRUNCATED)
        else:
            counts.took(cell, pair.primary.seconds, candidate.seconds)
            if pair.primary.is_same(candidate):
                counts.equal(cell, has_rows=candidate.has_rows)
            elif self._send(pair, candidate):
                return
            else:
                counts.shed("comparator")
        self._room.leave(pair)

    def _send(self, pair: Pair, candidate: Told) -> bool:
        question = self._sides.question(pair)
        return self._comparator.submit(
            question, pair.primary, candidate, lambda done: self._done(pair, done)
        )

    def _done(self, pair: Pair, done: Done | None) -> None:
        self._room.leave(pair)
        if done is None or done.counted is None:
            self._counts.shed("comparator_died")
        elif done.counted.result is not Result.MISMATCH:
            self._counts.add(pair.cell, done.counted)
        elif certain(done.findings, self._clock(), self._window):
            self._counts.mismatch(pair.cell, pair.facts, done.counted, done.findings)
        else:
            self._second.begin(pair, done.findings)
