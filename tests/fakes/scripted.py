"""An upstream that answers from a script: the seam at which flows are tested."""

import asyncio
from collections.abc import Callable

import httpx
from typing_extensions import override

from runtime.upstream.errors import (
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from runtime.upstream.exchange import Exchange, Receiver
from runtime.upstream.upstream import Upstream

Script = Callable[[httpx.Request], httpx.Response]

_ERRORS: dict[type[httpx.TransportError], type[UpstreamError]] = {
    httpx.ConnectError: UpstreamUnreachable,
    httpx.PoolTimeout: UpstreamBusy,
    httpx.ReadTimeout: UpstreamTimeout,
    httpx.ReadError: UpstreamBroke,
    httpx.RemoteProtocolError: UpstreamBroke,
}


class ScriptedUpstream(Upstream):
    """Shows the script what would go out, and hands what it answers to the receiver, one turn of the loop later."""

    def __init__(self, name: str, base_url: str, script: Script) -> None:
        super().__init__(name, base_url)
        self._script = script
        self.declared_repeats = 0

    @override
    def begin_head(
        self,
        method: str,
        head: bytes,
        receiver: Receiver,
        body: bytes = b"",
        *,
        streamed: int | None = None,
        deadline: float | None = None,
        echo: bytes | None = None,
        repeated: bool = False,
    ) -> Exchange:
        self.declared_repeats += repeated
        loop = asyncio.get_running_loop()
        exchange = Exchange(
            method,
            head,
            receiver,
            deadline=loop.time() + 5,
            first_byte_by=loop.time() + 5,
            echo=echo,
            streamed=streamed,
            ended_by=lambda exchange: None,
        )
        loop.call_soon(self._play, exchange, _request(method, head, body), receiver)
        return exchange

    def _play(self, exchange: Exchange, request: httpx.Request, receiver: Receiver) -> None:
        if exchange.done:
            return
        exchange.done = True
        try:
            response = self._script(request)
        except httpx.TransportError as error:
            receiver.failed(_ERRORS[type(error)](self.name))
            return
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        receiver.answered(response.status_code, headers, response.read(), True)


def _request(method: str, head: bytes, body: bytes) -> httpx.Request:
    first, *lines = head.split(b"\r\n")
    pairs = [line.split(b": ", 1) for line in lines]
    target = first.split(b" ")[1]
    return httpx.Request(
        method,
        "http://upstream",
        headers=[(name, value) for name, value in pairs if name.lower() != b"host"],
        content=body or None,
        extensions={"target": target},
    )
