"""A request as the pipeline sees it: an immutable copy, checked so far that its path means one thing only.

The headers are copied before the first `receive()`: uvicorn with httptools merges trailers into them afterwards.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routes.refused import HeadersTooLarge, Malformed, UriTooLong, WrongHost

LONGEST_TARGET = 8 * 1024
MOST_HEADERS = 100
LARGEST_HEADERS = 16 * 1024

_SINGLE = frozenset({b"authorization", b"apikey", b"content-type", b"host", b"idempotency-key"})
_PATH = re.compile(rb"(?:/(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})*)+", re.ASCII)
# Encoded slash, backslash, dot, NUL and other controls; at a second decoding, too.
_AMBIGUOUS = re.compile(rb"%(25)*(2f|5c|2e|[01][0-9a-f]|7f)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Request:
    """`path` and `query` are raw bytes; header names are lower case."""

    method: str
    path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    peer: str

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    def all(self, name: bytes) -> list[bytes]:
        """Every header of that name, in order."""
        return [value for key, value in self.headers if key == name]


def read_request(scope: Any) -> Request:
    """The request of an ASGI HTTP scope, unchecked: good enough for its log line, whatever it holds."""
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=scope["raw_path"],
        query=scope["query_string"],
        headers=tuple((name, value) for name, value in scope["headers"]),
        peer=client[0] if client else "",
    )


def check(request: Request, allowed_hosts: Sequence[str]) -> None:
    """Refuse what two readers could understand differently (http-rules section 1). Raises a Refused error."""
    if len(request.path) + len(request.query) > LONGEST_TARGET:
        raise UriTooLong
    size = sum(len(name) + len(value) for name, value in request.headers)
    if len(request.headers) > MOST_HEADERS or size > LARGEST_HEADERS:
        raise HeadersTooLarge
    names = [name for name, _ in request.headers]
    if any(names.count(name) > 1 for name in _SINGLE) or any(b"_" in name for name in names):
        raise Malformed
    if not _clear(request.path) or not request.query.isascii():
        raise Malformed
    _check_host(request.header(b"host"), allowed_hosts)


def _clear(path: bytes) -> bool:
    if _PATH.fullmatch(path) is None or _AMBIGUOUS.search(path) is not None:
        return False
    segments = path.split(b"/")[1:]
    return not any(segment in (b".", b"..") for segment in segments) and b"" not in segments[:-1]


def _check_host(host: bytes | None, allowed: Sequence[str]) -> None:
    if host is None:
        raise Malformed
    name = (
        host.decode("latin-1").rsplit(":", 1)[0]
        if not host.endswith(b"]")
        else host.decode("latin-1")
    )
    if name.lower() not in allowed:
        raise WrongHost
