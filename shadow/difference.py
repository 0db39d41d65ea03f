"""`Difference`: one way in which two answers differ, by what kind and where."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from catalog.column import Compare, Kept


class Kind(StrEnum):
    """From the primary side's answer to the candidate's."""

    VALUE = "value"
    """Another value of the same type."""
    TYPE = "type"
    """Another JSON type, or a text that is no value of the column's type."""
    MISSING = "missing"
    """A member or an element that the candidate lacks."""
    EXTRA = "extra"
    """A member or an element that only the candidate has."""
    ORDER = "order"
    """The same elements in another order, where the order means something."""
    LENGTH = "length"
    """An array with more or fewer elements."""
    STATUS = "status"
    HEADER = "header"
    ERROR_CLASS = "error_class"
    """Both refuse, with different codes."""
    VISIBILITY = "visibility"
    """A row that the caller sees on one side only. Always an alarm: either a row is lost, or somebody sees what is not theirs."""
    UNREADABLE = "unreadable"
    """The candidate's body is no JSON of one meaning, or not of the answer's shape."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`left` is the primary side's, `right` the candidate's; both may be a patient's data and are for the hash of evidence alone."""

    kind: Kind
    path: str
    """JSON path with `[]` for any row of a list and `[n]` for a place in an array: `items[].lines[2].amount`."""
    column: Kept | None = None
    """Whose value it is, where it is inside a row."""
    row: tuple[str, ...] = field(default=(), repr=False)
    """The row's key, where it is inside a row or about one."""
    changed_at: datetime | None = None
    """When the row was last changed, on the side where that was later; None: nothing says it."""
    left: Any = field(default=None, repr=False)
    right: Any = field(default=None, repr=False)

    @property
    def decides(self) -> bool:
        """False in a column that the catalog keeps out of comparisons: that is counted and shown, and makes no mismatch."""
        return self.column is None or self.column.compare is not Compare.IGNORED
