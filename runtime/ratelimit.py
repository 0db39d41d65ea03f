"""Rate limits per key and for a whole class of calls, at the price of a dictionary lookup.

The generic cell rate algorithm: per key one number, the time at which its bucket is full again. A bucket holds `burst`
calls and gets `per_second` new ones; no timers, no counting down.
"""

import time
from collections.abc import Callable
from typing import Final

_NO_WAIT: Final = 1e-9
"""Seconds. Waiting exactly as long as told must be enough, whatever floating point makes of it."""


class Budget:
    """One bucket: for all calls of a class, such as shadow reads towards legacy (decisions.md 41), or for those of one key."""

    __slots__ = ("_clock", "_full_at", "_interval", "_tolerance")

    def __init__(
        self, *, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # Seconds between two calls of a steady stream, and how far ahead of it a caller may be.
        if not per_second > 0 or not burst >= 1:
            raise ValueError("a rate limit needs per_second above 0 and a burst of at least 1")
        self._interval = 1.0 / per_second
        self._tolerance = (burst - 1) * self._interval
        self._clock = clock
        self._full_at = float("-inf")

    def take(self) -> float:
        """0.0: the call is allowed and counted. Otherwise the seconds to wait; a refused call costs nothing."""
        now = self._clock()
        full_at = self._full_at
        if full_at < now:
            full_at = now
        wait = full_at - now - self._tolerance
        if wait > _NO_WAIT:
            return wait
        self._full_at = full_at + self._interval
        return 0.0


class RateLimit:
    """One bucket per key, for at most `most_keys` keys.

    Kept in two generations: a key that was not asked for while half of `most_keys` others came starts afresh.
    """

    def __init__(
        self,
        *,
        per_second: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
        most_keys: int = 100_000,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._most_young = max(1, most_keys // 2)
        self._young: dict[str, Budget] = {}
        self._old: dict[str, Budget] = {}
        self.generation = 0
        """Rises when what was not asked for lately is about to be forgotten."""
        self._new()  # a limit that allows nothing is told at once

    def of(self, key: str) -> Budget:
        """The key's bucket. It may be kept while `generation` stays: asking again costs a lookup, and keeps it alive."""
        found = self._young.get(key)
        if found is None:
            if len(self._young) >= self._most_young:
                self._old, self._young = self._young, {}
                self.generation += 1
            found = self._young[key] = self._old.get(key) or self._new()
        return found

    def take(self, key: str) -> float:
        """`Budget.take` of the key's bucket."""
        return self.of(key).take()

    def __len__(self) -> int:
        """Keys in memory; one that was in use lately may count twice."""
        return len(self._young) + len(self._old)

    def _new(self) -> Budget:
        return Budget(per_second=self._per_second, burst=self._burst, clock=self._clock)
