"""Rows of legacy tables made from the catalog by type: quickly, by a seed, and with the awkward values of each type.

They are what a driver gives, and every one of them fits its column in PostgreSQL; constraints between columns are not kept.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from catalog.asset import Asset
from catalog.column import Kept, Merge, Type

_VARIED = 200
_NULLS = 0.2


def legacy_rows(asset: Asset, count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """`count` rows with every source that the new model keeps."""
    draw = random.Random(f"{asset.entity} {seed}")
    names = [source for column in asset.kept for source in column.sources]
    drawn = [
        _with_nulls(draw, draw.choices(_pool(draw, column), k=count), column)
        for column in asset.kept
        for _ in column.sources
    ]
    return (dict(zip(names, values, strict=True)) for values in zip(*drawn, strict=True))


def _with_nulls(draw: random.Random, values: list[Any], column: Kept) -> list[Any]:
    if not column.nullable:
        return values
    return [None if draw.random() < _NULLS else value for value in values]


def _pool(draw: random.Random, column: Kept) -> list[Any]:
    """The values that a source of this column is drawn from."""
    if isinstance(column, Merge):
        return _pool_of(draw, Type.TEXT)
    if column.values:
        return list(column.values)
    if column.padded:
        return ["GBP", "EUR", "GB ", "   ", "é€ ", " B "]
    if column.convert:
        return _AMOUNTS + [
            Decimal(draw.randint(-(10**9), 10**9)).scaleb(-2) for _ in range(_VARIED)
        ]
    return _pool_of(draw, column.type)


def _pool_of(draw: random.Random, type_: Type) -> list[Any]:
    return _AWKWARD[type_] + [_VARY[type_](draw) for _ in range(_VARIED)]


_AMOUNTS = [
    *(Decimal(text) for text in ("0", "-0", "0.00", "12.5", "12.50", "1E+3", "-0.01", "1.0100")),
    *(Decimal(text) for text in ("9999999999.99", "-9999999999.99")),
]
_TEXTS = [
    *("", " ", "O'Hara", '"', "\\", "\\u0000", "null", "{}", "a,b", "%27;--", "\t\n\r\x7f", "\x01"),
    *("Zoë", "Zoe\u0308", "李小龍", "👩\u200d👧", "\u202eabc", "ß", "İ", "\ufffd", "\U0010ffff"),
    "x" * 20_000,
]
_OBJECTS: list[Any] = [
    *(None, {}, [], "", 0, False, -0.5, "\u2028", [None], {"": None}),
    *({"a": {"b": [1, {"c": "é"}]}}, 2**70, 1e-9, "\\"),
]
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

_AWKWARD: Mapping[Type, list[Any]] = {
    Type.UUID: [UUID(int=0), UUID(int=2**128 - 1)],
    Type.TEXT: _TEXTS,
    Type.BOOLEAN: [False, True],
    Type.SMALLINT: [0, -(2**15), 2**15 - 1],
    Type.INTEGER: [0, -(2**31), 2**31 - 1],
    Type.BIGINT: [0, -(2**63), 2**63 - 1, 2**53 + 1],
    Type.NUMERIC: [Decimal(text) for text in ("0.00", "-40.00", "999.99", "-999.99", "NaN")],
    Type.REAL: [0.0, -0.0, 100.0, 45.5, float("nan"), float("inf"), 1.401298464324817e-45],
    Type.DATE: [date(1, 1, 1), date(1900, 2, 28), date(2000, 2, 29), date(9999, 12, 30)],
    Type.TIMESTAMPTZ: [_EARLIEST, _LATEST, datetime(2025, 3, 30, 1, 0, 0, 1, tzinfo=UTC)],
    Type.JSONB: [json.dumps(thing, ensure_ascii=False) for thing in _OBJECTS],
    Type.TEXT_ARRAY: [[], [""], ["a", "a"], [None], ["NULL", 'b"c', "{d}", "ü,", "\\"]],
}
_VARY: Mapping[Type, Callable[[random.Random], Any]] = {
    Type.UUID: lambda draw: UUID(int=draw.getrandbits(128)),
    Type.TEXT: lambda draw: "".join(draw.choices("aäЖ李👩 '\"\\{}", k=draw.randint(1, 40))),
    Type.BOOLEAN: lambda draw: draw.random() < 0.5,
    Type.SMALLINT: lambda draw: draw.randint(-(2**15), 2**15 - 1),
    Type.INTEGER: lambda draw: draw.randint(-(2**31), 2**31 - 1),
    Type.BIGINT: lambda draw: draw.randint(-(2**63), 2**63 - 1),
    Type.NUMERIC: lambda draw: Decimal(draw.randint(-99_999, 99_999)).scaleb(-2),
    Type.REAL: lambda draw: draw.randint(0, 1600) / 16,
    Type.DATE: lambda draw: date.fromordinal(draw.randint(1, 3_652_058)),
    Type.TIMESTAMPTZ: lambda draw: _EARLIEST + timedelta(microseconds=draw.randint(0, 3 * 10**17)),
    Type.JSONB: lambda draw: json.dumps({"n": draw.random(), "t": draw.choice(_TEXTS[:-1])}),
    Type.TEXT_ARRAY: lambda draw: draw.choices(_TEXTS[:-1], k=draw.randint(0, 4)),
}
