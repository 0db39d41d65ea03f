"""Draws from a seeded generator: ids, choices, instants. Nothing here reads a clock.

Everything that happened, happened between WINDOW_START and WINDOW_END. Only appointments lie later (until 2030).
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, TypeVar
from uuid import UUID

T = TypeVar("T")
Row = dict[str, Any]

WINDOW_START = datetime(2023, 1, 1, tzinfo=UTC)
WINDOW_END = datetime(2025, 6, 30, tzinfo=UTC)
LAST_CREATED = datetime(2025, 3, 31, tzinfo=UTC)
"""Rows are made until then; the rest of the window is for what happens to them."""

IMPORTS = (
    datetime(2023, 2, 1, tzinfo=UTC),
    datetime(2023, 2, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC),
)
"""Rows of a bulk import share their stamps to the microsecond."""
SWEEPS = (
    datetime(2025, 6, 15, 3, tzinfo=UTC),
    datetime(2025, 6, 20, 3, 0, 0, 123456, tzinfo=UTC),
)
"""A bulk update touched many rows in one transaction, so they share updated_at."""


class Draw:
    """One stream of draws. The same seed and name give the same stream on every machine."""

    def __init__(self, seed: int, name: str) -> None:
        self._random = Random(f"{seed}/{name}")  # noqa: S311 - repeatable is the point

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def choice(self, options: Sequence[T]) -> T:
        return options[int(self._random.random() * len(options))]

    def weighted(self, weights: dict[str, int]) -> str:
        return self._random.choices(tuple(weights), tuple(weights.values()))[0]

    def integer(self, low: int, high: int) -> int:
        """Both ends included."""
        return low + int(self._random.random() * (high - low + 1))

    def uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def day(self, first: date, last: date) -> date:
        return first + timedelta(days=self.integer(0, (last - first).days))

    def instant(self, first: datetime, last: datetime) -> datetime:
        """An instant between the two, to the second, the millisecond or the microsecond, as clients happen to send them."""
        seconds = self.integer(0, max(0, int((last - first).total_seconds()) - 1))
        at = (first + timedelta(seconds=seconds)).replace(microsecond=0)
        grain = self.integer(0, 3)
        if grain == 1:
            at += timedelta(milliseconds=self.integer(0, 999))
        elif grain > 1:
            at += timedelta(microseconds=self.integer(0, 999_999))
        return max(at, first)

    def created(self, after: datetime = WINDOW_START) -> datetime:
        """created_at of a row; one in seven stems from a bulk import."""
        imports = [at for at in IMPORTS if at >= after]
        if imports and self.chance(1 / 7):
            return self.choice(imports)
        return self.instant(after, max(after + timedelta(days=1), LAST_CREATED))

    def within(self, after: datetime, days: int) -> datetime:
        """Some time in the days after `after`, never behind the first sweep."""
        return self.instant(after, min(after + timedelta(days=days), SWEEPS[0]))

    def updated(self, last_change: datetime) -> datetime:
        """updated_at of a row whose last known change was then; one in eight was swept later."""
        if self.chance(1 / 8):
            return max(self.choice(SWEEPS), last_change)
        return last_change

    def maybe(self, value: T, share: float = 0.5) -> T | None:
        return value if self.chance(share) else None


def jsonb(value: object) -> str:
    """`value` as the text that a jsonb column takes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
