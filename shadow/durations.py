"""`Durations`: how long answers took, counted in classes, so that those of many processes and hours add up."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

BOUNDS = tuple(round(0.00025 * 2 ** (step / 2), 6) for step in range(33))
"""Upper bounds in seconds, from 0.25 ms to 16 s, two per doubling; one more class takes what is longer."""


class Durations:
    """`classes`: how many fell into each."""

    def __init__(self, classes: Sequence[int] = ()) -> None:
        """Raises ValueError for another number of classes than there are."""
        if classes and len(classes) != len(BOUNDS) + 1:
            raise ValueError(f"{len(BOUNDS) + 1} classes, not {len(classes)}")
        self.classes = list(classes) or [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        self.classes[bisect_left(BOUNDS, seconds)] += 1

    def merge(self, other: Self) -> None:
        self.classes = [a + b for a, b in zip(self.classes, other.classes, strict=True)]

    @property
    def count(self) -> int:
        return sum(self.classes)

    def quantile(self, share: float) -> float | None:
        """Seconds that `share` of the answers took at most, to a fifth of its value or so; None without any. Of what took longer
        than the last bound, that bound."""
        left = share * self.count
        if not self.count:
            return None
        for (least, most), found in zip(pairwise((0.0, *BOUNDS)), self.classes, strict=False):
            if found and left <= found:
                return least + (most - least) * left / found
            left -= found
        return BOUNDS[-1]
