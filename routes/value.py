"""Values in paths, queries and positions: from a caller's text to the canonical text of a type. Pure.

Both sides get the same text and PostgreSQL casts it, so a value means the same on both; what PostgreSQL would refuse
is refused here, with a code instead of a database error.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from uuid import UUID

from catalog.column import Column, Type


class ValueRefused(ValueError):
    """A text is no value of the type. `code` is a stable word; the text itself is not repeated."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def canonical(column: Column, text: str) -> str:
    """The canonical text of a caller's value for this column. Raises ValueRefused."""
    if column.type is Type.ENUM:
        if text not in column.values.values():
            raise ValueRefused("unknown_value")
        return text
    return _PARSERS[column.type](text)


def _uuid(text: str) -> str:
    if _UUID.fullmatch(text) is None:
        raise ValueRefused("expected_uuid")
    return str(UUID(text))


def _integer(low: int, high: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if _INTEGER.fullmatch(text) is None or not low <= int(text) <= high:
            raise ValueRefused("expected_integer")
        return str(int(text))

    return parse


def _numeric(text: str) -> str:
    if _NUMERIC.fullmatch(text) is None:
        raise ValueRefused("expected_number")
    # By hand: Decimal writes small numbers with an exponent and rounds long ones.
    whole, _, places = text.removeprefix("-").partition(".")
    number = ".".join(filter(None, (whole.lstrip("0") or "0", places.rstrip("0"))))
    return f"-{number}" if text.startswith("-") and number != "0" else number


def _boolean(text: str) -> str:
    if text not in ("true", "false"):
        raise ValueRefused("expected_true_or_false")
    return text


def _date(text: str) -> str:
    if _DATE.fullmatch(text) is None:
        raise ValueRefused("expected_date")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueRefused("expected_date") from None


def _timestamp(text: str) -> str:
    if " " in text and _TIMESTAMP.fullmatch(text.replace(" ", "+", 1)):
        raise ValueRefused("blank_in_timestamp_write_Z_or_%2B")
    if _TIMESTAMP.fullmatch(text) is None:
        raise ValueRefused("expected_timestamp_with_offset")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise ValueRefused("expected_timestamp_with_offset") from None


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMERIC = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,20})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# RFC 3339, with at most the microseconds that PostgreSQL keeps. The clock is checked here: Python's reader takes
# +05:99, later versions of it 24:00.
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
    re.ASCII,
)

_PARSERS: Mapping[Type, Callable[[str], str]] = {
    Type.UUID: _uuid,
    Type.TEXT: str,
    Type.BOOLEAN: _boolean,
    Type.SMALLINT: _integer(-(2**15), 2**15 - 1),
    Type.INTEGER: _integer(-(2**31), 2**31 - 1),
    Type.BIGINT: _integer(-(2**63), 2**63 - 1),
    Type.NUMERIC: _numeric,
    Type.DATE: _date,
    Type.TIMESTAMPTZ: _timestamp,
}
