"""The connections to one upstream: a bulkhead of its own, so that what hangs here starves nobody else.

Whoever wants to send waits in one queue; a connection that becomes free or is made serves its head. The youngest idle
connection is taken first, so that the others may age and be closed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog

from runtime.tasks import spawn, stop
from runtime.upstream.connection import Connection
from runtime.upstream.dial import Dial
from runtime.upstream.errors import (
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from runtime.upstream.exchange import Exchange
from runtime.upstream.outbox import Outbox

log = structlog.get_logger("upstream")

_TICK_SECONDS: Final = 0.02
_IDLE_TICK_SECONDS: Final = 1.0


class Pool:
    """Made once per upstream; times in seconds. Told are: `began`, the head came; `ended`, the whole answer; `failed`, there
    is no hope; `lost`, the connection died before the head, and whether it was more than a kept one that had been closed."""

    def __init__(
        self,
        name: str,
        dial: Dial,
        *,
        connections: int,
        wait: float,
        connect: float,
        idle: float,
        began: Callable[[Exchange, int], None],
        ended: Callable[[Exchange, int], None],
        failed: Callable[[Exchange, UpstreamError], None],
        lost: Callable[[Exchange, bool], None],
    ) -> None:
        self.name = name
        self._dial = dial
        self._most = connections
        self._wait = max(0.0, wait - _TICK_SECONDS)
        self._connect = connect
        self._idle_seconds = idle
        self.began = began
        self._ended = ended
        self.failed = failed
        self._lost = lost
        self._outbox = Outbox()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._makers: set[asyncio.Task[Connection | None]] = set()
        self._waiting: OrderedDict[Exchange, None] = OrderedDict()
        self._running: dict[Exchange, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        """The timer is the fine one."""
        self._closed = False
        self._seen = 0.0
        """When the timer looked last: that is how old a connection is said to be that becomes idle."""
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def open(self) -> int:
        """Connections that exist or are being made."""
        return len(self._all) + len(self._makers)

    @property
    def free(self) -> int:
        """Connections that wait for work."""
        return len(self._idle)

    def submit(self, exchange: Exchange) -> None:
        """Send it as soon as there is a connection; it is failed if there is none in time."""
        self._running[exchange] = None
        if not self._busy:
            self._watch()
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable and not (exchange.careful and not connection.silent()):
                exchange.expires = exchange.first_byte_by
                connection.start(exchange)
                return
            connection.close()
        self._queue(exchange)

    def submit_afresh(self, exchange: Exchange) -> None:
        """`submit`, rather over a new connection than over one that was kept: such a one has just failed it."""
        if self.open >= self._most:
            self.submit(exchange)
        else:
            self._running[exchange] = None
            self._queue(exchange)

    def _queue(self, exchange: Exchange) -> None:
        if self._closed:
            self.failed(exchange, UpstreamUnreachable(self.name))
            return
        full = self.open >= self._most
        patience = self._wait if full else self._wait + self._connect
        exchange.expires = min(exchange.deadline, self._now() + patience)
        self._waiting[exchange] = None
        if not full:
            self._open_one()

    def forget(self, exchange: Exchange) -> None:
        """It is over before its time. If a connection carries it, that is closed; if it waits, it does no longer."""
        self._running.pop(exchange, None)
        self._waiting.pop(exchange, None)
        connection, exchange.connection = exchange.connection, None
        if connection is not None:
            connection.close()

    async def close(self) -> None:
        """Close every connection; exchanges that run fail, and so does what comes later."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for exchange in list(self._running):
            error = UpstreamBroke if exchange.sent else UpstreamUnreachable
            self.failed(exchange, error(self.name))
        for connection in list(self._all):
            connection.close()
        await stop(*self._makers)
        await asyncio.sleep(0)  # a transport lets go of its socket one turn later

    # --- what connections tell

    def idle(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        elif not self._waiting:
            connection.idle_since = self._seen
            self._idle.append(connection)
        elif connection.usable and connection.silent():
            self._start_next(connection)
        else:
            connection.close()

    def ended(self, exchange: Exchange, status: int) -> None:
        running = self._running
        if exchange in running:
            del running[exchange]
        self._ended(exchange, status)

    def lost(self, connection: Connection, exchange: Exchange | None, fresh: bool) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if exchange is not None:
            exchange.connection = None
            self._running.pop(exchange, None)
            self._lost(exchange, fresh)
        self._open_for_waiting()

    def _start_next(self, connection: Connection) -> None:
        exchange, _ = self._waiting.popitem(last=False)
        exchange.expires = exchange.first_byte_by
        connection.start(exchange)

    # --- making connections

    def _open_for_waiting(self) -> None:
        """Somebody waits whom no connection in the making will serve."""
        if len(self._waiting) > len(self._makers) and self.open < self._most and not self._closed:
            self._open_one()

    def _open_one(self) -> None:
        maker = spawn(self._make(), name=f"upstream.connect.{self.name}")
        self._makers.add(maker)
        # Not asyncio.timeout: that of early 3.11 lets a stray cancellation through to whoever waits.
        limit = asyncio.get_running_loop().call_later(self._connect, maker.cancel)

        def made(done: "asyncio.Task[Connection | None]") -> None:
            limit.cancel()
            self._makers.discard(maker)
            if done.cancelled() and not self._closed:
                log.warning("upstream.connect_failed", upstream=self.name, reason="timeout")
            connection = None if done.cancelled() or done.exception() else done.result()
            if connection is not None and connection.usable:
                self._add(connection)
            elif self._waiting:
                self.failed(next(iter(self._waiting)), UpstreamUnreachable(self.name))
                self._open_for_waiting()

        maker.add_done_callback(made)

    async def _make(self) -> Connection | None:
        """A connection, TLS included, or None: refused, unknown or unverified."""
        connection = Connection(self, self._outbox)
        try:
            await self._dial(connection)
        # ssl.SSLError and socket.gaierror are among the first; the second: a name that no resolver would be asked for
        except (OSError, UnicodeError) as error:
            log.warning("upstream.connect_failed", upstream=self.name, exc_info=error)
            return None
        return connection

    def _add(self, connection: Connection) -> None:
        self._all.add(connection)
        self._seen = self._now()
        if self._waiting and not self._closed:
            self._start_next(connection)
        else:
            self.idle(connection)
            if self._timer is None:
                self._watch()

    # --- the passing of time

    def _now(self) -> float:
        if self._loop is None:
            self._loop = (
                asyncio.get_running_loop()
            )  # asks the kernel for the process id each time (CPython 3.11)
        return self._loop.time()

    def _watch(self) -> None:
        """One timer for all, coarse, and none while there is nothing to watch: a timer per exchange costs more than the rest of it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        self._seen = now = loop.time()
        for exchange in [e for e in self._running if e.expires <= now]:
            error = UpstreamBusy if exchange in self._waiting else UpstreamTimeout
            self.failed(exchange, error(self.name))
        while self._idle and self._idle[0].idle_since + self._idle_seconds <= now:
            self._idle[0].close()
        self._busy = bool(self._running)
        if self._busy or self._idle:
            seconds = _TICK_SECONDS if self._busy else _IDLE_TICK_SECONDS
            self._timer = loop.call_later(seconds, self._watch)
