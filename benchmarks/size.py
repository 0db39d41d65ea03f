"""How much a benchmark does: all that a claim needs, or enough to see that it still runs."""

from enum import StrEnum


class Size(StrEnum):
    FULL = "full"
    SMALL = "small"

    def of(self, full: int, small: int) -> int:
        """One of two counts."""
        return full if self is Size.FULL else small
