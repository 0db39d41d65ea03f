"""`Upstream`: one of the services, or Supabase, with connections, deadlines, retries and a circuit breaker of its own."""

import asyncio
import re
from collections.abc import Iterable
from ssl import SSLContext
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from runtime.upstream.breaker import Breaker
from runtime.upstream.dial import Dial, dialler
from runtime.upstream.errors import (
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamOpen,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from runtime.upstream.exchange import CHUNKED, SAFE_METHODS, Exchange, Header, Receiver
from runtime.upstream.pool import Pool
from runtime.upstream.reply import Collector, Reply
from runtime.upstream.retry_budget import RetryBudget

_FAILURES: Final = frozenset({502, 503, 504})
"""Statuses that say of the upstream what a reset says."""
_MOST_ATTEMPTS: Final = 2
_PATH: Final = re.compile(r"[!-~]*", re.ASCII)
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_TARGET: Final = re.compile(rb"/[!-~\x80-\xff]*")
_LINE_END: Final = "a header of the request holds a line end"


class Upstream:
    """One upstream at a fixed base URL. Nothing else can be reached through it, whatever a target says. Times in seconds."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        connections: int = 100,
        pool_wait: float = 0.25,
        connect: float = 2.0,
        deadline: float = 5.0,
        first_byte: float | None = None,
        idle: float = 30.0,
        max_bytes: int = 64 * 1024 * 1024,
        tls: SSLContext | None = None,
        breaker: Breaker | None = None,
        retries: RetryBudget | None = None,
        dial: Dial | None = None,
    ) -> None:
        """`tls` is for an https URL, and verifies; `first_byte`: the head of the answer must be there by then, if not by the deadline of the whole; `dial`: makes
        connections in place of the URL's host and port."""
        parts = urlsplit(base_url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or "@" in parts.netloc
            or parts.query
            or parts.fragment
            or not _PATH.fullmatch(parts.path)
        ):
            raise ValueError(f"{name}: the base URL must be http(s)://host[:port][/path]")
        if (parts.scheme == "https") != (tls is not None):
            raise ValueError(
                f"{name}: an https URL needs a TLS context, and only such a one has it"
            )
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.tls = tls
        self.breaker = breaker or Breaker(clock=monotonic)
        self.retries = retries or RetryBudget(clock=monotonic)
        self.repeated = 0
        """Requests that were sent a second time."""
        self._prefix = parts.path.rstrip("/").encode()
        self._before_target = b" " + self._prefix
        self._behind_target = b" HTTP/1.1\r\nhost: " + parts.netloc.encode()
        self._deadline = deadline
        self._first_byte = first_byte
        self._max_bytes = max_bytes
        self._pool = Pool(
            name,
            dial or dialler(parts.hostname, parts.port or (443 if tls else 80), tls),
            connections=connections,
            wait=pool_wait,
            connect=connect,
            idle=idle,
            began=self._began,
            ended=self._ended,
            failed=self._failed,
            lost=self._lost,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_cancelled = self._cancelled  # bound once

    # --- what a caller may do

    async def fetch(
        self,
        method: str,
        target: bytes,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        *,
        deadline: float | None = None,
        echo: bytes | None = None,
    ) -> Reply:
        """One exchange, its answer whole. Raises UpstreamError."""
        collector = Collector(self.name, self._max_bytes)
        exchange = self.begin(
            method, target, headers, collector, body, deadline=deadline, echo=echo
        )
        collector.exchange = exchange
        try:
            return await collector.reply
        finally:
            exchange.cancel()

    def begin(
        self,
        method: str,
        target: bytes,
        headers: Iterable[Header],
        receiver: Receiver,
        body: bytes = b"",
        *,
        streamed: int | None = None,
        deadline: float | None = None,
        echo: bytes | None = None,
    ) -> Exchange:
        """Start one exchange; `receiver` is told what comes, perhaps before this returns.

        `target` is the raw path and query behind the base URL, sent as it is, like the headers: nothing is added but Host
        and the body's framing. `echo`: the answer must carry this X-Correlation-ID, and no other. Raises ValueError for a
        head that would not be one head.
        """
        if (
            not _METHOD.fullmatch(method)
            or not _TARGET.fullmatch(self._prefix + target)
            or target[:1] not in (b"/", b"?", b"")
        ):
            raise ValueError("method and target must be one word each")
        words = [self.start(method, target)]
        lines = 1
        for name, value in headers:
            words += (b"\r\n", name, b": ", value)
            lines += 1
        head = b"".join(words)
        if not head.count(b"\r\n") == head.count(b"\r") == head.count(b"\n") == lines:
            raise ValueError(_LINE_END)
        if b"\0" in head:
            raise ValueError(_LINE_END)
        return self.begin_head(
            method,
            head,
            receiver,
            body,
            streamed=streamed,
            deadline=deadline,
            echo=echo,
        )

    def start(self, method: str, target: bytes) -> bytes:
        """The beginning of a head: request line and Host."""
        return b"".join((method.encode(), self._before_target, target, self._behind_target))

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
        """`begin` with what `start` gives and further lines already joined, without the last line's end.

        `repeated`: the caller has sent this before, and says so.

        Whoever joins them vouches for them: a line end in a value would begin another header. The gateway's come from a
        parser that lets none through, and looking for them again is a twentieth of what a request costs.
        """
        if streamed is not None:
            head += (
                b"\r\ntransfer-encoding: chunked"
                if streamed == CHUNKED
                else b"\r\ncontent-length: %d" % streamed
            )
        elif body or method not in SAFE_METHODS:
            head += b"\r\ncontent-length: %d" % len(body)
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        total = deadline or self._deadline
        first_byte = total if self._first_byte is None else min(self._first_byte, total)
        exchange = Exchange(
            method,
            head + b"\r\n\r\n" + body,
            receiver,
            deadline=now + total,
            first_byte_by=now + first_byte,
            echo=echo,
            streamed=streamed,
            ended_by=self._told_cancelled,
        )
        if repeated:
            self.retries.repeated()
        else:
            self.retries.request()
        self._attempt(exchange)
        return exchange

    async def close(self) -> None:
        """Close every connection; what runs fails."""
        await self._pool.close()

    @property
    def connections(self) -> int:
        """Open ones, idle ones included."""
        return self._pool.open

    @property
    def idle_connections(self) -> int:
        return self._pool.free

    # --- attempts

    def _attempt(self, exchange: Exchange) -> None:
        exchange.ticket = self.breaker.allow()
        exchange.attempts += 1
        if not exchange.ticket:
            self._give_up(exchange, UpstreamOpen(self.name))
        elif exchange.attempts == 1:
            self._pool.submit(exchange)
        else:
            self.repeated += exchange.sent
            self._pool.submit_afresh(exchange)

    def _began(self, exchange: Exchange, status: int) -> None:
        exchange.expires = exchange.deadline
        if status in _FAILURES:
            self._report_failed(exchange)

    def _ended(self, exchange: Exchange, status: int) -> None:
        if status in _FAILURES:
            self._report_failed(exchange)
        else:
            self.breaker.succeeded(exchange.ticket)

    def _lost(self, exchange: Exchange, fresh: bool) -> None:
        """The connection died. What was kept open may have been closed as we sent: that is no failure of the upstream."""
        if not exchange.sent and exchange.attempts < _MOST_ATTEMPTS:
            self.breaker.gave_up(exchange.ticket)
            self._attempt(exchange)  # whatever the method: not a byte of it has left
        elif not exchange.sent:
            self._failed(exchange, UpstreamUnreachable(self.name))
        elif (
            exchange.started or exchange.method not in SAFE_METHODS or exchange.streamed is not None
        ):
            self._failed(exchange, UpstreamBroke(self.name))
        elif not fresh and exchange.attempts < _MOST_ATTEMPTS:
            self.breaker.gave_up(exchange.ticket)
            self._attempt(exchange)
        elif exchange.attempts < _MOST_ATTEMPTS and self.retries.allow():
            self._report_failed(exchange)
            self._attempt(exchange)
        else:
            self._failed(exchange, UpstreamBroke(self.name))

    def _failed(self, exchange: Exchange, error: UpstreamError) -> None:
        slow_caller = isinstance(error, UpstreamTimeout) and exchange.started and exchange.paused
        if slow_caller or isinstance(error, UpstreamBusy):
            self._report_nothing(exchange)
        else:
            self._report_failed(exchange)
        self._give_up(exchange, error)

    def _cancelled(self, exchange: Exchange) -> None:
        self._report_nothing(exchange)
        self._pool.forget(exchange)

    def _give_up(self, exchange: Exchange, error: UpstreamError) -> None:
        if not exchange.done:
            exchange.done = True
            self._pool.forget(exchange)
            exchange.receiver.failed(error)

    # --- once per attempt, what the breaker is to know

    def _report_failed(self, exchange: Exchange) -> None:
        if exchange.ticket:
            ticket, exchange.ticket = exchange.ticket, 0
            self.breaker.failed(ticket)

    def _report_nothing(self, exchange: Exchange) -> None:
        if exchange.ticket:
            ticket, exchange.ticket = exchange.ticket, 0
            self.breaker.gave_up(ticket)
