"""`Evidence`: what is kept of a difference. Never a value: where, of what kind, and a keyed tag by which equal values are seen
as equal (phi-rules 4)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from catalog.column import Kept, Type
from shadow.difference import Difference, Kind
from shadow.normal import json_form, normal, normal_text

TagOf = Callable[[str, str, str], str]
"""Entity, field and canonical text to a tag that holds the id of its key."""

_LENGTHS = ((0, "0"), (7, "1-7"), (31, "8-31"), (127, "32-127"))
_LONGEST = "128+"
_TAGGED = frozenset({Kind.VALUE, Kind.TYPE, Kind.MISSING, Kind.EXTRA})
_FEW_VALUES = frozenset({Type.BOOLEAN, Type.ENUM})
_OPEN = frozenset({Kind.STATUS, Kind.ERROR_CLASS, Kind.LENGTH, Kind.UNREADABLE})
"""Their sides are numbers, and words of ours alone (shadow.pair): no patient's data."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Of one side's value."""

    type: str
    length: str = ""
    """Class of a text's or an array's length."""
    tag: str = ""
    """Empty: the value is one of few, or there is none to tag."""
    said: str = ""
    """A status, a code, a length: what is nobody's data."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Of one difference; `row` is the tag of the row's key."""

    kind: Kind
    path: str
    entity: str
    field: str
    """The column, as the catalog names it; empty where it is no column's."""
    row: str
    left: Trace
    right: Trace


def evidence(entity: str, difference: Difference, tag: TagOf, row_tag: str) -> Evidence:
    """`row_tag`: of the row that the difference is in, or empty."""
    column = difference.column
    return Evidence(
        kind=difference.kind,
        path=difference.path,
        entity=entity,
        field=column.target if column else "",
        row=row_tag,
        left=_trace(entity, difference, difference.left, tag),
        right=_trace(entity, difference, difference.right, tag),
    )


def _trace(entity: str, difference: Difference, value: Any, tag: TagOf) -> Trace:
    kind, column = difference.kind, difference.column
    if kind in _OPEN:
        return Trace(type=_word(value), said="" if value is None else str(value))
    if column is None or kind not in _TAGGED:
        return Trace(type=_word(value))
    found = Trace(type=_word(value), length=_length(value))
    if not _may_be_tagged(column, value):
        return found
    # An element of an array, or what stands in JSON, has no type but its own.
    whole = difference.path.endswith(column.target)
    text = normal_text(normal(column, value) if whole else json_form(value))
    return replace(found, tag=tag(entity, column.target, text))


def _may_be_tagged(column: Kept, value: Any) -> bool:
    if value is None or column.low_entropy or column.type in _FEW_VALUES:
        return False
    # Of what stands in JSON nobody has said how many values it can have: a number or a yes is one of few.
    return column.type is not Type.JSONB or isinstance(value, str)


def _word(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | Decimal():
            return "number"
        case str():
            return "text"
        case list():
            return "array"
        case _:
            return "object"


def _length(value: Any) -> str:
    if not isinstance(value, str | list):
        return ""
    return next((word for most, word in _LENGTHS if len(value) <= most), _LONGEST)
