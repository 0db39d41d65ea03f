"""`SlidingCount`: how often something happened lately, at a cost that does not depend on how often."""

from collections.abc import Callable
from typing import Final

_BUCKETS: Final = 10


class SlidingCount:
    """Counts over the last `seconds`, forgotten a tenth at a time: an event counts for 0.9 to 1 times `seconds`.

    The tenths of all counts with one clock and one window begin together, so two of them can be set against each other.
    """

    __slots__ = ("_bucket", "_clock", "_counts", "_number", "_sum", "_until", "_width")

    def __init__(self, *, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._width = seconds / _BUCKETS
        self._counts = [0] * _BUCKETS
        self._sum = 0
        self._number = int(clock() // self._width)
        self._bucket = self._number % _BUCKETS
        self._until = (self._number + 1) * self._width

    def add(self) -> None:
        """It happened once more."""
        if self._clock() >= self._until:
            self._forget()
        self._counts[self._bucket] += 1
        self._sum += 1

    def total(self) -> int:
        if self._clock() >= self._until:
            self._forget()
        return self._sum

    def clear(self) -> None:
        """As if nothing had happened yet."""
        self._counts = [0] * _BUCKETS
        self._sum = 0

    def _forget(self) -> None:
        number = int(self._clock() // self._width)
        for ended in range(self._number + 1, min(number, self._number + _BUCKETS) + 1):
            bucket = ended % _BUCKETS
            self._sum -= self._counts[bucket]
            self._counts[bucket] = 0
        self._number = number
        self._bucket = number % _BUCKETS
        self._until = (number + 1) * self._width
