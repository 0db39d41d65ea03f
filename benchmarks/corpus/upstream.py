"""An upstream that keeps all it is sent: well-behaved by default, or as a script says."""

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from typing_extensions import override

from benchmarks.corpus.case import Close, Pause
from benchmarks.corpus.line import Unreadable
from benchmarks.corpus.strict import Seen, read_request
from runtime.tasks import spawn

Step = bytes | Pause | Close
ECHO = b"<correlation-id>"
"""In a script: the id of the request that is answered."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """Bytes of the gateway that are no request. `after`: requests that had come by then."""

    reason: str
    after: int


class Upstream:
    """Listens on loopback. `seen` holds every request in the order of arrival, whatever connection it came by."""

    def __init__(self, react: Callable[["Exchange"], Sequence[Step]] | None = None) -> None:
        self.seen: list[Seen] = []
        self.violations: list[Violation] = []
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.react = react or (lambda exchange: (good_answer(exchange.seen),))
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Upstream"]:
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), "127.0.0.1", 0, backlog=1024
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for connection in list(self.connections):
                connection.end(reset=False)
            await server.wait_closed()


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and where it came from; `number` counts the requests of its connection from 0."""

    seen: Seen
    number: int
    connection: "Connection"


class Connection(asyncio.Protocol):
    """One connection of the gateway."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = b""
        self._number = 0
        self._playing = False
        self._broken = False
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream.accepted += 1
        self._upstream.connections.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.connections.discard(self)
        self._transport = None

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        while self._buffer and not self._playing and not self._broken:
            try:
                found = read_request(self._buffer)
            except Unreadable as error:
                violation = Violation(reason=str(error), after=len(self._upstream.seen))
                self._upstream.violations.append(violation)
                self._broken = True
                self.end(reset=True)
                return
            if found is None:
                return
            seen, end = found
            self._buffer = self._buffer[end:]
            self._upstream.seen.append(seen)
            exchange = Exchange(seen=seen, number=self._number, connection=self)
            self._number += 1
            self._answer(seen, self._upstream.react(exchange))

    def _answer(self, seen: Seen, steps: Sequence[Step]) -> None:
        if all(isinstance(step, bytes) for step in steps):
            for step in steps:
                self._step(seen, step)
            return
        self._playing = True
        spawn(self._play(seen, steps), name="corpus.script")

    async def _play(self, seen: Seen, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            else:
                self._step(seen, step)
        self._playing = False
        self._go_on()

    def _step(self, seen: Seen, step: Step) -> None:
        if isinstance(step, Close):
            self.end(reset=step.reset)
        elif isinstance(step, bytes) and self._transport is not None:
            self._transport.write(step.replace(ECHO, seen.header(b"x-correlation-id")))

    def end(self, *, reset: bool) -> None:
        """By FIN behind what was written, or by RST."""
        if self._transport is None:
            return
        if reset:
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()

    def send(self, data: bytes) -> None:
        """Bytes that nobody asked for."""
        if self._transport is not None:
            self._transport.write(data)


def user_of(seen: Seen) -> str:
    """`sub` of the request's token, unverified: the gateway has done that."""
    payload = seen.header(b"authorization").split(b".")
    if len(payload) != 3:
        return ""
    padded = payload[1] + b"=" * (-len(payload[1]) % 4)
    return str(json.loads(base64.urlsafe_b64decode(padded)).get("sub", ""))


def marked_body(seen: Seen) -> bytes:
    """What this request must be answered: its user, its id, its target."""
    row = {
        "user": user_of(seen),
        "correlation_id": seen.header(b"x-correlation-id").decode("latin-1"),
        "target": seen.target.decode("latin-1"),
    }
    return json.dumps({"items": [row], "next": None}, separators=(",", ":")).encode()


def good_answer(seen: Seen) -> bytes:
    """A service's answer as it should be."""
    body = marked_body(seen)
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Correlation-ID: %b\r\n\r\n"
        % (len(body), seen.header(b"x-correlation-id"))
    )
    return head if seen.method == "HEAD" else head + body
