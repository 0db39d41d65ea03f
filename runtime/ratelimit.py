"""Rate limits per key and for a whole class of calls, at the price of a dictionary lookup.

The generic cell rate algorithm: per key one number, the time at which its bucket is full again. A bucket holds `burst`
calls and gets `per_second` new ones; no timers, no counting down.
"""

import time
from collections.abc import Callable

_NO_WAIT = 1e-9
"""Seconds. Waiting exactly as long as told must be enough, whatever floating point makes of it."""


class RateLimit:
    """One bucket per key, for at most `most_keys` keys.

    Kept in two generations: a key that was not seen while half of `most_keys` others came starts afresh.
    """

    def __init__(
        self,
        *,
        per_second: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
        most_keys: int = 100_000,
    ) -> None:
        self._interval, self._tolerance = _spacing(per_second, burst)
        self._clock = clock
        self._most_young = max(1, most_keys // 2)
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def take(self, key: str) -> float:
        """0.0: the call is allowed and counted. Otherwise the seconds to wait; a refused call costs nothing."""
        now = self._clock()
        full_at = self._young.get(key)
        if full_at is None:
            full_at = self._grow_up(key, now)
        if full_at < now:
            full_at = now
        wait = full_at - now - self._tolerance
        if wait > _NO_WAIT:
            return wait
        self._young[key] = full_at + self._interval
        return 0.0

    def __len__(self) -> int:
        """Keys in memory; one that was in use lately may count twice."""
        return len(self._young) + len(self._old)

    def _grow_up(self, key: str, now: float) -> float:
        """The key enters the young generation, with what the old one knows of it, even if the call is refused then."""
        if len(self._young) >= self._most_young:
            self._old, self._young = self._young, {}
        full_at = self._old.get(key, now)
        self._young[key] = full_at
        return full_at


class Budget:
    """One bucket for all calls of a class, such as shadow reads towards legacy (decisions.md 41)."""

    def __init__(
        self, *, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval, self._tolerance = _spacing(per_second, burst)
        self._clock = clock
        self._full_at = float("-inf")

    def take(self) -> float:
        """As `RateLimit.take`."""
        now = self._clock()
        full_at = max(self._full_at, now)
        wait = full_at - now - self._tolerance
        if wait > _NO_WAIT:
            return wait
        self._full_at = full_at + self._interval
        return 0.0


def _spacing(per_second: float, burst: float) -> tuple[float, float]:
    """Seconds between two calls of a steady stream, and how far ahead of it a caller may be."""
    if not per_second > 0 or not burst >= 1:
        raise ValueError("a rate limit needs per_second above 0 and a burst of at least 1")
    interval = 1.0 / per_second
    return interval, (burst - 1) * interval
