"""The gateway's client side without a socket: httpx requests become bytes for a ClientConnection, and its bytes httpx answers."""

import asyncio
from typing import Any, cast

import h11
import httpx
from typing_extensions import override

from gateway.edge.connection import ClientConnection
from gateway.server import Gateway


class MemoryTransport(asyncio.Transport):
    """Keeps what is written; knows whether it was closed, and how."""

    def __init__(self, peer: str = "127.0.0.1") -> None:
        super().__init__({"peername": (peer, 1)})
        self.written = bytearray()
        self.closed = self.aborted = self.eof = self.paused = False
        self.changed = asyncio.Event()

    @override
    def write(self, data: Any) -> None:
        self.written += data
        self.changed.set()

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered here."""

    @override
    def get_write_buffer_size(self) -> int:
        return 0

    @override
    def can_write_eof(self) -> bool:
        return True

    @override
    def write_eof(self) -> None:
        self.eof = True
        self.changed.set()

    @override
    def close(self) -> None:
        self.closed = True
        self.changed.set()

    @override
    def abort(self) -> None:
        self.closed = self.aborted = True
        self.changed.set()

    @override
    def is_closing(self) -> bool:
        return self.closed

    @override
    def pause_reading(self) -> None:
        self.paused = True

    @override
    def resume_reading(self) -> None:
        self.paused = False


class Wire(httpx.AsyncBaseTransport):
    """A connection per request."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        transport = MemoryTransport()
        client = ClientConnection(self.gateway, self.gateway.clients, self.gateway.heads)
        client.connection_made(transport)
        head = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
        lines = b"".join(b"%b: %b\r\n" % pair for pair in request.headers.raw)
        client.data_received(head + lines + b"\r\n" + await request.aread())
        try:
            return await _answer(transport, request)
        finally:
            client.connection_lost(None)


async def _answer(transport: MemoryTransport, request: httpx.Request) -> httpx.Response:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=request.method, target="/", headers=[("host", "x")]))
    parser.send(h11.EndOfMessage())
    body = b""
    head: h11.Response | None = None
    taken = 0
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            if taken < len(transport.written):
                parser.receive_data(bytes(transport.written[taken:]))
                taken = len(transport.written)
            elif transport.closed or transport.eof:
                raise httpx.RemoteProtocolError("the answer was cut off")
            else:
                transport.changed.clear()
                await transport.changed.wait()
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            found = cast(h11.Response, head)
            return httpx.Response(
                found.status_code, headers=list(found.headers.raw_items()), content=body
            )
        elif isinstance(event, h11.Response):
            head = event
