"""`Comparator`: the process beside this one that compares what is not equal byte for byte.

In this process it would stop the event loop for as long as it takes: 0.2 ms for a pair of 20 KB, 10 and more for a megabyte;
a thread would hold the same lock. What waits for it is bounded; if it dies it is started again, and what it had is lost and counted.
"""

import asyncio
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import structlog
from typing_extensions import override

from gateway.shadowing.told import Told
from gateway.shadowing.wire import Done, Frames, Job, Keys, Question, Side, decode_done, frame
from runtime.tasks import spawn, stop

log = structlog.get_logger("comparator")

MOST_PAIRS = 256
MOST_BYTES = 16 * 1024 * 1024
"""Of bodies that have been sent and not answered for."""
SLOWEST_SECONDS = 10.0
"""Whoever has not answered the oldest pair by then is killed and started again."""
_LOOK_SECONDS = 1.0
_PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_SECONDS = 60.0

Then = Callable[[Done | None], None]


class Compares(Protocol):
    """Whoever compares what is not equal byte for byte."""

    def submit(self, question: Question, primary: Told, candidate: Told, then: Then) -> bool:
        """False: there is no room, or nobody to do it. Else `then` is called once, later, with None if the pair was lost."""
        ...


class Comparator:
    """`Compares` in a process of its own. `start` it in the event loop that it is used in."""

    def __init__(self, keys: Keys, *, argv: Sequence[str] | None = None) -> None:
        """`argv` starts another program than ours; the number of its end of the connection follows."""
        self._keys = keys
        self._argv = argv or (sys.executable, "-m", "gateway.shadowing.process")
        self._line: _Line | None = None
        self._number = 0
        self._waiting: dict[int, tuple[Then, int, float]] = {}
        self.bytes = 0
        """Of the pairs that wait."""
        self.starts = 0
        self.pid: int | None = None
        """Of the process while it takes pairs."""
        self._task: asyncio.Task[None] | None = None

    @property
    def pairs(self) -> int:
        return len(self._waiting)

    async def start(self) -> None:
        self._task = spawn(self._keep_running(), name="shadow.comparator")

    async def stop(self) -> None:
        """What waits is lost."""
        if self._task is not None:
            await stop(self._task)
            self._task = None

    def submit(self, question: Question, primary: Told, candidate: Told, then: Then) -> bool:
        line, size = self._line, primary.size + candidate.size
        if line is None or len(self._waiting) >= MOST_PAIRS or self.bytes + size > MOST_BYTES:
            return False
        self._number += 1
        job = Job(
            number=self._number,
            question=question,
            primary=side(primary),
            candidate=side(candidate),
        )
        data = frame(job)  # first: whoever waits here is told, so nothing may fail behind it
        self._waiting[self._number] = then, size, asyncio.get_running_loop().time()
        self.bytes += size
        line.send(data)
        return True

    # --- the process

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            began = loop.time()
            try:
                await self._run_once()
            except OSError as error:
                log.exception("comparator.not_started", exc_info=error)
            deaths = 0 if loop.time() - began > _STEADY_SECONDS else deaths + 1
            await asyncio.sleep(_PAUSES[min(deaths, len(_PAUSES) - 1)])

    async def _run_once(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._argv, str(theirs.fileno()), pass_fds=[theirs.fileno()]
                )
            except BaseException:
                ours.close()
                raise
        self.starts += 1
        line: _Line | None = None
        try:
            _, line = await loop.create_unix_connection(lambda: _Line(self._done), sock=ours)
            line.send(frame(self._keys))
            self._line, self.pid = line, process.pid
            await self._watch(process, line)
        finally:
            self._line = self.pid = None
            if line is None:
                ours.close()
            else:
                line.close()
            await _end(process)
            self._lose()

    async def _watch(self, process: Process, line: "_Line") -> None:
        loop = asyncio.get_running_loop()
        while not line.lost.done():
            await asyncio.wait([line.lost], timeout=_LOOK_SECONDS)
            oldest = min((since for _, _, since in self._waiting.values()), default=loop.time())
            if loop.time() - oldest > SLOWEST_SECONDS:
                log.error("comparator.too_slow", count=len(self._waiting))
                return
        log.error("comparator.died", count=len(self._waiting))

    def _done(self, done: Done) -> None:
        then, size, _ = self._waiting.pop(done.number)
        self.bytes -= size
        then(None if done.counted is None else done)

    def _lose(self) -> None:
        lost, self._waiting = self._waiting, {}
        self.bytes = 0
        for then, _, _ in lost.values():
            then(None)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


def side(told: Told) -> Side:
    """An answer as it is sent."""
    return Side(
        status=told.status,
        content_type=told.content_type.decode("latin-1"),
        etag=told.etag.decode("latin-1"),
        body=told.body,
    )


class _Line(asyncio.Protocol):
    """Our end of the connection."""

    def __init__(self, done: Callable[[Done], None]) -> None:
        self._told = done
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is no subclass of it

    @override
    def data_received(self, data: bytes) -> None:
        for content in self._frames.feed(data):
            self._told(decode_done(content))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)
