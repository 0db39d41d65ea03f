"""The request target, refused unless it means one thing to everybody who reads it, however often they decode it. Pure."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from routes.refused import Malformed, UriTooLong

LONGEST_TARGET: Final = 8 * 1024

_PLAIN_PATH: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~/"
_PLAIN_QUERY: Final = bytes(set(range(0x21, 0x7F)) - set(b"#<>\\^`"))
# pchar of RFC 3986 without `;`, which some readers cut at.
_PATH: Final = re.compile(rb"(?:/(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})*)+", re.ASCII)
_CONTROLS: Final = bytes(range(0x20)) + b"\x7f"
_MOST_DECODINGS: Final = 8


def check_target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query, raw. Raises UriTooLong, or Malformed.

    The path is absolute, without empty and dot segments at any decoding depth (the last segment may be empty); the query
    is printable ASCII without the characters that break request lines, logs or readers (http-rules section 1).
    """
    if len(target) > LONGEST_TARGET:
        raise UriTooLong
    path, _, query = target.partition(b"?")
    if path[:1] != b"/" or b"//" in path:
        raise Malformed
    if path.translate(None, _PLAIN_PATH) and not _clear(path):
        raise Malformed
    if query and query.translate(None, _PLAIN_QUERY):
        raise Malformed
    return path, query


def _clear(path: bytes) -> bool:
    """The careful look at a path with more than letters, digits, `-`, `_`, `~` and slashes in it.

    However often a reader decodes it, there are the same segments, none of them a dot segment, and no control character.
    """
    if _PATH.fullmatch(path) is None:
        return False
    for _ in range(_MOST_DECODINGS):
        segments = path.split(b"/")
        if any(segment in (b".", b"..") for segment in segments):
            return False
        decoded = unquote_to_bytes(path)
        if decoded == path:
            return True
        if decoded.count(b"/") != path.count(b"/") or b"\\" in decoded:
            return False
        if len(decoded.translate(None, _CONTROLS)) != len(decoded):
            return False
        path = decoded
    return False
