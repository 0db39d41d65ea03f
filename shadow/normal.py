"""The normal form of a JSON value by its column's type: two values say the same exactly if their normal forms are equal.

A normal form is a word for the type and something hashable. Whole numbers are ints and others Decimals, as the reader has
made them (routes.json_body): nothing passes through a float, but for `real`, which is one. What is no value of the column's
type keeps the form of its JSON type, so it differs from every real value and is equal to itself.
"""

import struct
from collections import Counter
from collections.abc import Hashable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from catalog.column import Column, Compare, Kept, Type

Normal = tuple[str, Hashable]

NULL: Normal = ("null", None)
_WHOLE = frozenset({Type.SMALLINT, Type.INTEGER, Type.BIGINT})


def normal(column: Kept, value: Any) -> Normal:
    """`value`: as `routes.json_body` reads it."""
    if value is None:
        return NULL
    match column.type:
        case Type.UUID:
            return _uuid(value)
        case Type.DATE:
            return _date(value)
        case Type.TIMESTAMPTZ:
            return _instant(column, value)
        case Type.REAL:
            return _real(value)
        case Type.TEXT_ARRAY if column.compare is Compare.UNORDERED:
            return _unordered(value)
        case _ if column.type in _WHOLE:
            return _whole(value)
        case _:
            return json_form(value)


def json_form(value: Any) -> Normal:
    """Of a JSON value whose type nobody has declared: numbers by value, objects without order, arrays in theirs."""
    match value:
        case None:
            return NULL
        case bool():
            return "boolean", value
        case int() | Decimal():
            return "number", Decimal(value)
        case str():
            return "text", value
        case list():
            return "array", tuple(json_form(one) for one in value)
        case dict():
            return "object", frozenset((name, json_form(one)) for name, one in value.items())
    raise TypeError(f"{type(value).__name__} is nothing that a JSON reader makes")


def _unordered(value: Any) -> Normal:
    if not isinstance(value, list):
        return json_form(value)
    return "array", frozenset(Counter(json_form(one) for one in value).items())


def _uuid(value: Any) -> Normal:
    if not isinstance(value, str):
        return json_form(value)
    try:
        return "uuid", UUID(value)
    except ValueError:
        return "text", value


def _whole(value: Any) -> Normal:
    # 1.0 is no whole number: whoever writes it has passed it through a float.
    if isinstance(value, int) and not isinstance(value, bool):
        return "integer", value
    return json_form(value)


def _real(value: Any) -> Normal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return json_form(value)
    try:
        # Both sides write the shortest text of the same four bytes, or more digits of them.
        return "real", struct.pack("<f", float(value) + 0.0)
    except (OverflowError, InvalidOperation):
        return json_form(value)


def _date(value: Any) -> Normal:
    if not isinstance(value, str):
        return json_form(value)
    try:
        return "date", date.fromisoformat(value)
    except ValueError:
        return "text", value


def _instant(column: Kept, value: Any) -> Normal:
    if not isinstance(value, str):
        return json_form(value)
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            return "text", value
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        return "text", value
    places = column.places if isinstance(column, Column) else None
    if places is not None:
        grain = 10 ** (6 - places)
        at = at.replace(microsecond=at.microsecond // grain * grain)
    return "instant", at


def normal_text(form: Normal) -> str:
    """One text for one normal form, for the hash of evidence."""
    word, value = form
    match value:
        case tuple():
            inner = ",".join(normal_text(one) for one in value)
        case frozenset():
            inner = ",".join(sorted(_member_text(one) for one in value))
        case bytes():
            inner = value.hex()
        case Decimal():
            # Not normalize(): it rounds to the context's digits.
            inner = _digits(value)
        case date():
            inner = value.isoformat()
        case _:
            inner = str(value)
    return f"{word}:{len(inner)}:{inner}"


def _digits(number: Decimal) -> str:
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _member_text(member: Hashable) -> str:
    """Of an object (name, form) or of an array without order (form, count)."""
    assert isinstance(member, tuple)  # noqa: S101 - both are made above
    one, other = member
    if isinstance(one, str):
        return f"{len(one)}:{one}={normal_text(other)}"
    return f"{other}x{normal_text(one)}"
