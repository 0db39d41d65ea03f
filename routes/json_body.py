"""JSON bodies of requests, read so that there is one meaning. Pure.

Repeated members, NaN, numbers that a float would change, texts that PostgreSQL cannot hold and bodies of endless depth
are told apart from what they look like: another reader might see another value.
"""

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

DEEPEST = 32
LONGEST_NUMBER = 400


class BodyRefused(ValueError):
    """Not a JSON object of one meaning. `code` is a stable word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read_object(raw: bytes) -> dict[str, Any]:
    """The members of a JSON object (RFC 8259, UTF-8). Whole numbers are int, others Decimal. Raises BodyRefused."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BodyRefused("not_utf8") from None
    try:
        found = json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_whole,
            parse_float=_fraction,
            parse_constant=_constant,
        )
    except (json.JSONDecodeError, RecursionError):
        raise BodyRefused("not_json") from None
    if not isinstance(found, dict):
        raise BodyRefused("expected_an_object")
    # What cannot be stored comes as an escape alone: in itself a NUL is no JSON, and half a pair no UTF-8.
    _check(found, 1, texts="\\u" in text)
    return found


def read_row(text: str) -> dict[str, Any]:
    """A row that a database wrote: no question of its form, but every digit counts."""
    row: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return row


def storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: no NUL, no half of a surrogate pair."""
    return _UNSTORABLE.search(text) is None


_encode = msgspec.json.Encoder(decimal_format="number")
_encode_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted")


def write_json(value: object) -> str:
    """JSON text with every digit that a number came with."""
    return _encode.encode(value).decode()


def canonical_json(value: object) -> bytes:
    """The same bytes for the same value, whatever the order of its members."""
    return _encode_sorted.encode(value)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BodyRefused("repeated_member")
    return found


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise BodyRefused("number_too_long")
    return int(digits)


def _fraction(digits: str) -> Decimal:
    number = Decimal(digits)
    # A small exponent text can stand for a number of a million digits.
    if len(digits) > LONGEST_NUMBER or not -LONGEST_NUMBER < number.adjusted() < LONGEST_NUMBER:
        raise BodyRefused("number_too_long")
    return number


def _constant(word: str) -> Any:
    raise BodyRefused("not_json")


def _check(value: dict[str, Any] | list[Any], depth: int, *, texts: bool) -> None:
    """`texts`: whether there may be one that cannot be stored."""
    if depth >= DEEPEST and value:  # what is in it is one deeper
        raise BodyRefused("too_deep")
    if isinstance(value, dict) and texts and not all(map(storable, value)):
        raise BodyRefused("text_that_cannot_be_stored")
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, str):
            if texts and not storable(one):
                raise BodyRefused("text_that_cannot_be_stored")
        elif isinstance(one, dict | list):
            _check(one, depth + 1, texts=texts)
