"""A raw client connection, and a reader of answers that takes no liberties."""

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

Header = tuple[bytes, bytes]

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) [\t\x20-\x7e]*", re.ASCII)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)", re.ASCII)
_DIGITS = re.compile(rb"[0-9]{1,15}", re.ASCII)
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,12}", re.ASCII)


class Unreadable(Exception):
    """These bytes are no answer of HTTP/1.1."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer. Header names are lower case."""

    status: int
    headers: tuple[Header, ...]
    body: bytes

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: bytes) -> bytes:
        """The only header of that name; empty without one. Unreadable if it comes twice."""
        found = self.all(name)
        if len(found) > 1:
            raise Unreadable(f"{name.decode()} came {len(found)} times")
        return found[0] if found else b""


def read_answer(data: bytes, *, head: bool = False) -> tuple[Answer, int] | None:
    """The first answer in `data` and where it ends; None while it is incomplete. Raises Unreadable."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > 256 * 1024:
            raise Unreadable("a head without end")
        return None
    first, *lines = data[:end].split(b"\r\n")
    matched = _STATUS_LINE.fullmatch(first)
    if matched is None:
        raise Unreadable("status line")
    status = int(matched[1])
    headers = tuple(read_field(line) for line in lines)
    if status < 200:
        return Answer(status=status, headers=headers, body=b""), end + 4
    found = _body(data, end + 4, headers, bodiless=head or status in (204, 304))
    if found is None:
        return None
    body, position = found
    return Answer(status=status, headers=headers, body=body), position


def read_field(line: bytes) -> Header:
    """A header or trailer line, its name in lower case. Raises Unreadable."""
    matched = _FIELD.fullmatch(line)
    if matched is None:
        raise Unreadable("header field")
    return matched[1].lower(), matched[2].rstrip(b" \t")


def _body(
    data: bytes, start: int, headers: tuple[Header, ...], *, bodiless: bool
) -> tuple[bytes, int] | None:
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Unreadable("two framings")
    if lengths and _DIGITS.fullmatch(lengths[0]) is None:
        raise Unreadable("content-length")
    if bodiless:
        return b"", start
    if codings:
        if codings[0].lower() != b"chunked":
            raise Unreadable("transfer-encoding")
        return _chunks(data, start)
    if not lengths:
        raise Unreadable("no framing")
    end = start + int(lengths[0])
    return (data[start:end], end) if len(data) >= end else None


def _chunks(data: bytes, at: int) -> tuple[bytes, int] | None:
    body = bytearray()
    while True:
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        if _SIZE.fullmatch(data[at:line]) is None:
            raise Unreadable("chunk size")
        size = int(data[at:line], 16)
        at = line + 2
        if len(data) < at + size + 2:
            return None
        if data[at + size : at + size + 2] != b"\r\n":
            raise Unreadable("chunk end")
        body += data[at : at + size]
        at += size + 2
        if size == 0:
            return bytes(body), at


class Line(asyncio.Protocol):
    """A connection that keeps all it receives. A reset is remembered, never raised: what came before it counts."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False
        self.was_reset = False
        self.blocked = False
        self._transport: asyncio.Transport | None = None
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def open(cls, host: str, port: int) -> "Line":
        _, line = await asyncio.get_running_loop().create_connection(cls, host, port)
        return line

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self.received += data
        self._news.set()

    @override
    def eof_received(self) -> bool:
        self.ended = True
        self._news.set()
        return False

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.was_reset = self.was_reset or exc is not None
        self._news.set()
        self._writable.set()

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    async def send(self, data: bytes) -> None:
        """Returns when it is in the kernel's hands, or the connection is gone."""
        if not self.transport.is_closing():
            self.transport.write(data)
            await self._writable.wait()

    async def until(self, holds: Callable[[], bool], *, within: float) -> bool:
        """Whether it held before the time was over; looked at after each piece that came."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not holds():
            left = deadline - loop.time()
            if left <= 0:
                return False
            self._news.clear()
            timer = loop.call_later(left, self._news.set)
            await self._news.wait()
            timer.cancel()
        return True

    def reset(self) -> None:
        """End the connection by RST."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def close(self) -> None:
        self.transport.abort()
