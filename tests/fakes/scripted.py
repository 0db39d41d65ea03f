"""An upstream that answers from a script: the seam at which flows are tested. Everything above the socket is the real thing."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import httpx
from typing_extensions import override

from runtime.upstream.connection import Connection
from runtime.upstream.upstream import Upstream
from tests.fakes.wire import MemoryTransport


class Trouble(Enum):
    """In place of an answer."""

    REFUSED = auto()
    RESET = auto()
    SILENCE = auto()


Play = Callable[[httpx.Request], httpx.Response]
Script = Play | Trouble


def scripted(name: str, base_url: str, script: Callable[[], Script], **options: Any) -> Upstream:
    """Asks `script` for what holds at the moment, at each connection and each request. A connection carries one exchange."""

    async def dial(connection: Connection) -> None:
        if script() is Trouble.REFUSED:
            raise ConnectionRefusedError
        connection.connection_made(_Line(connection, script))

    return Upstream(name, base_url, dial=dial, **options)


class _Line(MemoryTransport):
    """Takes a request, which the pool writes whole, and answers one turn of the loop later."""

    def __init__(self, connection: Connection, script: Callable[[], Script]) -> None:
        super().__init__()
        self._connection = connection
        self._script = script

    @override
    def write(self, data: Any) -> None:
        asyncio.get_running_loop().call_soon(self._play, bytes(data))

    def _play(self, data: bytes) -> None:
        script = self._script()
        if script is Trouble.SILENCE or self.closed:
            return
        if isinstance(script, Trouble):
            self._connection.connection_lost(ConnectionResetError())
            return
        request = _request(data)
        self._connection.data_received(_wire(script(request), request))


def _request(data: bytes) -> httpx.Request:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.split(b" ")
    pairs = [line.split(b": ", 1) for line in lines]
    return httpx.Request(
        method.decode(),
        "http://upstream",
        headers=[(name, value) for name, value in pairs if name.lower() != b"host"],
        content=body or None,
        extensions={"target": target},
    )


def _wire(response: httpx.Response, request: httpx.Request) -> bytes:
    echo = {"x-correlation-id": request.headers["x-correlation-id"], "connection": "close"}
    headers = [*response.headers.raw, *httpx.Headers(echo).raw]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %d X\r\n%b\r\n%b" % (response.status_code, lines, response.read())
