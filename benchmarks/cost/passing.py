"""The gateway's own listener and pool with nothing between them: what `benchmarks.cost.bare` serves.

Strict HTTP on both sides, as in the product; no route, token, flag, correlation id, limit, record or count. It is compiled
with the product's modules, or the comparison would be with something slower than it need be.
"""

import gc
from typing import Any, ClassVar, Final

from gateway.edge.clients import Clients, Patience
from gateway.edge.connection import ClientConnection
from gateway.edge.head import Heads
from gateway.edge.request import Request
from gateway.edge.served import ServedConnection
from gateway.response import encode_head, encode_lines
from routes.refused import Unclear
from runtime.upstream.errors import UpstreamError
from runtime.upstream.exchange import Exchange, Header
from runtime.upstream.upstream import Upstream

_NOT_PASSED_ON: Final = frozenset(
    {
        b"host",
        b"connection",
        b"keep-alive",
        b"te",
        b"transfer-encoding",
        b"content-length",
        b"upgrade",
    }
)


class Bare:
    """What a served connection needs of a gateway."""

    protocol: ClassVar[type[ServedConnection]] = ServedConnection

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.clients = Clients(Patience(), per_address=10_000)
        self.heads = Heads(hosts=("127.0.0.1",))

    def begin(self, request: Request, client: ClientConnection) -> "Passing":
        target = request.path + b"?" + request.query if request.query else request.path
        head = self.upstream.start(request.method, target)
        for name, value in request.headers.items():
            if name not in _NOT_PASSED_ON:
                head += b"\r\n%b: %b" % (name, value)
        passing = Passing(client)
        passing.exchange = self.upstream.begin_head(request.method, head, passing)
        return passing

    def refuse(
        self,
        reason: Unclear,
        headers: dict[bytes, bytes],
        client: ClientConnection,
        *,
        head: bool,
    ) -> "Passing":
        passing = Passing(client)
        passing.end(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        return passing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                gc.collect()
                gc.freeze()
                gc.set_threshold(10_000, 10, 10)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


class Passing:
    """One answer on its way through."""

    __slots__ = ("chunked", "client", "exchange")

    def __init__(self, client: ClientConnection) -> None:
        self.client = client
        self.exchange: Exchange | None = None
        self.chunked = False

    def answered(self, status: int, headers: list[Header], data: bytes, end: bool) -> None:
        kept = []
        content_type = length = None
        for name, value in headers:
            if name == b"content-type":
                content_type = value
            elif name == b"content-length":
                length = int(value)
            elif name not in _NOT_PASSED_ON:
                kept.append((name, value))
        whole = len(data) if end else length
        self.chunked = whole is None
        head = encode_head(
            status,
            encode_lines(kept),
            content_type=content_type,
            length=whole,
            close=not self.client.keep,
        )
        if end:
            self.end(head + data)
        else:
            self.client.send(head)
            self.more(data, False)

    def more(self, data: bytes, end: bool) -> None:
        if self.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            data += b"0\r\n\r\n" if end else b""
        if end:
            self.end(data)
        else:
            self.client.send(data)

    def end(self, data: bytes) -> None:
        self.exchange = None
        self.client.send(data)
        self.client.finish()

    def failed(self, error: UpstreamError) -> None:
        self.client.abort()

    def drained(self) -> None:
        """Only reads are measured."""

    def gone(self) -> None:
        if self.exchange is not None:
            self.exchange.cancel()

    def pause(self) -> None:
        if self.exchange is not None:
            self.exchange.pause()

    def resume(self) -> None:
        if self.exchange is not None:
            self.exchange.resume()
