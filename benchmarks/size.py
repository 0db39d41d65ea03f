"""How much a benchmark does: all that a claim needs, or enough to see that it still runs."""

from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Size(StrEnum):
    FULL = "full"
    SMALL = "small"

    def of(self, full: T, small: T) -> T:
        """One of the two."""
        return full if self is Size.FULL else small
