"""Shedding by queue time: when requests wait in front of the event loop, some are refused at once.

How long the queue is says nothing, how long one waits in it does (CoDel). A late timer shows it: it fires behind all that
was ready before it. The *smallest* delay of an interval counts, so that a burst that is worked off, or one long stall,
sheds nothing; only a queue that stays does.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

_FASTEST_CUT: Final = 0.25
"""However long the queue: at least this part of what passed passes on."""
_LEAST_PASSING: Final = 0.05
"""Some requests always pass: they show whether the queue is gone."""
_BACK: Final = 0.05
"""After each interval without a standing queue this much more of the requests passes."""
_FEWEST_LATE: Final = 3
"""In a row before shedding begins: one stall makes one or two. From then on each late one counts, because under load there
is one per turn of the loop, and turns get longer."""


class Shedding:
    """The decision, without a clock of its own: delays in, yes or no out. Times in seconds.

    A queue stands once every delay of `interval` was longer than `target`.
    """

    def __init__(self, *, target: float = 0.05, interval: float = 0.2) -> None:
        self._target = target
        self._interval = interval
        self._debt = 0.0
        self.share = 0.0
        """Of the requests, how many are refused now: 0.0 to 0.95."""
        self.delay = 0.0
        """The last delay that was seen."""
        self.refused = 0
        self._since = 0.0
        self._late = 0
        self._smallest = float("inf")

    def shed(self) -> bool:
        """Whether this request is to be refused. Evenly spread: every nth, not by chance."""
        if not self.share:
            return False
        self._debt += self.share
        if self._debt < 1.0:
            return False
        self._debt -= 1.0
        self.refused += 1
        return True

    def observe(self, delay: float, now: float) -> None:
        """Something that was due at `now - delay` had its turn only now."""
        self.delay = delay
        if (delay > self._target) != (self._late > 0):
            self._begin(now - delay)
        if delay > self._target:
            self._late += 1
            self._smallest = min(self._smallest, delay)
        if now - self._since >= self._interval:
            self._judge(now)

    def reset(self) -> None:
        """Nobody observes any more: refuse nothing."""
        self.share = self._debt = self.delay = 0.0
        self._begin(0.0)

    def _begin(self, now: float) -> None:
        """An interval in which all delays are long, or all are short."""
        self._since = now
        self._late = 0
        self._smallest = float("inf")

    def _judge(self, now: float) -> None:
        """Down by factors, up by steps: how much is too much shows only in the next queue."""
        passing = 1.0 - self.share
        if not self._late:
            passing += _BACK
        elif self.share or self._late >= _FEWEST_LATE:
            passing *= max(_FASTEST_CUT, self._target / self._smallest)
        else:
            return
        self.share = 1.0 - min(1.0, max(_LEAST_PASSING, passing))
        if self.share < _BACK / 2:
            self.share = self._debt = 0.0
        self._begin(now)


class Overload:
    """Shedding by the delay of the running event loop, looked at every `every` seconds between `start` and `stop`."""

    def __init__(
        self,
        shedding: Shedding | None = None,
        *,
        every: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shedding = shedding or Shedding()
        self._every = every
        self._clock = clock
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def shed(self) -> bool:
        """Asked once per request."""
        return self.shedding.shed()

    def start(self) -> None:
        """Begin to look, in the running event loop."""
        self._arm(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.shedding.reset()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = self._clock() + self._every
        self._timer = loop.call_later(self._every, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = self._clock()
        self.shedding.observe(max(0.0, now - self._due), now)
        self._arm(loop)
