"""One client's connection: requests in, one answer after the other out, in order.

Whatever is not clear closes it, since nobody knows where the next request would begin; what the client still sends is
read and dropped for a moment then, so that it can see the answer (a close with unread bytes is a reset).
"""

import asyncio
from collections import deque
from typing import Final, Protocol, cast

from gateway.edge.address import canonical
from gateway.edge.body import ClientGone
from gateway.edge.clients import LEAST_BODY_BYTES_PER_SECOND, Clients
from gateway.edge.head import Heads
from gateway.edge.reader import RequestReader
from gateway.edge.request import Request
from routes.refused import RequestTimeout, Unclear

HIGH_WATER: Final = 256 * 1024
LINGER_SECONDS: Final = 1.0
MOST_DROPPED: Final = 4 * 1024 * 1024
MOST_PIPELINED: Final = 64
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Call(Protocol):
    """A request that is being answered. It calls `ClientConnection.finish` or `abort` in the end."""

    def gone(self) -> None:
        """The client has left: stop."""

    def pause(self) -> None:
        """The client does not keep up: send no more until `resume`."""

    def resume(self) -> None: ...


class Server(Protocol):
    """Who answers. A call that ends at once ends before it is returned."""

    def begin(self, request: Request, client: "ClientConnection") -> Call: ...

    def refuse(
        self,
        reason: Unclear,
        headers: dict[bytes, bytes],
        client: "ClientConnection",
        *,
        head: bool,
    ) -> Call:
        """Tell why nothing more is read here. `head`: it was a HEAD request, whose answer has no body."""
        ...


class ClientConnection:
    """Made for each accepted connection: an asyncio.Protocol by its methods, since a compiled class cannot inherit from one."""

    def __init__(self, server: Server, clients: Clients, heads: Heads) -> None:
        self._server = server
        self._clients = clients
        self._heads = heads
        self._reader: RequestReader
        self._call: Call | None = None
        self._busy = False
        self._choosing = False
        self._queue: deque[tuple[Request, bool]] = deque()
        self._refused = False
        self._lingering = False
        self._dropped = 0
        self._closed = False
        self._paused = False
        self._stalled = False
        self._answers = 0
        self._phase: tuple[str, int] = ("", 0)
        self._since = 0.0
        self.keep = True
        """The request that is being answered lets the connection live."""
        self.address = ""
        self.transport: asyncio.Transport

    # --- for whoever answers

    def send(self, data: bytes) -> None:
        """Bytes of the answer."""
        if not self._closed:
            self.transport.write(data)

    def finish(self) -> None:
        """The answer is complete."""
        self._call = None
        self._busy = False
        self._answers += 1
        if self._closed:
            return
        if self.closes:
            self._linger()
            return
        if self._queue or self._refused or self._reader.refusal is not None:
            self._next()
        if self._paused and not self._queue:
            self._paused = False
            self.transport.resume_reading()

    def _hold(self, on: bool) -> None:
        """Nobody can take more of the body that is arriving, or somebody can again."""
        if self._closed or self._paused:
            return
        if on:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def abort(self) -> None:
        """Break off: the answer must not look complete."""
        self._call = None
        self._closed = True
        self.transport.abort()

    def shutdown(self) -> None:
        """The server stops: an idle connection ends now, another one after its answer."""
        self.keep = False
        self._queue.clear()
        if not self._busy and not self._closed:
            self._close()

    @property
    def closes(self) -> bool:
        """The answer is the last one here: its head should say so. Nobody reads a body whose request was answered already."""
        return not self.keep or self._reader.body is not None

    @property
    def gone(self) -> bool:
        return self._closed

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = canonical(peer[0]) or "" if isinstance(peer, tuple) else ""
        self._reader = RequestReader(
            self._heads, self.address, proceed=self._proceed, hold=self._hold
        )
        if not self._clients.admit(self):
            self._closed = True
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        if self._lingering or self._refused:
            self._drop(data)
            return
        reader = self._reader
        reader.feed(data)
        if reader.arrived:
            self._queue.extend(reader.arrived)
            reader.arrived.clear()
        if reader.ended or len(self._queue) > MOST_PIPELINED:
            self._refused = True
        if not self._busy:
            self._next()
        if self._queue and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """A client that has said all may still read its answer."""
        if not self._busy or self._reader.body is not None:
            return False
        self.keep = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._clients.leave(self)
        self._queue.clear()
        if self._reader.body is not None:
            self._reader.body.fail(ClientGone())
        self._reader.forget()
        call, self._call = self._call, None
        if call is not None:
            call.gone()

    def pause_writing(self) -> None:
        self._stalled = True
        if self._call is not None:
            self._call.pause()

    def resume_writing(self) -> None:
        self._stalled = False
        if self._call is not None:
            self._call.resume()

    # --- one after the other

    def _next(self) -> None:
        """Begin the next request; several in a row, but not in each other, if they are answered at once."""
        if self._choosing:
            return
        self._choosing = True
        while not self._busy and not self._closed and not self._lingering:
            if self._queue:
                request, keep = self._queue.popleft()
                self.keep = self.keep and keep
                self._begin(request)
            elif self._refused:
                self._linger()
            elif self._reader.refusal is not None:
                self._refuse(self._reader.refusal)
            else:
                break
        self._choosing = False

    def _begin(self, request: Request) -> None:
        self._busy = True
        call = self._server.begin(request, self)
        if self._busy:
            self._call = call

    def _refuse(self, reason: Unclear) -> None:
        self._refused = self._busy = True
        self.keep = False
        reader = self._reader
        call = self._server.refuse(reason, reader.headers, self, head=reader.is_head)
        if self._busy:
            self._call = call

    def _proceed(self) -> None:
        """Somebody wants the body that the client holds back."""
        self.send(_CONTINUE)

    # --- the end

    def _linger(self) -> None:
        """Nothing more is sent; what still comes is dropped for a moment."""
        if self._closed or self._lingering:
            return
        self._lingering = True
        self._queue.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        body = self._reader.body
        if self._paused or (body is not None and body.held):
            self._paused = False
            self.transport.resume_reading()

    def _drop(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > MOST_DROPPED:
            self._close()

    def _close(self) -> None:
        self._closed = True
        self.transport.close()

    # --- the passing of time

    def look(self, now: float) -> None:
        """Looked at a few times a second, so that no request pays for a clock: a phase has begun when it is first seen."""
        phase = (self._what(), self._answers)
        if phase != self._phase:
            self._phase, self._since = phase, now
            return
        spent, patience = now - self._since, self._clients.patience
        match phase[0]:
            case "linger" if spent > LINGER_SECONDS:
                self._close()
            case "body" if spent > patience.body:
                body = self._reader.body
                if body is not None and body.size < spent * LEAST_BODY_BYTES_PER_SECOND:
                    self._too_slow()
            case "stalled" if spent > patience.idle:
                self.transport.abort()
            case "head" if spent > patience.head:
                self._too_slow()
            case "new" if spent > patience.head:
                self._close()
            case "idle" if spent > patience.idle:
                self._close()

    def _what(self) -> str:
        if self._lingering:
            return "linger"
        if self._stalled:
            return "stalled"
        body = self._reader.body
        if body is not None:
            return "busy" if body.held else "body"
        if self._busy:
            return "busy"
        if self._reader.in_head:
            return "head"
        return "idle" if self._answers else "new"

    def _too_slow(self) -> None:
        body = self._reader.body
        self._reader.refusal = RequestTimeout()
        if not self._busy:
            self._refuse(self._reader.refusal)
        elif body is not None:
            body.fail(self._reader.refusal)
