"""`PoolTransport`: `httpx` over an upstream's pool, for all that is off the hot path.

    client = httpx.AsyncClient(transport=PoolTransport(upstream), base_url=upstream.base_url)

The pool's rules hold: this upstream and no other, strict answers, one total deadline (httpx's read timeout, or the
upstream's own if there is none), no cookies. Bodies stream both ways; a slow reader holds the socket. Closing the client
leaves the pool open, which others share.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping

import httpx
from typing_extensions import override

from runtime.tasks import spawn, stop
from runtime.upstream.errors import (
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamOpen,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from runtime.upstream.exchange import CHUNKED, Exchange, Header
from runtime.upstream.upstream import Upstream

RAISED: Mapping[type[UpstreamError], type[httpx.TransportError]] = {
    UpstreamUnreachable: httpx.ConnectError,
    UpstreamBusy: httpx.PoolTimeout,
    UpstreamOpen: httpx.ConnectError,
    UpstreamTimeout: httpx.ReadTimeout,
    UpstreamBroke: httpx.RemoteProtocolError,
}
_MUCH = 16 * 1024
"""From here on the socket is left alone. With what one reading brings, an answer holds about 256 KB of memory."""
_OURS = frozenset(
    b"connection content-length expect host keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
"""Of the hop, not of the request: the pool writes its own, or none."""
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


class PoolTransport(httpx.AsyncBaseTransport):
    """Raises httpx.TransportError, and nothing of the request is in its text."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._base = httpx.URL(upstream.base_url)
        self._prefix = self._base.raw_path.rstrip(b"/")

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - httpx has refused another kind
        target = self._target(request)
        whole = isinstance(stream, httpx.ByteStream)
        body = b"".join([part async for part in stream]) if whole else b""
        answer = _Answer()
        try:
            exchange = self._upstream.begin(
                request.method,
                target,
                [header for header in request.headers.raw if header[0].lower() not in _OURS],
                answer,
                body,
                streamed=None if whole else _length(request),
                deadline=request.extensions.get("timeout", {}).get("read"),
            )
        except ValueError as error:
            raise httpx.LocalProtocolError(str(error)) from None
        status, headers = await answer.begin(exchange, None if whole else stream)
        return httpx.Response(
            status,
            headers=[header for header in headers if header[0] != b"set-cookie"],
            stream=answer,
        )

    def _target(self, request: httpx.Request) -> bytes:
        """What follows the base URL, byte for byte. Nothing else can be reached, whatever the request says."""
        url, base = request.url, self._base
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("only http and https can be spoken here")
        raw: bytes = request.extensions.get("target", url.raw_path)
        rest = raw[len(self._prefix) :]
        if (
            (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port)
            or not raw.startswith(self._prefix)
            or rest[:1] not in (b"/", b"?", b"")
        ):
            raise httpx.ConnectError(f"only what is under {base} can be reached here")
        return rest


def _length(request: httpx.Request) -> int:
    announced = request.headers.get("content-length")
    if announced is None:
        return CHUNKED
    if not _DIGITS.fullmatch(announced):
        raise httpx.LocalProtocolError("the announced length is no number")
    return int(announced)


class _Answer(httpx.AsyncByteStream):
    """Receives one answer, and is its body; sends the request's body meanwhile."""

    def __init__(self) -> None:
        self._head: asyncio.Future[tuple[int, list[Header]]] = (
            asyncio.get_running_loop().create_future()
        )
        self._exchange: Exchange | None = None
        self._sender: asyncio.Task[None] | None = None
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._over = False
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        """The request's body may go on, or need not."""

    async def begin(
        self, exchange: Exchange, body: httpx.AsyncByteStream | None
    ) -> tuple[int, list[Header]]:
        """Status and headers, as soon as they are there."""
        self._exchange = exchange
        if body is not None:
            self._sender = spawn(self._send(exchange, body), name="upstream.send")
        try:
            return await self._head
        except BaseException:
            await self.aclose()
            raise

    async def _send(self, exchange: Exchange, body: httpx.AsyncByteStream) -> None:
        try:
            async for part in body:
                await self._room.wait()
                if self._over:
                    return
                self._send_part(exchange, part)
            await self._room.wait()
            if not self._over:
                self._send_part(exchange, None)
        except Exception as error:  # noqa: BLE001 - the caller's own body: what it raises, the caller gets
            exchange.cancel()
            self._fail(error)

    def _send_part(self, exchange: Exchange, part: bytes | None) -> None:
        try:
            if part is None:
                exchange.finish()
            elif not exchange.send(part):
                self._room.clear()
        except ValueError as error:
            raise httpx.LocalProtocolError(str(error)) from None

    # --- what the pool tells (runtime.upstream.exchange.Receiver)

    def answered(self, status: int, headers: list[Header], data: bytes, end: bool) -> None:
        if not self._head.done():
            self._head.set_result((status, headers))
        self.more(data, end)

    def more(self, data: bytes, end: bool) -> None:
        if data:
            self._parts.append(data)
            self._held += len(data)
        if end:
            self._stop()
        elif self._held >= _MUCH and self._exchange is not None:
            self._exchange.pause()
        self._news.set()

    def failed(self, error: UpstreamError) -> None:
        self._fail(RAISED[type(error)](f"{error.upstream}: {type(error).__name__}"))

    def drained(self) -> None:
        self._room.set()

    def _fail(self, error: Exception) -> None:
        self._stop()
        if self._head.done():
            self._error = error
        else:
            self._head.set_exception(error)

    def _stop(self) -> None:
        self._over = True
        self._room.set()
        self._news.set()

    # --- what the reader of the answer does

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._held -= len(part)
                if not self._held and self._exchange is not None:
                    self._exchange.resume()
                yield part
            if self._error is not None:
                raise self._error
            if self._over:
                return
            self._news.clear()
            await self._news.wait()

    @override
    async def aclose(self) -> None:
        if self._exchange is not None:
            self._exchange.cancel()
        self._parts.clear()
        self._stop()
        if self._sender is not None:
            await stop(self._sender)
