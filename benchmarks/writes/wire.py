"""`Wire`: a TCP proxy in front of one server, which breaks what goes through it as it is told."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

from runtime.tasks import spawn, stop

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


class Break(StrEnum):
    """What becomes of the next bytes that a client sends, or of their answer."""

    NOTHING = "nothing"
    REFUSE = "nobody listens"
    CUT = "reset before a byte is passed on"
    HANG = "taken, never passed on"
    LOSE_REPLY = "passed on, and reset when the answer comes"


class Wire:
    """`share`: of the exchanges that are broken at random, by CUT or LOSE_REPLY, or held for a while."""

    def __init__(
        self, target: str, *, share: float = 0.0, chance: random.Random | None = None
    ) -> None:
        self._parts = urlsplit(target)
        self.share = share
        self._chance = chance or random.Random(1)
        self._open: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._mode = Break.NOTHING
        self.exchanges = 0
        self.broken = 0

    @property
    def url(self) -> str:
        """The target's, with this port."""
        user = f"{self._parts.username}@" if self._parts.username else ""
        return urlunsplit(self._parts._replace(netloc=f"{user}127.0.0.1:{self._port}"))

    async def breaks(self, mode: Break) -> None:
        """From now on, also on connections that are open."""
        self._mode = mode
        if mode is Break.REFUSE:
            await self._close()
        elif self._server is None:
            await self._listen()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Wire"]:
        await self._listen()
        try:
            yield self
        finally:
            await self._close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._open):
            _reset(writer)
        await stop(*self._relays)
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            there = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        except OSError:
            _reset(writer)
            self._open.discard(writer)
            return
        exchange = _Exchange(self, reader, writer, *there)
        relays = [
            spawn(exchange.forth(), name="wire.forth"),
            spawn(exchange.back(), name="wire.back"),
        ]
        self._relays.update(relays)
        await asyncio.wait(relays, return_when=asyncio.FIRST_COMPLETED)
        await stop(*relays)
        self._relays.difference_update(relays)
        self._open.discard(writer)
        for end in (writer, there[1]):
            end.close()

    def chosen(self) -> Break:
        """For the exchange that begins."""
        self.exchanges += 1
        mode = self._mode
        if mode is Break.NOTHING and self._chance.random() < self.share:
            mode = self._chance.choice((Break.CUT, Break.LOSE_REPLY))
        self.broken += mode is not Break.NOTHING
        return mode


class _Exchange:
    """The two directions of one connection. A request begins with the first bytes behind an answer."""

    def __init__(
        self,
        wire: Wire,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        asks: asyncio.StreamWriter,
    ) -> None:
        self._wire = wire
        self._reader, self._writer = reader, writer
        self._answers, self._asks = answers, asks
        self._mode = Break.NOTHING
        self._answered = True

    async def forth(self) -> None:
        while data := await _read(self._reader):
            if self._answered:
                self._mode, self._answered = self._wire.chosen(), False
            if self._mode is Break.CUT:
                _reset(self._writer)
                return
            if self._mode is not Break.HANG:
                self._asks.write(data)
                await self._asks.drain()

    async def back(self) -> None:
        while data := await _read(self._answers):
            if self._mode is Break.LOSE_REPLY:
                _reset(self._writer)
                return
            self._answered = True
            self._writer.write(data)
            await self._writer.drain()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST, not FIN."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
