"""An upstream over real sockets that does what a script says, and an `Upstream` that talks to it."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from runtime.upstream.errors import UpstreamError
from runtime.upstream.exchange import Header
from runtime.upstream.upstream import Upstream
from tests.until import until_async

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """One accepted connection, as a script sees it. `number` counts from 1."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.requests: list[bytes] = []
        self.gone = False

    async def request(self) -> bytes:
        """The next request: its head, and its body if that has a length. Ends the script when there is none."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                head += await self.reader.readexactly(int(line.partition(b":")[2]))
        self.requests.append(head)
        return head

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def reset(self) -> None:
        """An RST instead of an orderly end."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def end(self) -> None:
        """Wait until the other side has closed."""
        while await self.reader.read(65536):
            pass


Script = Callable[[Peer], Awaitable[None]]


def answering(*answers: bytes) -> Script:
    """One answer per request, the last one for all further ones too."""
    left = list(answers)

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.send(left.pop(0) if len(left) > 1 else left[0])

    return script


class Serving:
    """A script at work. `upstream` is at path /base of it."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.peers: list[Peer] = []

    @property
    def requests(self) -> list[bytes]:
        return [request for peer in self.peers for request in peer.requests]

    @property
    def open(self) -> int:
        """Connections whose end the server has not seen."""
        return sum(not peer.gone for peer in self.peers)


@asynccontextmanager
async def serving(
    script: Script,
    *,
    url: str = "http://127.0.0.1:{port}/base",
    tls: ssl.SSLContext | None = None,
    trust: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[Serving]:
    """Both ends; `tls` is the server's side, `trust` the upstream's. Afterwards no connection of the upstream and no task of
    its pool may be left."""
    at_work: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(here.peers) + 1, reader, writer)
        here.peers.append(peer)
        at_work.add(asyncio.current_task())
        try:
            await script(peer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has gone, or the test has ended
        finally:
            peer.gone = True
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    here = Serving(Upstream("test", url.format(port=port), tls=trust, **options))
    try:
        yield here
    finally:
        await here.upstream.close()
        server.close()
        for task in at_work:
            assert task is not None
            task.cancel()
        await asyncio.gather(*(task for task in at_work if task), return_exceptions=True)
        assert here.upstream.connections == 0
        await soon(lambda: not pool_tasks())


def pool_tasks() -> list[str]:
    """Names of the tasks that a pool has started."""
    return [t.get_name() for t in asyncio.all_tasks() if t.get_name().startswith("upstream.")]


async def soon(condition: Callable[[], object], *, within: float = 10.0) -> None:
    """Poll a condition of this process."""

    async def holds() -> object:
        return condition()

    await until_async(holds, within=within)


class Heard:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self.body = bytearray()
        self.ended = False
        self.error: UpstreamError | None = None
        self.drains = 0

    @property
    def over(self) -> bool:
        return self.ended or self.error is not None

    def answered(self, status: int, headers: list[Header], data: bytes, end: bool) -> None:
        self.status, self.headers = status, headers
        self.more(data, end)

    def more(self, data: bytes, end: bool) -> None:
        self.body += data
        self.ended = end

    def failed(self, error: UpstreamError) -> None:
        self.error = error

    def drained(self) -> None:
        self.drains += 1
