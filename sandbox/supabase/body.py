"""Request bodies of writes and calls, checked and brought to JSON text. Pure.

Stand-in, not PostgREST, never for production.
"""

import csv
import io
import json
from typing import NoReturn
from urllib.parse import parse_qsl

from sandbox.supabase.errors import RestError, Unsupported
from sandbox.supabase.write import Payload


def read_rows(
    raw: bytes, content_type: str | None, *, columns: tuple[str, ...] | None, defaults: bool
) -> Payload:
    """Rows to insert or values to set. Raises PGRST102.

    Without `columns=` all objects must have the same keys; with it, the body is not looked into.
    """
    kind = _kind(content_type)
    if kind == "text/csv":
        text = _from_csv(raw)
    elif kind == "application/x-www-form-urlencoded":
        text = _from_form(raw)
    elif kind == "application/json":
        text = _text(raw)
        if columns is not None:
            single = text.lstrip(" \t\r\n").startswith("{")
            return Payload(text=text, columns=columns, single=single, defaults=defaults)
    else:
        raise RestError("PGRST102", f"Content-Type not acceptable: {kind}")
    value = _parsed(text)
    if isinstance(value, dict):
        return Payload(text=text, columns=tuple(sorted(value)), single=True, defaults=defaults)
    if not isinstance(value, list) or not value:
        return Payload(text="[]", columns=(), single=False, defaults=defaults)
    keys = _keys(value[0])
    if keys is None or any(_keys(item) != keys for item in value):
        raise RestError("PGRST102", "All object keys must match")
    return Payload(text=text, columns=tuple(sorted(keys)), single=False, defaults=defaults)


def read_arguments(raw: bytes, content_type: str | None) -> tuple[str, object]:
    """The arguments of a call by POST: their JSON text, and the value. An empty body is an empty object."""
    if _kind(content_type) != "application/json":
        raise Unsupported("calls with a raw body")
    text = _text(raw) if raw else "{}"
    return text, _parsed(text)


def read_form(raw: bytes, content_type: str | None) -> list[tuple[str, str]] | None:
    """The arguments of a call by a form's POST, or None if the body is no form."""
    if _kind(content_type) != "application/x-www-form-urlencoded":
        return None
    return parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)


def _kind(content_type: str | None) -> str:
    return (content_type or "application/json").partition(";")[0].strip().lower()


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid() from None


def _parsed(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _invalid() from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are no JSON


def _keys(item: object) -> frozenset[str] | None:
    return frozenset(item) if isinstance(item, dict) else None


def _from_form(raw: bytes) -> str:
    return json.dumps(dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)))


def _from_csv(raw: bytes) -> str:
    try:
        rows = list(csv.DictReader(io.StringIO(_text(raw), newline=""), restkey="", strict=True))
    except csv.Error:
        raise RestError("PGRST102", "The CSV cannot be read") from None
    if any("" in row or None in row.values() for row in rows):
        raise RestError("PGRST102", "All lines must have same number of fields")
    return json.dumps(
        [{key: None if value == "NULL" else value for key, value in row.items()} for row in rows]
    )


def _invalid() -> RestError:
    return RestError("PGRST102", "Empty or invalid json")
