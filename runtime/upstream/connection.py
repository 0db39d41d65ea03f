"""One connection to an upstream: one exchange at a time, and closed at the first doubt.

Framing is strict (http-rules section 2). It goes back to the pool only if the answer ended by its own framing, the peer
wants to keep it, the request went out whole, and nothing came behind the answer: a stray byte would be the next user's
answer. (A stray line end in the same segment is dropped by the parser, and so is nobody's.)
"""

import asyncio
import select
from typing import Final, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from runtime.headernames import LOWER
from runtime.upstream.errors import UpstreamBroke, UpstreamError
from runtime.upstream.exchange import CHUNKED, Exchange, Header
from runtime.upstream.outbox import Outbox

MOST_HEADERS: Final = 200
LARGEST_HEADERS: Final = 64 * 1024
MOST_INTERIM: Final = 8
_HIGH_WATER: Final = 256 * 1024
_LONGEST_LENGTH: Final = 19
_NEW: Final = b"HTTP/1.1"
_OLD: Final = b"HTTP/1.0"
"""How an answer begins. The parser takes RTSP and ICE as well, HTTP/0.9 and 2.0, and empty lines before it."""


class Owner(Protocol):
    """The pool, as a connection sees it."""

    name: str

    def idle(self, connection: "Connection") -> None:
        """It may carry the next exchange."""

    def lost(self, connection: "Connection", exchange: Exchange | None, fresh: bool) -> None:
        """It is gone. `exchange` ended with it, its head not delivered; not `fresh`: it had been kept open, and not a byte
        of an answer had come, so the peer had closed it before it saw the request."""

    def began(self, exchange: Exchange, status: int) -> None:
        """The head of the answer is there and good; there is more to come."""

    def ended(self, exchange: Exchange, status: int) -> None:
        """The answer is whole."""

    def failed(self, exchange: Exchange, error: UpstreamError) -> None:
        """The exchange cannot be saved: part of the answer was delivered, or it is not what we accept."""


class _Refused(Exception):
    """The answer is not HTTP that we accept. Raised in the parser's callbacks, whose caller gets an HttpParserError."""


class Connection:
    """Made by the pool: an asyncio.Protocol by its methods, since a compiled class cannot inherit from one.

    Headers, chunks and flags are of the exchange that runs.
    """

    __slots__ = (
        "_chunks",
        "_complete",
        "_dead",
        "_exchange",
        "_headers",
        "_interim",
        "_keep",
        "_left",
        "_old",
        "_opening",
        "_outbox",
        "_owner",
        "_parser",
        "_paused",
        "_poll",
        "_stalled",
        "_status",
        "_undelivered",
        "_used",
        "idle_since",
        "transport",
    )

    def __init__(self, owner: Owner, outbox: Outbox) -> None:
        self._owner = owner
        self._outbox = outbox
        self._parser = HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._dead = False
        self._used = 0
        self._paused = self._stalled = False
        self._poll: select.poll | None = None
        self._chunks: list[bytes] = []
        self.transport: asyncio.Transport
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        return not self._dead and not self.transport.is_closing()

    def silent(self) -> bool:
        """Whether nothing waits in the socket, bytes or its end, that the event loop has not brought yet."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    # --- what the pool and the exchange ask for

    def start(self, exchange: Exchange) -> None:
        """Send the request, in this turn of the event loop. The connection is this exchange's until the owner hears of it again."""
        self._exchange = exchange
        self._used += 1
        self._headers: list[Header] = []
        self._opening: bytes | None = b""
        self._status = self._interim = self._undelivered = 0
        self._complete = self._old = False
        self._left = exchange.streamed
        exchange.connection = self
        exchange.sent = False
        if exchange.paused:
            self.pause(exchange)
        if exchange.streamed is None:
            self._outbox.add(exchange)
        else:
            exchange.sent = True
            self.transport.write(exchange.wire)
            exchange.receiver.drained()

    def transmit(self, exchange: Exchange) -> None:
        """The outbox's turn. What has ended since `start`, or has something to say, takes no request: it is lost unsent."""
        if not self.usable or (exchange.careful and self._used > 1 and not self.silent()):
            self._end()
            return
        exchange.sent = True
        self.transport.write(exchange.wire)

    def pause(self, exchange: Exchange) -> None:
        if exchange is self._exchange and not self._paused and self.usable:
            self._paused = True
            self.transport.pause_reading()

    def resume(self, exchange: Exchange) -> None:
        if exchange is self._exchange:
            self._resume()

    def send_body(self, exchange: Exchange, data: bytes) -> bool:
        """Part of a streamed body. Raises ValueError for more than was announced. False once the buffer is full."""
        if exchange is not self._exchange or self._dead or self._left is None:
            return False
        if self._left == CHUNKED:
            if data:
                self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            if len(data) > self._left:
                raise ValueError("more of the body than its announced length")
            self._left -= len(data)
            self.transport.write(data)
        return not self._stalled

    def finish_body(self, exchange: Exchange) -> None:
        """End of a streamed body. Raises ValueError if it is shorter than announced."""
        if exchange is not self._exchange or self._dead:
            return
        if self._left == CHUNKED:
            self.transport.write(b"0\r\n\r\n")
        elif self._left:
            raise ValueError("less of the body than its announced length")
        self._left = None

    def close(self) -> None:
        """At once, whatever runs on it: nobody hears of that exchange again."""
        self._exchange = None
        self._end()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None or not exchange.sent:
            self._end()  # nobody asked for anything
            return
        if self._opening is not None:
            data = self._opening + data
            if not data.startswith(_NEW) and not self._begins_otherwise(exchange, data):
                return
            self._opening = None
        self._undelivered += len(data)
        clean = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            clean = False
        if self._complete:
            self._finish(exchange, clean=clean)
        elif clean:
            self._pass_on(exchange)
        else:
            self._break(exchange)

    def _begins_otherwise(self, exchange: Exchange, data: bytes) -> bool:
        """Whether it begins as an answer of the old HTTP does; if it may still become one of either, it is kept until then."""
        self._old = data.startswith(_OLD)
        if not self._old:
            self._opening = data
            if not _NEW.startswith(data) and not _OLD.startswith(data):
                self._break(exchange)
        return self._old

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def pause_writing(self) -> None:
        self._stalled = True

    def resume_writing(self) -> None:
        self._stalled = False
        if self._exchange is not None and self._left is not None:
            self._exchange.receiver.drained()

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        if self._complete:
            raise _Refused  # bytes behind the answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # else a trailer: dropped
            lower = LOWER.get(name)
            self._headers.append((name.lower() if lower is None else lower, value))

    def on_headers_complete(self) -> None:
        if self._undelivered > LARGEST_HEADERS or len(self._headers) > MOST_HEADERS:
            self._check_size()
        status = self._parser.get_status_code()
        if status < 200:
            self._drop_interim(status)
            return
        if status > 599 or (self._interim and self._parser.get_http_version() != "1.1"):
            raise _Refused
        self._status = status
        framed = self._framed()
        if self._exchange is None or self._exchange.method == "HEAD":
            # The parser cannot know that, and waits for a body: it, and so the connection, is not used again.
            self._complete, self._keep = True, False
        elif not framed and status not in (204, 304):
            raise _Refused

    def _check_size(self) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > LARGEST_HEADERS or len(self._headers) > MOST_HEADERS:
            raise _Refused

    def _drop_interim(self, status: int) -> None:
        """An interim answer. The parser reads a body after one that announces it; there is no such thing (RFC 9110 15.2)."""
        self._interim += 1
        if status == 101 or status < 100 or self._interim > MOST_INTERIM:
            raise _Refused
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers):
            raise _Refused
        self._headers.clear()

    def _framed(self) -> bool:
        """Whether the body's end can be told: by a length or by chunks (the parser refuses both at once, and two lengths).

        A body that ends with the connection could be cut unnoticed; other transfer codings are not unwrapped here. In the
        same breath: somebody else's answer is the one thing that must never happen, so a wanted echo must be there.
        """
        framed = False
        chunked = 0
        echo = None if self._exchange is None else self._exchange.echo
        echoed = echo is None
        for name, value in self._headers:
            if name == b"content-length":
                framed = True
                if len(value) > _LONGEST_LENGTH:
                    raise _Refused  # with leading zeros it may be longer than anybody's integers
            elif name == b"transfer-encoding":
                chunked += 1 if value.rstrip().lower() == b"chunked" else 2
            elif name == b"x-correlation-id" and echo is not None:
                if value != echo:
                    raise _Refused
                echoed = True
        if not echoed:
            raise _Refused
        if not chunked:
            return framed
        # To HTTP/1.0 a transfer coding means nothing: faulty framing (RFC 9112 section 6.1).
        if chunked > 1 or self._old:
            raise _Refused
        return True

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._chunks.append(data)

    def on_message_complete(self) -> None:
        if self._status and not self._complete:
            self._complete = True
            # Asked at the end: a trailer may have said `close`. The old HTTP is not believed: it may say both.
            self._keep = self._parser.should_keep_alive() and not self._old

    # --- what follows from them

    def _pass_on(self, exchange: Exchange) -> None:
        """The answer goes on behind this."""
        if self._chunks:
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._undelivered = 0
        else:
            data = b""
        if self._status and not exchange.started:
            exchange.started = True
            self._undelivered = 0
            self._owner.began(exchange, self._status)
            exchange.receiver.answered(self._status, self._headers, data, False)
        elif data:
            exchange.receiver.more(data, False)
        elif self._undelivered > LARGEST_HEADERS:
            self._break(exchange)  # a head, a chunk extension or a trailer without end

    def _finish(self, exchange: Exchange, *, clean: bool) -> None:
        """The answer is whole. The connection is given back first: the receiver may need the next one."""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        status, headers = self._status, self._headers  # `idle` may start the next exchange on us
        exchange.done = True
        started, exchange.started = exchange.started, True
        exchange.connection = self._exchange = None
        owner, transport = self._owner, self.transport
        owner.ended(exchange, status)
        if (
            clean
            and self._keep
            and self._left is None
            and not self._dead
            and not transport.get_write_buffer_size()
        ):
            if self._paused:
                self._resume()
            owner.idle(self)
        else:
            self._end()
        if started:
            exchange.receiver.more(data, True)
        else:
            exchange.receiver.answered(status, headers, data, True)

    def _break(self, exchange: Exchange) -> None:
        """What came is not an answer that we accept."""
        self._exchange = None
        self._end()
        self._owner.failed(exchange, UpstreamBroke(self._owner.name))

    def _end(self) -> None:
        """Close, and tell the owner once."""
        if self._dead:
            return
        self._dead = True
        self.transport.abort()
        exchange, self._exchange = self._exchange, None
        kept = self._used > 1 and exchange is not None and self._opening == b""
        self._owner.lost(self, exchange, not kept)

    def _resume(self) -> None:
        if self._paused and self.usable:
            self._paused = False
            self.transport.resume_reading()
