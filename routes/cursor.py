"""Cursors: one position in v2 order, signed, opaque to callers (decisions.md 3). Pure.

A position is a scan watermark, not the last row shown: everything before it has been looked at, on both sides. It holds
nothing but the order's values (instants, numbers, dates, keys), so it means the same at every stage of a migration and a
walk goes on across a stage change.
"""

import base64
import hmac
import json
from binascii import Error as BadBase64
from hashlib import sha256

Position = tuple[str | None, ...]
"""The order's values as texts, one per sort, null as None."""

_TAG = 16
_LONGEST = 4096


class CursorRefused(Exception):
    """Not a cursor for this request. `code` says whether it is none of ours, or one of another query."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def write_cursor(position: Position, fingerprint: str, key: bytes) -> str:
    """URL-safe text. `fingerprint` is the query that it continues; only a hash of it is in the text."""
    values = json.dumps(position, ensure_ascii=False, separators=(",", ":")).encode()
    body = _digest(fingerprint) + values
    return _text(_sign(body, key) + body)


def read_cursor(text: str, fingerprint: str, key: bytes) -> Position:
    """The position. Raises CursorRefused for anything that `write_cursor` did not make for this query with this key."""
    raw = _unpack(text)
    tag, body = raw[:_TAG], raw[_TAG:]
    if not hmac.compare_digest(tag, _sign(body, key)):
        raise CursorRefused("invalid_cursor")
    if not hmac.compare_digest(body[:_TAG], _digest(fingerprint)):
        raise CursorRefused("cursor_of_another_query")
    return tuple(json.loads(body[_TAG:]))


def _unpack(text: str) -> bytes:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        raw = base64.urlsafe_b64decode(padded)
    except (BadBase64, UnicodeEncodeError):
        raise CursorRefused("invalid_cursor") from None
    # Base64 has several texts for some bytes; only the one that we wrote is taken.
    if _text(raw) != text or not 2 * _TAG < len(raw) <= _LONGEST:
        raise CursorRefused("invalid_cursor")
    return raw


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _digest(fingerprint: str) -> bytes:
    return sha256(fingerprint.encode()).digest()[:_TAG]


def _sign(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, b"banyan.cursor.1" + body, sha256).digest()[:_TAG]
