"""`Exchange`: one request and its answer, from the wish to the last byte; and `Receiver`, whom it tells."""

from collections.abc import Callable
from typing import Final, Protocol

from runtime.upstream.errors import UpstreamError

Header = tuple[bytes, bytes]

CHUNKED: Final = -1
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""RFC 9110 section 9.2.1; only these are ever sent twice."""


class Receiver(Protocol):
    """Who asked. Called from the event loop: `answered`, then `more` until `end` is true; or `failed` at any point instead.

    Nothing is called after the end, after `failed`, or after the exchange was cancelled. What a receiver raises is a
    mistake in it: it may leave the answer undelivered, never the pool unsound.
    """

    def answered(self, status: int, headers: list[Header], data: bytes, end: bool) -> None:
        """The final head (names in lower case, hop-by-hop ones included), with what came of the body along with it."""

    def more(self, data: bytes, end: bool) -> None:
        """More of the body, as it was on the wire (chunks are unwrapped, nothing is decoded)."""

    def failed(self, error: UpstreamError) -> None:
        """There will be no further byte. After `answered`, the answer is incomplete and must not look complete."""

    def drained(self) -> None:
        """A streamed request body may begin, or go on (see `Exchange.send`)."""


class Carrier(Protocol):
    """The connection, as its exchange sees it (runtime.upstream.connection)."""

    def transmit(self, exchange: "Exchange") -> None:
        """Send the request now, or lose it unsent."""

    def pause(self, exchange: "Exchange") -> None: ...

    def resume(self, exchange: "Exchange") -> None: ...

    def send_body(self, exchange: "Exchange", data: bytes) -> bool: ...

    def finish_body(self, exchange: "Exchange") -> None: ...

    def close(self) -> None: ...


class Exchange:
    """Handle of a running exchange. All times are of the event loop's clock."""

    __slots__ = (
        "attempts",
        "careful",
        "connection",
        "deadline",
        "done",
        "echo",
        "ended_by",
        "expires",
        "first_byte_by",
        "method",
        "paused",
        "receiver",
        "sent",
        "started",
        "streamed",
        "ticket",
        "wire",
    )

    def __init__(
        self,
        method: str,
        wire: bytes,
        receiver: Receiver,
        *,
        deadline: float,
        first_byte_by: float,
        echo: bytes | None,
        streamed: int | None,
        ended_by: Callable[["Exchange"], None],
    ) -> None:
        self.method = method
        self.wire = wire
        """The request as it goes out: head, and the body unless it is streamed."""
        self.receiver = receiver
        self.deadline = deadline
        self.first_byte_by = first_byte_by
        self.echo = echo
        self.streamed = streamed
        """Length of a streamed request body, CHUNKED if it is not known, None if the body is in `wire`."""
        self.ended_by = ended_by
        """Told when it is cancelled."""
        self.careful = echo is None or method not in SAFE_METHODS
        """A kept connection is looked at before it is used: there is no echo to tell a stray answer by, or no second attempt
        if the peer has just closed it."""
        self.connection: Carrier | None = None
        self.expires = deadline
        """When the present phase must be over: a free connection, the head of the answer, else the whole exchange."""
        self.attempts = 0
        self.ticket = 0
        """Of the circuit breaker; 0 when it has been told of this attempt."""
        self.paused = False
        self.sent = False
        """Something of the request may have left, on the connection that it has now or had last."""
        self.started = False
        """The receiver has been given the head: from here on there is no other attempt."""
        self.done = False

    def cancel(self) -> None:
        """Forget it: the connection is closed, since its state is unknown, and the receiver hears nothing more."""
        if not self.done:
            self.done = True
            self.ended_by(self)

    def pause(self) -> None:
        """Take no more of the answer from the socket until `resume`. The deadline goes on."""
        self.paused = True
        if self.connection is not None:
            self.connection.pause(self)

    def resume(self) -> None:
        self.paused = False
        if self.connection is not None:
            self.connection.resume(self)

    def send(self, data: bytes) -> bool:
        """The next part of a streamed request body, after `Receiver.drained`. False: wait for it again before the next part.

        An answer may be complete before the body is: then `drained` does not come again, and what is sent is dropped.
        Raises ValueError for more than was announced; the exchange must be cancelled then.
        """
        return self.connection is not None and self.connection.send_body(self, data)

    def finish(self) -> None:
        """The streamed request body is complete. Raises ValueError if it is shorter than announced; cancel it then."""
        if self.connection is not None:
            self.connection.finish_body(self)
