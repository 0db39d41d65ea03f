"""An answer, and its head as it goes onto the wire."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

Header = tuple[bytes, bytes]

JSON: Final = b"application/json"
NO_STORE: Final = (b"cache-control", b"no-store")

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
    if status >= 200
}


@dataclass(frozen=True, kw_only=True)
class Response:
    """`headers` are beside content type and length, which come from the body; a HEAD or 304 answer sends no body."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[Header, ...] = field(default_factory=tuple)


def encode_lines(headers: Iterable[Header]) -> bytes:
    """Header lines, each with its end."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


def encode_head(
    status: int,
    lines: bytes,
    *,
    content_type: bytes | None,
    length: int | None,
    close: bool,
) -> bytes:
    """Everything up to the body; `lines` as `encode_lines` writes them. `length` None: the body comes in chunks.

    A status without a body has neither type nor length.
    """
    first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    if status in (204, 304):
        return first + lines + end
    if content_type is not None:
        lines += b"content-type: %b\r\n" % content_type
    if length is None:
        return b"%b%btransfer-encoding: chunked\r\n%b" % (first, lines, end)
    return b"%b%bcontent-length: %d\r\n%b" % (first, lines, length, end)
