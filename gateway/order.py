"""v2 order: where a row stands, and which of two stands first, the same whichever side it came from. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import total_ordering
from typing import Any

from typing_extensions import override

from catalog.column import Type
from gateway.disagreement import Disagreement
from gateway.rows import Row, text_of
from routes.cursor import Position
from routes.query import Sort

Rank = tuple["_Place", ...]
"""Comparable with `<`; equal ranks mean the same key."""


def position(row: Row, order: Sequence[Sort]) -> Position:
    """The order's values of a row, as texts. Raises Disagreement if the row lacks one."""
    return tuple(text_of(row.get(sort.column.target)) for sort in order)


def rank(where: Position, order: Sequence[Sort]) -> Rank:
    """The position as something that sorts. Nulls are last in both directions."""
    return tuple(
        _Place(None if text is None else comparable(sort.column.type, text), sort.descending)
        for text, sort in zip(where, order, strict=True)
    )


def comparable(type_: Type, text: str) -> Any:
    """A value that sorts as the type does in every database. Raises Disagreement for a text that is none of the type."""
    try:
        return _VALUE[type_](text)
    except (ValueError, InvalidOperation):
        raise Disagreement from None


@total_ordering
class _Place:
    """One value of a position."""

    __slots__ = ("descending", "value")

    def __init__(self, value: Any, descending: bool) -> None:
        self.value = value
        self.descending = descending

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and self.value == other.value

    @override
    def __hash__(self) -> int:
        return hash(self.value)

    def __lt__(self, other: "_Place") -> bool:
        if self.value is None or other.value is None:
            return self.value is not None
        return bool(other.value < self.value if self.descending else self.value < other.value)


_ENDS = {
    "infinity": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    "-infinity": datetime(1, 1, 1, tzinfo=UTC),
}


def _moment(text: str) -> datetime:
    if text in _ENDS:
        return _ENDS[text]
    return datetime.fromisoformat(text)


def _utf8(text: str) -> bytes:
    return text.encode()


_VALUE: Mapping[Type, Callable[[str], Any]] = {
    Type.UUID: str,
    Type.TEXT: _utf8,
    Type.SMALLINT: int,
    Type.INTEGER: int,
    Type.BIGINT: int,
    Type.NUMERIC: Decimal,
    Type.DATE: str,
    Type.TIMESTAMPTZ: _moment,
}
