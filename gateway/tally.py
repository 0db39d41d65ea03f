"""Counting on the hot path: plain Python numbers, read out once a second and at scrapes.

`prometheus_client`'s own counters cost 2 to 4 us for each request, its multiprocess mode more: a file per process
and start that is never folded, and a memory map written for each number.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

SECONDS: Final = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds of the duration's buckets; one more takes what is longer."""

_Key = tuple[str, str, str, str, int]
_bucket: Final = bisect_left
_EMPTY: Final = [0.0] * (len(SECONDS) + 2)


class Tally:
    """Requests by route pattern, method, side, stage and status class, each with its durations."""

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells: dict[_Key, list[float]] = {}

    def count(
        self, route: str, method: str, side: str, stage: str, status: int, seconds: float
    ) -> None:
        """One answered request. All words come from closed sets: each new combination is kept forever."""
        key = (route, method, side, stage, status // 100)
        try:
            cell = self._cells[key]
        except KeyError:
            cell = self._cells[key] = _EMPTY.copy()
        cell[0] += seconds
        cell[_bucket(SECONDS, seconds) + 1] += 1.0

    def read(self) -> dict[tuple[str, ...], list[float]]:
        """A copy: labels -> seconds in sum, then how many fell into each bucket."""
        return {
            (*labels, f"{status}xx"): cell.copy() for (*labels, status), cell in self._cells.items()
        }


class Counter:
    """A count by label values. Not for each request: that is the Tally's."""

    __slots__ = ("_counts", "_followed", "help", "labels", "name")

    def __init__(self, name: str, help: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.help, self.labels = name, help, labels
        self._counts: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}
        self._followed: dict[tuple[str, ...], Callable[[], float]] = {}

    def inc(self, *labels: str, by: float = 1.0) -> None:
        """Label values in the order of the declaration, from closed sets."""
        self._counts[labels] = self._counts.get(labels, 0.0) + by

    def follow(self, count: Callable[[], float], *labels: str) -> None:
        """For a count that somebody else keeps: it is read when numbers are read out, and must never fall."""
        self._followed[labels] = count

    def read(self) -> dict[tuple[str, ...], list[float]]:
        counts = self._counts | {labels: float(read()) for labels, read in self._followed.items()}
        return {labels: [count] for labels, count in counts.items()}
