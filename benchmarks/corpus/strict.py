"""A request reader of our own, as narrow as RFC 9112 allows, and h11 beside it as a second opinion.

Both read what reached an upstream, and what was sent to the gateway: neither shares a line with the parser under test.
"""

import re
from dataclasses import dataclass

import h11

from benchmarks.corpus.line import Header, Unreadable, read_field

# RFC 9112 section 3 lets a reader split at any number of blanks; what our gateway sends has one, as h11 checks.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([!-~]+) +HTTP/1\.([01])", re.ASCII)
_DIGITS = re.compile(rb"[0-9]{1,18}", re.ASCII)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})((?:;[\t\x20-\x7e\x80-\xff]*)?)", re.ASCII)
_LONGEST_HEAD = 128 * 1024


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as it was read, with its own bytes. Header names are lower case."""

    method: str
    target: bytes
    headers: tuple[Header, ...]
    body: bytes
    raw: bytes
    old: bool = False

    def header(self, name: bytes) -> bytes:
        """The first header of that name, or nothing."""
        return next((value for key, value in self.headers if key == name), b"")

    @property
    def last(self) -> bool:
        """Whether its sender sends no other behind it."""
        tokens = [
            token.strip().lower()
            for name, value in self.headers
            if name == b"connection"
            for token in value.split(b",")
        ]
        return b"close" in tokens or (self.old and b"keep-alive" not in tokens)


def read_request(data: bytes, start: int = 0) -> tuple[Seen, int] | None:
    """The first request from `start` and where it ends; None while it is incomplete. Raises Unreadable."""
    begin = start
    while data[begin : begin + 1] in (b"\r", b"\n"):
        begin += 1  # empty lines before a request are nothing to anybody (RFC 9112 section 2.2; nginx, HAProxy, llhttp)
    end = data.find(b"\r\n\r\n", begin)
    if end < 0:
        if len(data) - begin > _LONGEST_HEAD:
            raise Unreadable("a head without end")
        return None
    first, *lines = data[begin:end].split(b"\r\n")
    matched = _REQUEST_LINE.fullmatch(first)
    if matched is None:
        raise Unreadable("request line")
    headers = tuple(read_field(line) for line in lines)
    old = matched[3] == b"0"
    found = _body(data, end + 4, headers, old=old)
    if found is None:
        return None
    body, position = found
    return Seen(
        method=matched[1].decode(),
        target=matched[2],
        headers=headers,
        body=body,
        raw=data[begin:position],
        old=old,
    ), position


def _body(
    data: bytes, start: int, headers: tuple[Header, ...], *, old: bool
) -> tuple[bytes, int] | None:
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Unreadable("two framings")
    if codings:
        if old or codings[0].lower() != b"chunked":
            raise Unreadable("transfer-encoding")
        return _chunks(data, start)
    if not lengths:
        return b"", start
    if _DIGITS.fullmatch(lengths[0]) is None:
        raise Unreadable("content-length")
    end = start + int(lengths[0])
    return (data[start:end], end) if len(data) >= end else None


def _chunks(data: bytes, at: int) -> tuple[bytes, int] | None:
    body = bytearray()
    while True:
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        matched = _SIZE.fullmatch(data[at:line])
        if matched is None:
            raise Unreadable("chunk size")
        size, at = int(matched[1], 16), line + 2
        if size == 0:
            return _trailers(data, at, bytes(body))
        if len(data) < at + size + 2:
            return None
        if data[at + size : at + size + 2] != b"\r\n":
            raise Unreadable("chunk end")
        body += data[at : at + size]
        at += size + 2


def _trailers(data: bytes, at: int, body: bytes) -> tuple[bytes, int] | None:
    while True:
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        if line == at:
            return body, at + 2
        read_field(data[at:line])
        at = line + 2


def read_all(data: bytes) -> list[Seen]:
    """The requests of a connection, up to the first that is unreadable, incomplete, or the last by its own word."""
    found: list[Seen] = []
    at = 0
    while True:
        try:
            one = read_request(data, at)
        except Unreadable:
            return found
        if one is None:
            return found
        seen, at = one
        found.append(seen)
        if seen.last:
            return found


def h11_agrees(seen: Seen) -> bool:
    """Whether h11 reads the same single request from the same bytes."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2 * _LONGEST_HEAD)
    connection.receive_data(seen.raw)
    try:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return False
        body = bytearray()
        event = connection.next_event()
        while isinstance(event, h11.Data):
            body += event.data
            event = connection.next_event()
    except h11.RemoteProtocolError:
        return False
    return (
        isinstance(event, h11.EndOfMessage)
        and connection.trailing_data[0] == b""
        and (request.method.decode(), request.target, bytes(body))
        == (seen.method, seen.target, seen.body)
    )
