"""A wire between two servers that keeps what goes over it, in both directions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typing_extensions import override

from runtime.tasks import spawn


class Tapped:
    """One connection through the tap."""

    def __init__(self) -> None:
        self.up = bytearray()
        self.down = bytearray()


class Tap:
    """Listens on loopback and passes every connection on to `port`; `connections` holds all there were."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: set[_End] = set()
        self.connections: list[Tapped] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def marks(self) -> list[tuple[int, int]]:
        """How far each connection has come."""
        return [(len(one.up), len(one.down)) for one in self.connections]

    def since(self, marks: list[tuple[int, int]]) -> list[tuple[bytes, bytes]]:
        """What went up and down each connection since then."""
        marks = marks + [(0, 0)] * (len(self.connections) - len(marks))
        return [
            (bytes(one.up[up:]), bytes(one.down[down:]))
            for one, (up, down) in zip(self.connections, marks, strict=True)
        ]

    @asynccontextmanager
    async def tapping(self) -> AsyncIterator["Tap"]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accepted, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for end in list(self._open):
                end.close()
            await server.wait_closed()

    def _accepted(self) -> "_End":
        tapped = Tapped()
        self.connections.append(tapped)
        return _Near(self._to, tapped, self._open)


class _End(asyncio.Protocol):
    """One end of a connection through the tap. What comes before the other end is there waits."""

    def __init__(self, keeps: bytearray, open_: "set[_End]") -> None:
        self._keeps = keeps
        self._open = open_
        self._early = bytearray()
        self._transport: asyncio.Transport | None = None
        self.other: _End | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(self)

    @override
    def data_received(self, data: bytes) -> None:
        self._keeps += data
        if self.other is None:
            self._early += data
        else:
            self.other.write(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        if self.other is not None:
            self.other.close()

    def join(self, other: "_End") -> None:
        self.other = other
        other.write(bytes(self._early))

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Behind what was written."""
        if self._transport is not None:
            self._transport.close()


class _Near(_End):
    """The end that was connected to; it brings the far end with it."""

    def __init__(self, port: int, tapped: Tapped, open_: set[_End]) -> None:
        super().__init__(tapped.up, open_)
        self._port = port
        self._tapped = tapped
        self._connecting: asyncio.Task[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = spawn(self._connect(), name="corpus.tap")

    async def _connect(self) -> None:
        far = _End(self._tapped.down, self._open)
        far.other = self
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: far, "127.0.0.1", self._port)
        except OSError:
            self.close()
            return
        self.join(far)
        if self not in self._open:
            far.close()
