"""Rows of one model into rows of the other, by the catalog alone. Pure.

Values are what asyncpg gives: UUID, datetime, date, Decimal, int, bool, str, list; jsonb is its text, unparsed.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from catalog.asset import Asset
from catalog.column import Column, Kept, Merge, Only
from catalog.conversion import ConversionError, refusal_sql

Row = Mapping[str, Any]


class NoCounterpart(ConversionError):
    """A value of a row has no place in the other model. Says which column and by which rule, never which value."""

    def __init__(self, column: str, rule: str) -> None:
        super().__init__(f"{column}: {rule}")
        self.column = column


class UnknownValue(NoCounterpart):
    """A value outside a closed vocabulary."""

    def __init__(self, column: str) -> None:
        super().__init__(column, _UNKNOWN)


_UNKNOWN = "a word outside the vocabulary"
_NO_PARTS = "not an object of the declared texts"
_NO_TEXT = "a text that PostgreSQL cannot hold"


def forward(asset: Asset, row: Row) -> dict[str, Any]:
    """The target row of a legacy row. Raises NoCounterpart for a value that has no place in the new model."""
    return {column.target: _forward(column, row) for column in asset.kept}


def inverse(asset: Asset, row: Row) -> dict[str, Any]:
    """The legacy row of a target row, without the columns that the new model left behind. Raises NoCounterpart."""
    found: dict[str, Any] = {}
    for column in asset.kept:
        found.update(_inverse(column, row[column.target]))
    return found


def _forward(column: Kept, row: Row) -> Any:
    if isinstance(column, Merge):
        return _merge(column, row)
    value = row[column.source]
    if value is None:
        return None
    if column.values:
        if value not in column.values:
            raise UnknownValue(column.source)
        return column.values[value]
    return _converted(column.convert.convert, column.source, value) if column.convert else value


def _converted(convert: Callable[[Any], Any], column: str, value: Any) -> Any:
    try:
        return convert(value)
    except ConversionError as refused:
        raise NoCounterpart(column, str(refused)) from None


# json.dumps writes both as escapes that jsonb refuses, and a driver's refusal quotes the value.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _merge(column: Merge, row: Row) -> str | None:
    parts = {part: row[source] for part, source in zip(column.parts, column.sources, strict=True)}
    if all(value is None for value in parts.values()):
        return None
    for source in column.sources:
        if row[source] is not None and _UNSTORABLE.search(row[source]):
            raise NoCounterpart(source, _NO_TEXT)
    return json.dumps(parts, ensure_ascii=False)


def _inverse(column: Kept, value: Any) -> dict[str, Any]:
    if isinstance(column, Merge):
        return _split(column, value)
    if value is None:
        return {column.source: None}
    if column.values:
        sources = preimage(column, value)
        if not sources:
            raise UnknownValue(column.target)
        return {column.source: sources[0]}
    if column.convert:
        return {column.source: _converted(column.convert.invert, column.target, value)}
    return {column.source: value}


def _split(column: Merge, value: str | None) -> dict[str, str | None]:
    parts = {} if value is None else json.loads(value)
    if not isinstance(parts, dict) or not parts.keys() <= set(column.parts):
        raise NoCounterpart(column.target, _NO_PARTS)
    if not all(part is None or isinstance(part, str) for part in parts.values()):
        raise NoCounterpart(column.target, _NO_PARTS)
    return {
        source: parts.get(part) for part, source in zip(column.parts, column.sources, strict=True)
    }


def preimage(column: Column, value: str) -> tuple[str, ...]:
    """Legacy's words for a word of the new model: one, several where the mapping is lossy, none if there is no such word."""
    return tuple(source for source, target in column.values.items() if target == value)


def forward_sql(column: Kept) -> str:
    """The SQL expression over a legacy row that gives the target value; it fails (22P02) where `forward` refuses."""
    if isinstance(column, Merge):
        sources = [_identifier(source) for source in column.sources]
        pairs = ", ".join(
            f"{_literal(part)}, {source}"
            for part, source in zip(column.parts, sources, strict=True)
        )
        return (
            f"case when num_nonnulls({', '.join(sources)}) > 0 then jsonb_build_object({pairs}) end"
        )
    source = _identifier(column.source)
    if column.values:
        return _case(source, column.values)
    if column.padded:
        return f"to_jsonb({source}) #>> '{{}}'"
    return column.convert.convert_sql.format(source) if column.convert else source


def inverse_sql(column: Kept) -> dict[str, str]:
    """The SQL expressions over a target row that give the legacy values, by legacy column; they fail (22P02) where
    `inverse` refuses."""
    target = _identifier(column.target)
    if isinstance(column, Merge):
        return {
            source: _part(column, target, part)
            for part, source in zip(column.parts, column.sources, strict=True)
        }
    if column.values:
        back = {word: source for source, word in reversed(tuple(column.values.items()))}
        return {column.source: _case(target, back)}
    return {column.source: column.convert.invert_sql.format(target) if column.convert else target}


def _case(expression: str, words: Mapping[str, str]) -> str:
    whens = " ".join(f"when {_literal(a)} then {_literal(b)}" for a, b in words.items())
    refusal = refusal_sql(expression, _UNKNOWN, "text")
    return f"case {expression}::text {whens} else {refusal} end"


def _part(column: Merge, target: str, part: str) -> str:
    names = ", ".join(_literal(name) for name in column.parts)
    # `strict`, since a lax path takes [null] for null.
    return (
        f"case when jsonb_typeof({target}) = 'object' and {target} - array[{names}] = '{{}}'"
        f""" and not jsonb_path_exists({target}, 'strict $.* ? (@.type() != "string" && @.type() != "null")')"""
        f" then {target} ->> {_literal(part)} else {refusal_sql(target, _NO_PARTS, 'text')} end"
    )


def _identifier(name: str) -> str:
    """Always quoted: a real project has columns such as "createdAt" and "order"."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def left_behind(asset: Asset) -> tuple[Only, ...]:
    """The legacy columns that the new model does not have."""
    return tuple(column for column in asset.columns if isinstance(column, Only))
