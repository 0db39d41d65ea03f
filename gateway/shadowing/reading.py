"""`Reading`: a service asked behind a caller's answer: by callbacks, without a task, since most readings end in equal bytes."""

from collections.abc import Callable
from typing import Final

from catalog.stage import Side
from gateway.forward import forwarded_head
from gateway.shadowing.pair import Pair
from gateway.shadowing.sides import Sides
from gateway.shadowing.told import LARGEST, Told
from runtime.accessrecord import many
from runtime.upstream.errors import UpstreamError, UpstreamTimeout
from runtime.upstream.exchange import Exchange, Header

_FAILED: Final = 502
_TOO_SLOW: Final = 504

Kept = Callable[[Pair, int], None]
Ended = Callable[[Pair, "Told | None"], None]


class Reading:
    """runtime.upstream.exchange.Receiver and runtime.accesslog.Waiter. `ended` is told once: the answer, None if there is none.

    `kept` is told how many bytes more are kept for the pair. Of a body that is too long the rest is not read.
    """

    __slots__ = ("_began", "_ended", "_exchange", "_facts", "_kept", "_pair", "_sides", "_told")

    def __init__(self, pair: Pair, sides: Sides, kept: Kept, ended: Ended) -> None:
        self._pair = pair
        self._sides = sides
        self._kept = kept
        self._ended = ended
        self._facts = pair.facts.behind(Side.SERVICE)
        self._began = sides.clock()
        self._exchange: Exchange | None = None
        self._told: Told | None = None

    def begin(self) -> None:
        """Ask. What comes of it may be told before this returns."""
        pair, user = self._pair, self._facts.user
        assert user is not None  # noqa: S101 - whoever is compared is known
        upstream = self._sides.services[pair.found.path]
        head = forwarded_head(upstream, pair.request, user, self._facts)
        exchange = upstream.begin_head("GET", head, self, echo=self._facts.wire_id)
        if self._told is not None and not self._told.whole:
            exchange.cancel()  # it was cut before we had it
        elif not exchange.done:
            self._exchange = exchange

    def answered(self, status: int, headers: list[Header], data: bytes, end: bool) -> None:
        content_type = etag = b""
        length = 0
        for name, value in headers:
            if name == b"content-type":
                content_type = value
            elif name == b"etag":
                etag = value
            elif name == b"content-length":
                length = int(value)
            elif name == b"x-banyan-rows" and value.isdigit() and not self._facts.single:
                self._facts.resource = many(int(value))
        told = self._told = Told(status, content_type, etag)
        if length > LARGEST and not end:
            told.size = length
            self._cut()
        else:
            self.more(data, end)

    def more(self, data: bytes, end: bool) -> None:
        told = self._told
        if told is None:
            return
        self._kept(self._pair, len(data))
        if not told.take(data) and not end:
            self._cut()
        elif end:
            self._exchange = None
            self._finish(told.status, told)

    def failed(self, error: UpstreamError) -> None:
        self._exchange = self._told = None
        self._finish(_TOO_SLOW if isinstance(error, UpstreamTimeout) else _FAILED, None)

    def drained(self) -> None:
        """Reads have no body."""

    def _cut(self) -> None:
        """It is too long already: the rest would only cost."""
        told, exchange, self._exchange = self._told, self._exchange, None
        if exchange is not None:
            exchange.cancel()
        if told is not None:
            self._finish(told.status, told)

    def _finish(self, status: int, told: Told | None) -> None:
        seconds = self._sides.clock() - self._began
        if told is not None:
            told.seconds = seconds
        self._sides.record(self._facts, status, seconds, self)

    def recorded(self, ok: bool) -> None:
        """Without a record the answer is not looked at."""
        self._ended(self._pair, self._told if ok else None)
