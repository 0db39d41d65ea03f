"""Rows of any resource by its columns' types, the same rows spelt otherwise, and rows of which one value has really changed."""

import json
import string
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from catalog.column import Column, Compare, Kept, Merge, Type

_FIRST = datetime(2023, 1, 1, tzinfo=UTC)
_LETTERS = string.ascii_letters + " äøżłシ'\"\\/\u2028"
_ENTITIES = ("status", "note", "answers", "a", "b")


def drawn_row(columns: tuple[Kept, ...], dice: Random) -> dict[str, Any]:
    """One row as an answer has it: numbers are int or Decimal."""
    return {column.target: drawn(column, dice) for column in columns}


def drawn_rows(
    columns: tuple[Kept, ...], key: tuple[str, ...], count: int, dice: Random
) -> list[dict[str, Any]]:
    """Rows of which no two have one key."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    while len(found) < count:
        row = drawn_row(columns, dice)
        found.setdefault(tuple(row[name] for name in key), row)
    return list(found.values())


def drawn(column: Kept, dice: Random) -> Any:
    """A value of the column's type."""
    if column.nullable and dice.random() < 0.2:
        return None
    if isinstance(column, Merge):
        return {part: dice.choice((None, _text(dice))) for part in column.parts}
    if column.values:
        return dice.choice(sorted(set(column.values.values())))
    return _DRAWN[column.type](dice)


def respelt(columns: tuple[Kept, ...], row: Mapping[str, Any], dice: Random) -> dict[str, Any]:
    """The same row as another implementation may write it: members, and what has no order, in any; numbers and instants in any
    of their spellings."""
    named = {column.target: column for column in columns}
    found = [(name, _respelt(named[name], value, dice)) for name, value in row.items()]
    dice.shuffle(found)
    return dict(found)


def changed(column: Kept, value: Any, dice: Random) -> Any:
    """Another value of the column's type, or null, or the slightest change there is."""
    slight = _SLIGHTLY.get(column.type)
    if (
        slight is not None
        and value is not None
        and not column_values(column)
        and dice.random() < 0.7
    ):
        return slight(value)
    for _ in range(1_000):
        other = drawn(column, dice)
        if _word(column, other) != _word(column, value):
            return other
    raise AssertionError(f"{column.target} has one value")


def column_values(column: Kept) -> Mapping[str, str]:
    return column.values if isinstance(column, Column) else {}


def text_of(value: Any, dice: Random) -> bytes:
    """JSON, with blanks or without, escaped or not; Decimals with the digits that they have."""
    return _written(value, blank=dice.choice(("", " ")), ascii_only=dice.random() < 0.5).encode()


def _written(value: Any, *, blank: str, ascii_only: bool) -> str:
    match value:
        case Decimal():
            return str(value)
        case dict():
            members = (
                f"{_written(n, blank=blank, ascii_only=ascii_only)}:{blank}"
                f"{_written(v, blank=blank, ascii_only=ascii_only)}"
                for n, v in value.items()
            )
            return "{" + f",{blank}".join(members) + "}"
        case list():
            return (
                "["
                + f",{blank}".join(_written(v, blank=blank, ascii_only=ascii_only) for v in value)
                + "]"
            )
        case _:
            return json.dumps(value, ensure_ascii=ascii_only)


# --- values


def _text(dice: Random) -> str:
    return "".join(dice.choice(_LETTERS) for _ in range(dice.randint(1, 24)))


def _json(dice: Random, depth: int = 0) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: _text(dice), lambda: dice.randint(-9, 10**12), lambda: Decimal(dice.randint(-999, 999)) / 8,
        lambda: dice.random() < 0.5, lambda: None,
    ]  # fmt: skip
    if depth < 3:
        kinds += [
            lambda: [_json(dice, depth + 1) for _ in range(dice.randint(0, 4))],
            lambda: {name: _json(dice, depth + 1) for name in dice.sample(_ENTITIES, dice.randint(0, 4))},
        ]  # fmt: skip
    return dice.choice(kinds)()


def _moment(dice: Random) -> str:
    at = _FIRST + timedelta(microseconds=dice.randint(0, 10**14))
    return at.replace(
        microsecond=dice.choice((0, at.microsecond // 1000 * 1000, at.microsecond))
    ).isoformat()


def _whole(bits: int) -> Callable[[Random], int]:
    return lambda dice: dice.choice(
        (0, 1, -1, dice.randint(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    )


_DRAWN: Mapping[Type, Callable[[Random], Any]] = {
    Type.UUID: lambda dice: str(UUID(int=dice.getrandbits(128), version=4)),
    Type.TEXT: _text,
    Type.BOOLEAN: lambda dice: dice.random() < 0.5,
    Type.SMALLINT: _whole(16),
    Type.INTEGER: _whole(32),
    Type.BIGINT: _whole(64),
    Type.NUMERIC: lambda dice: Decimal(dice.randint(-(10**9), 10**9)).scaleb(-dice.randint(0, 4)),
    Type.REAL: lambda dice: Decimal(dice.randint(0, 10_000)).scaleb(-2),
    Type.DATE: lambda dice: (date(1930, 1, 1) + timedelta(days=dice.randint(0, 36_000))).isoformat(),
    Type.TIMESTAMPTZ: _moment,
    Type.JSONB: _json,
    Type.TEXT_ARRAY: lambda dice: [_text(dice) for _ in range(dice.randint(0, 5))],
}  # fmt: skip


def _respelt(column: Kept, value: Any, dice: Random) -> Any:
    if value is None:
        return None
    match column.type:
        case Type.UUID:
            return dice.choice((value, value.upper()))
        case Type.TIMESTAMPTZ:
            return _moment_respelt(value, dice)
        case Type.NUMERIC | Type.REAL:
            return _number_respelt(value, dice)
        case Type.JSONB:
            return _json_respelt(value, dice)
        case Type.TEXT_ARRAY if column.compare is Compare.UNORDERED:
            return dice.sample(value, len(value))
        case _:
            return value


def _moment_respelt(value: str, dice: Random) -> str:
    zone = timezone(timedelta(minutes=dice.choice((0, 0, 60, -330, 345))))
    text = datetime.fromisoformat(value).astimezone(zone).isoformat()
    body, sign, offset = text[:-6], text[-6], text[-5:]
    if "." in body and dice.random() < 0.5:
        body = body.rstrip("0").rstrip(".")
    elif "." not in body and dice.random() < 0.5:
        body += dice.choice((".0", ".000", ".000000"))
    end = "Z" if offset == "00:00" and dice.random() < 0.5 else sign + offset
    return body + end


def _number_respelt(value: Decimal, dice: Random) -> int | Decimal:
    if value == value.to_integral() and dice.random() < 0.3:
        return int(value)
    digits = f"{value:f}"
    zeros = "0" * dice.randint(0, 3)
    return Decimal(digits + (zeros if "." in digits else f".{zeros}0"))


def _json_respelt(value: Any, dice: Random) -> Any:
    match value:
        case dict():
            members = [(name, _json_respelt(one, dice)) for name, one in value.items()]
            dice.shuffle(members)
            return dict(members)
        case list():
            return [_json_respelt(one, dice) for one in value]
        case Decimal():
            return _number_respelt(value, dice)
        case _:
            return value


# --- changes

_SLIGHTLY: Mapping[Type, Callable[[Any], Any]] = {
    Type.TEXT: lambda value: value[:-1] + ("x" if value[-1] != "x" else "y"),
    Type.BOOLEAN: lambda value: not value,
    Type.SMALLINT: lambda value: value - 1 if value > 0 else value + 1,
    Type.INTEGER: lambda value: value - 1 if value > 0 else value + 1,
    Type.BIGINT: lambda value: value - 1 if value > 0 else value + 1,
    Type.NUMERIC: lambda value: value + Decimal("0.0001"),
    Type.REAL: lambda value: value + Decimal("0.01"),
    Type.DATE: lambda value: (date.fromisoformat(value) + timedelta(days=1)).isoformat(),
    Type.TIMESTAMPTZ: lambda value: (datetime.fromisoformat(value) + timedelta(microseconds=1)).isoformat(),
    Type.TEXT_ARRAY: lambda value: [*value, "x"],
}  # fmt: skip


def _word(column: Kept, value: Any) -> str:
    """Equal only for equal values, as these rows draw them: without asking what is under test."""
    if isinstance(value, list) and column.compare is Compare.UNORDERED:
        value = sorted(value)
    return json.dumps(_spelt(value), sort_keys=True)


def _spelt(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int() | Decimal():
            return f"number {Decimal(value).normalize():f}"
        case dict():
            return {name: _spelt(one) for name, one in value.items()}
        case list():
            return [_spelt(one) for one in value]
        case _:
            return value
