"""`Dice`: everything that a world leaves to chance, from its seed alone."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """`slow`: how often a delay is a long one."""

    def __init__(self, seed: int, *, slow: float) -> None:
        self._random = Random(seed)
        self._slow = slow
        self._ids = 0

    def chance(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def number(self, low: int, high: int) -> int:
        """Both may come."""
        return self._random.randint(low, high)

    def one(self, of: Sequence[T]) -> T:
        return of[int(self._random.random() * len(of))]

    def weighted(self, of: Sequence[T], weights: Sequence[float]) -> T:
        return self._random.choices(of, weights)[0]

    def delay(self, short: float, long: float) -> float:
        """Seconds: mostly up to `short`, sometimes up to `long`."""
        if self.chance(self._slow):
            return self.between(short, long)
        return self.between(0.0, short)

    def uuid(self) -> str:
        """In place of `runtime.correlation.uuid7`: in the order of their making."""
        self._ids += 1
        return f"00000000-0000-7000-8000-{self._ids:012x}"
