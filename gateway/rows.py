"""Rows between the wire and the merge: shallow, so that every value that needs no conversion keeps its bytes. Pure.

JSON is never turned into Python numbers: `12.50` stays `12.50`, and a bigint keeps all its digits.
"""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from catalog.column import Column, Kept, Merge
from catalog.conversion import ConversionError
from gateway.disagreement import Disagreement

Row = dict[str, msgspec.Raw]
"""A row in v2's words: field -> the raw JSON of its value."""

NULL = b"null"
_rows = msgspec.json.Decoder(list[Row])


def decode_rows(body: bytes) -> list[Row]:
    """The rows of a JSON array of objects. Raises Disagreement if it is none."""
    try:
        return _rows.decode(body)
    except msgspec.MsgspecError:
        raise Disagreement from None


def encode_list(rows: Sequence[Row], cursor: str | None, total: int | None) -> bytes:
    """The body of a list answer."""
    tail = b',"next":' + (json.dumps(cursor).encode() if cursor else NULL)
    if total is not None:
        tail += b',"total":%d' % total
    return b'{"items":' + msgspec.json.encode(rows) + tail + b"}"


class Translation:
    """Legacy's rows into v2's, for one set of columns."""

    def __init__(self, columns: Sequence[Kept], unrepresentable: Callable[[str], None]) -> None:
        """`unrepresentable` is told the column of a value that the new model cannot show; the answer says null."""
        self._steps = tuple((c.target, self._step(c, unrepresentable)) for c in columns)

    def row(self, legacy: Row) -> Row:
        """One row, in the columns' order, without the hidden ones."""
        return {
            target: legacy[target] if step is None else msgspec.Raw(step(legacy))
            for target, step in self._steps
        }

    @staticmethod
    def _step(column: Kept, report: Callable[[str], None]) -> Callable[[Row], bytes] | None:
        if isinstance(column, Merge):
            return _merging(column)
        if column.values and any(a != b for a, b in column.values.items()):
            return _wording(column, report)
        return _converting(column, report) if column.convert else None


def hidden_part(column: Merge, part: str) -> str:
    """The alias under which a part of a merged column is asked for."""
    return f"_{column.target}_{part}"


def _merging(column: Merge) -> Callable[[Row], bytes]:
    # As jsonb prints objects: shorter keys first, a blank after colon and comma.
    parts = sorted(column.parts, key=lambda part: (len(part), part))
    names = [(hidden_part(column, part), f'"{part}": '.encode()) for part in parts]

    def step(row: Row) -> bytes:
        values = [(label, bytes(row[name])) for name, label in names]
        if all(value == NULL for _, value in values):
            return NULL
        return b"{" + b", ".join(label + value for label, value in values) + b"}"

    return step


def _wording(column: Column, report: Callable[[str], None]) -> Callable[[Row], bytes]:
    words = {f'"{a}"'.encode(): f'"{b}"'.encode() for a, b in column.values.items()} | {NULL: NULL}

    def step(row: Row) -> bytes:
        word = words.get(bytes(row[column.target]))
        if word is None:
            report(column.target)
            return NULL
        return word

    return step


def _converting(column: Column, report: Callable[[str], None]) -> Callable[[Row], bytes]:
    conversion = column.convert
    assert conversion is not None  # noqa: S101 - the caller looked

    def step(row: Row) -> bytes:
        raw = bytes(row[column.target])
        if raw == NULL:
            return NULL
        try:
            return str(conversion.convert(Decimal(raw.decode()))).encode()
        except (InvalidOperation, ConversionError):
            report(column.target)
            return NULL

    return step


def text_of(raw: msgspec.Raw | None) -> str | None:
    """A scalar's text: a string's content, a number as it was written, None for null. Raises Disagreement otherwise."""
    if raw is None:
        raise Disagreement
    value = bytes(raw)
    if value == NULL:
        return None
    if value[:1] != b'"':
        return value.decode()
    text: Any = json.loads(value)
    return str(text)
