"""A request body that goes to a service as it comes: neither side of it is ever whole in this process."""

import asyncio
from collections.abc import Iterable
from typing import Any

from typing_extensions import override

from gateway.edge.body import Body
from runtime.upstream.exchange import CHUNKED, Header
from runtime.upstream.reply import Collector, Reply
from runtime.upstream.upstream import Upstream

_LARGEST_ANSWER = 1024 * 1024


class _Pump(Collector):
    """Collects the answer, and opens the tap when the service can take more of the body."""

    def __init__(self, upstream: str, body: Body) -> None:
        super().__init__(upstream, _LARGEST_ANSWER)
        self._body = body
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def drained(self) -> None:
        if self.begun.done():
            self._body.go_on()
        else:
            self.begun.set_result(None)


async def upload(
    upstream: Upstream,
    path: bytes,
    headers: Iterable[Header],
    body: Body,
    *,
    deadline: float,
    echo: bytes,
) -> Reply:
    """The service's answer, which may come before the body has. Raises UpstreamError, and what the body raises when it does
    not become complete (then the service has not seen its end, and has written nothing)."""
    pump = _Pump(upstream.name, body)
    exchange = upstream.begin(
        "PUT",
        path,
        headers,
        pump,
        streamed=body.announced or CHUNKED,
        deadline=deadline,
        echo=echo,
    )
    pump.exchange = exchange
    try:
        await _first(pump.begun, pump.reply)
        if not pump.reply.done():
            poured = body.pour(exchange.send)
            await _first(poured, pump.reply)
            if poured.done():
                poured.result()
                exchange.finish()
        return await pump.reply
    finally:
        exchange.cancel()


async def _first(*waited: "asyncio.Future[Any]") -> None:
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
