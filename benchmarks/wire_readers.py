"""Two readers of one answer: the pool's `Connection`, without a socket, and h11. `disagreement` says where they part."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import h11
from typing_extensions import override

from benchmarks.wire_answers import WireAnswer
from runtime.upstream.connection import Connection
from runtime.upstream.errors import UpstreamBroke, UpstreamError
from runtime.upstream.exchange import Exchange, Header
from runtime.upstream.outbox import Outbox

_LARGEST = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a reader made of it. `headers` without the blanks around values; `kept`: another answer may follow;
    `behind`: what h11 found behind the answer."""

    complete: bool = False
    status: int = 0
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    kept: bool = False
    behind: bytes = b""
    error: str = ""


def _header(name: bytes, value: bytes) -> Header:
    """h11 gives the name of a transfer coding in lower case."""
    value = value.strip(b" \t")
    return name, value.lower() if name == b"transfer-encoding" else value


# --- ours


def by_connection(pieces: Iterable[bytes], method: str = "GET") -> Read:
    """What the receiver of an exchange is told, piece by piece, and at the end of the connection."""
    return Line().ask(pieces, method)


def at_once(flush: Callable[[], None]) -> None:
    """For an Outbox where no event loop runs."""
    flush()


class Line:
    """One connection without a socket."""

    def __init__(self) -> None:
        self._owner = _Owner()
        self.connection = Connection(self._owner, Outbox(at_once))
        self.transport = NoSocket()
        self.connection.connection_made(self.transport)
        self.exchange: Exchange | None = None
        """The last one."""

    @property
    def kept(self) -> bool:
        """Whether it may carry another exchange."""
        return self._owner.kept

    def ask(
        self,
        pieces: Iterable[bytes],
        method: str = "GET",
        *,
        echo: bytes | None = None,
        ends: bool = True,
    ) -> Read:
        """One exchange, answered by `pieces` and, if that is not enough and it `ends`, by the end of the connection."""
        told = self._owner.told = _Told()
        connection = self.connection
        self.exchange = exchange = Exchange(
            method,
            b"",
            told,
            deadline=0.0,
            first_byte_by=0.0,
            echo=echo,
            streamed=None,
            ended_by=lambda exchange: connection.close(),
        )
        exchange.careful = False  # there is no socket to look at
        connection.start(exchange)
        for piece in pieces:
            if connection.usable:
                connection.data_received(piece)
        if ends and not told.complete:
            connection.eof_received()
        return Read(
            complete=told.complete,
            status=told.status,
            headers=tuple(_header(name, value) for name, value in told.headers),
            body=bytes(told.body),
            kept=self.kept,
            error=told.error,
        )


class _Told:
    """The receiver."""

    def __init__(self) -> None:
        self.complete = False
        self.status = 0
        self.headers: list[Header] = []
        self.body = bytearray()
        self.error = ""

    def answered(self, status: int, headers: list[Header], data: bytes, end: bool) -> None:
        self.status, self.headers = status, headers
        self.more(data, end)

    def more(self, data: bytes, end: bool) -> None:
        self.body += data
        self.complete = end

    def failed(self, error: UpstreamError) -> None:
        self.error = type(error).__name__

    def drained(self) -> None:
        """No body is streamed."""


class _Owner:
    """The pool: no second attempt."""

    name = "told"

    def __init__(self) -> None:
        self.told = _Told()
        self.kept = False

    def idle(self, connection: Connection) -> None:
        self.kept = True

    def lost(self, connection: Connection, exchange: Exchange | None, fresh: bool) -> None:
        self.kept = False
        if exchange is not None:
            self.failed(exchange, UpstreamBroke(self.name))

    def began(self, exchange: Exchange, status: int) -> None:
        """The receiver is told as well."""

    def ended(self, exchange: Exchange, status: int) -> None:
        """The receiver is told as well."""

    def failed(self, exchange: Exchange, error: UpstreamError) -> None:
        self.told.failed(error)


class NoSocket(asyncio.Transport):
    """What is written goes nowhere; whether reading is paused can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False
        self.paused = False

    @override
    def pause_reading(self) -> None:
        self.paused = True

    @override
    def resume_reading(self) -> None:
        self.paused = False

    @override
    def write(self, data: Any) -> None:
        """Nobody reads the request."""

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    @override
    def get_write_buffer_size(self) -> int:
        return 0

    @override
    def is_closing(self) -> bool:
        return self._closed

    @override
    def abort(self) -> None:
        self._closed = True


# --- h11


def by_h11(raw: bytes, method: str = "GET") -> Read:
    """The same bytes, and no end of the connection: an answer that needs that end is not complete."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    status, body = 0, bytearray()
    headers: tuple[Header, ...] = ()
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = tuple(_header(name, value) for name, value in event.headers)
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                return Read(error="incomplete")
    except h11.RemoteProtocolError as error:
        return Read(error=str(error))
    return Read(
        complete=True,
        status=status,
        headers=headers,
        body=bytes(body),
        kept=connection.their_state is h11.DONE,
        behind=connection.trailing_data[0],
    )


# --- side by side


def disagreement(answer: WireAnswer) -> str:
    """Empty if all that ours delivered as complete is what h11 reads, and a connection is only kept where h11 would.

    Ours may refuse more; that is the point of it.
    """
    ours, other = by_connection(answer.pieces, answer.method), by_h11(answer.raw, answer.method)
    if not ours.complete or _agree(ours, other):
        return ""
    if not other.complete:
        return f"complete for us, for h11: {other.error}"
    if ours.kept and (other.behind or not other.kept):
        return "kept, which h11 would not"
    return "another status, other headers or another body than for h11"


def _agree(ours: Read, other: Read) -> bool:
    """`ours` is complete."""
    return (
        other.complete
        and (ours.status, ours.headers, ours.body) == (other.status, other.headers, other.body)
        and (not ours.kept or (other.kept and not other.behind))
    )


def leniency(answer: WireAnswer) -> str:
    """What explains a disagreement, if without that h11 reads just what ours delivered; else empty."""
    ours = by_connection(answer.pieces, answer.method)
    raw, found = answer.raw, []
    for name, without in LENIENCIES.items():
        if without(raw) != raw:
            found.append(name)
            raw = without(raw)
    other = by_h11(raw, answer.method)
    if other.behind and not other.behind.strip(b"\r\n"):
        found.append(LINE_ENDS)
        other = replace(other, behind=b"")
    return ", ".join(found) if ours.complete and _agree(ours, other) else ""


_ZEROS = re.compile(rb"(?<=\r\n)0{15,}(?=[0-9A-Fa-f]+(?:[; \t][^\r\n]*)?\r\n)")
_EMPTY_LINES = re.compile(rb"(?<=\r\n\r\n)[\r\n]+(?=HTTP/1)")
_REASON = re.compile(rb"^(HTTP/1\.[01] [0-9]{3} )([^\r\n]*)", re.MULTILINE)

LINE_ENDS = "line ends behind an answer, in the same segment"
"""Skipped by llhttp, so they become nobody's bytes; in a segment of their own they close the connection."""
LENIENCIES: Mapping[str, Callable[[bytes], bytes]] = {
    # The same, where a final answer follows an interim one.
    "empty lines between an interim and the final answer": partial(_EMPTY_LINES.sub, b""),
    # llhttp counts the value and refuses what is over 64 bits; h11 counts digits.
    "more than 20 digits of a chunk size, most of them leading zeros": partial(_ZEROS.sub, b""),
    # The reason phrase is never read, and goes nowhere.
    "NUL, VT or FF in the reason phrase": partial(
        _REASON.sub, lambda found: found[1] + found[2].translate(None, b"\0\x0b\x0c")
    ),
}
"""What our parser takes and h11 does not, each with the reason why it may, and how to undo it in the raw bytes."""
