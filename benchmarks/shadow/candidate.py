"""A service that can be well or do harm: `python -m benchmarks.shadow.candidate`. Its port is its first line of output; `POST /be/TROUBLE`
says what it is from then on."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum

from typing_extensions import override

from benchmarks.cost.bodies import LARGE

HANG_SECONDS = 30.0
_MEGABYTE = b" " * 1024 * 1024
_MEGABYTES = 50


class Trouble(StrEnum):
    """What is done to whoever asks."""

    NONE = "none"
    HANG = "hang"
    RESET = "reset"
    FLOOD = "flood"
    """50 MB, with its length said before."""
    CHUNKS = "chunks"
    """50 MB, in chunks, so that nobody knows it before."""
    GARBAGE = "garbage"
    """An answer in order but for its body, which is no JSON."""
    NOISE = "noise"
    """Bytes that are no HTTP."""
    FAIL = "fail"
    OTHER = "other"
    """Every row differs: the comparator's work."""


SAYS: Mapping[Trouble, str] = {
    Trouble.HANG: "hangs for 30 s",
    Trouble.RESET: "resets every connection",
    Trouble.FLOOD: "answers 50 MB",
    Trouble.CHUNKS: "answers 50 MB in chunks",
    Trouble.GARBAGE: "answers garbage for JSON",
    Trouble.NOISE: "answers bytes that are no HTTP",
    Trouble.FAIL: "answers 500",
    Trouble.OTHER: "says something else in every row",
}


class _State:
    trouble = Trouble.NONE


class _Line(asyncio.Protocol):
    """One connection, one request at a time: the gateway does not pipeline."""

    def __init__(self, state: _State) -> None:
        self._state = state
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer and self._transport is not None:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if head.startswith(b"POST /be/"):
                self._state.trouble = Trouble(head.split(b" ")[1].decode().removeprefix("/be/"))
                self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                _DONE[self._state.trouble](self._transport, _id_of(head))


def _id_of(head: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        if line[:17].lower() == b"x-correlation-id:":
            return line[17:].strip()
    return b"none"


def _head(correlation_id: bytes, framing: bytes, status: bytes = b"200 OK") -> bytes:
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nX-Correlation-ID: %b\r\n%b\r\n\r\n"
        % (status, correlation_id, framing)
    )


def _whole(body: bytes, status: bytes = b"200 OK") -> "Do":
    framing = b"Content-Length: %d" % len(body)
    return lambda transport, id_: transport.write(_head(id_, framing, status) + body)


def _hang(transport: asyncio.Transport, correlation_id: bytes) -> None:
    answer = _whole(_WELL)
    asyncio.get_running_loop().call_later(HANG_SECONDS, answer, transport, correlation_id)


def _reset(transport: asyncio.Transport, correlation_id: bytes) -> None:
    raw: socket.socket = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _flood(transport: asyncio.Transport, correlation_id: bytes) -> None:
    transport.write(_head(correlation_id, b"Content-Length: %d" % (_MEGABYTES * len(_MEGABYTE))))
    _pour(transport, _MEGABYTES, _MEGABYTE)


def _chunks(transport: asyncio.Transport, correlation_id: bytes) -> None:
    transport.write(_head(correlation_id, b"Transfer-Encoding: chunked"))
    _pour(transport, _MEGABYTES, b"%x\r\n%b\r\n" % (len(_MEGABYTE), _MEGABYTE))


def _pour(transport: asyncio.Transport, left: int, piece: bytes) -> None:
    """As fast as it is taken, without keeping all of it for everybody here."""
    if not left or transport.is_closing():
        return
    wait = 0.0
    if transport.get_write_buffer_size() < len(piece):
        transport.write(piece)
        left -= 1
    else:
        wait = 0.005
    asyncio.get_running_loop().call_later(wait, _pour, transport, left, piece)


def _noise(transport: asyncio.Transport, correlation_id: bytes) -> None:
    transport.write(bytes(range(256)) * 40)


Do = Callable[[asyncio.Transport, bytes], None]
_WELL = LARGE.service.encode()
_DONE: Mapping[Trouble, Do] = {
    Trouble.NONE: _whole(_WELL),
    Trouble.HANG: _hang,
    Trouble.RESET: _reset,
    Trouble.FLOOD: _flood,
    Trouble.CHUNKS: _chunks,
    Trouble.GARBAGE: _whole(b"\x00\xff{[" * 5_000),
    Trouble.NOISE: _noise,
    Trouble.FAIL: _whole(b"{}", b"500 Internal Server Error"),
    Trouble.OTHER: _whole(_WELL.replace(b'"HBA1C"', b'"LIPID"')),
}


async def _serve() -> None:
    state = _State()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Line(state), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(_serve())
    except KeyboardInterrupt:
        sys.exit(0)
