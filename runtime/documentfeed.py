"""`DocumentFeed`: the newest version of a published document in this process's memory, whatever happens to Redis.

Pushed through Redis, polled behind the push, kept on disk for a start without Redis. Trusted in this order: what is in
memory, the disk, what a process has to begin with. A newer version replaces an older one of the same store; another
store's replaces a disk's or the first one whatever its version. What is not valid is refused, counted, and replaces
nothing. Nobody who asks ever waits: `current` is an attribute, and what it holds is never changed in place.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import orjson
import structlog

from runtime import redis, tasks
from runtime.published import Place, read_mark
from runtime.redis import LOST

FIRST_ANSWER_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 1.0
RECONNECT_SECONDS: Final = 0.1


class Source(StrEnum):
    """Where the current document was last confirmed by."""

    PUSH = "push"
    POLL = "poll"
    DISK = "disk"
    FILE = "file"
    """What a process has to begin with."""

    @property
    def live(self) -> bool:
        return self in (Source.PUSH, Source.POLL)


@dataclass(kw_only=True)
class Counts:
    """Since the process started."""

    pushes: int = 0
    polls: int = 0
    applied: int = 0
    refused: int = 0
    lost: int = 0
    """Times that the connection to Redis was lost."""
    saves_failed: int = 0


class Versioned(Protocol):
    """A document of one store and version."""

    @property
    def store(self) -> str: ...

    @property
    def version(self) -> int: ...


D = TypeVar("D", bound=Versioned)


class DocumentFeed(Generic[D]):
    """Start it, then read `current` as often as you like. What kind of document it is, a subclass says: `read` and `first`."""

    current: D
    source: Source

    def __init__(
        self,
        *,
        name: str,
        place: Place,
        invalid: type[Exception],
        redis_url: str | None,
        snapshot_file: Path,
        poll_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_death: Callable[[BaseException], None] | None = None,
        before: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """`name` begins the names of log events and tasks; `invalid` is what `read` raises; `before` is awaited each time before
        another document takes the place of the current one."""
        self.counts = Counts()
        self._name = name
        self._log = structlog.get_logger(name)
        self._place = place
        self._invalid = invalid
        self._redis = redis.connect(redis_url) if redis_url else None
        self._snapshot_file = snapshot_file
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._on_death = on_death
        self._before = before
        self._confirmed_at = clock()
        self._connected = True
        self._refused = b""
        self._wire = b""
        self._unsaved = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    def read(self, wire: bytes) -> D:
        """The document that travels as these bytes. Raises `invalid`, whatever they are."""
        raise NotImplementedError

    def first(self) -> D:
        """What to begin with where neither Redis nor the disk has a document. What it raises ends the start."""
        raise NotImplementedError

    @property
    def staleness_seconds(self) -> float:
        """Since a live source last confirmed `current`; before the first time, since the disk's copy was written or the start."""
        return self._clock() - self._confirmed_at

    async def start(self) -> None:
        """Have a document, the newest if Redis answers within a second, and keep it new. Raises what `first` raises."""
        self._load()
        if self._redis is not None:
            await self._first_poll()
            self._spawn(self._listen(), "listen")
            self._spawn(self._poll_always(), "poll")
        self._spawn(self._save_always(), "save")
        self._log.info(f"{self._name}.started", source=self.source, version=self.current.version)

    async def _first_poll(self) -> None:
        """One poll, given up after a second. In a task of its own: a timeout round redis-py, whose own may expire in the same
        turn of the loop, would leave a second cancellation behind in whoever waits (CPython 3.11)."""

        async def ask() -> None:
            with suppress(*LOST):
                await self._poll()

        asking = tasks.spawn(ask(), name=f"{self._name}.first_poll")
        await asyncio.wait({asking}, timeout=FIRST_ANSWER_SECONDS)
        await tasks.stop(asking)

    async def stop(self) -> None:
        """End its tasks and connections; what was not yet saved is saved."""
        await tasks.stop(*self._tasks)
        self._tasks.clear()
        if self._unsaved.is_set():
            await self._save()
        if self._redis is not None:
            await self._redis.aclose()

    def _spawn(self, work: Any, name: str) -> None:
        self._tasks.append(tasks.spawn(work, name=f"{self._name}.{name}", on_death=self._on_death))

    def _load(self) -> None:
        """From the disk; else what there is to begin with."""
        if self._load_snapshot_file():
            return
        self.current = self.first()
        self.source = Source.FILE
        self._confirmed_at = self._clock()

    def _load_snapshot_file(self) -> bool:
        try:
            wire = self._snapshot_file.read_bytes()
            written_at = self._snapshot_file.stat().st_mtime
            self.current = self.read(wire)
        except FileNotFoundError:
            return False
        except (OSError, self._invalid):
            self.counts.refused += 1
            self._log.exception(f"{self._name}.refused", source=Source.DISK)
            return False
        self.source = Source.DISK
        self._confirmed_at = self._clock() - max(0.0, time.time() - written_at)
        return True

    # --- what comes from Redis

    async def _listen(self) -> None:
        while True:
            try:
                await self._subscribed()
            except LOST as error:
                self._tell_lost(error)
            await asyncio.sleep(RECONNECT_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads reconnects

    async def _subscribed(self) -> None:
        """One subscription's life. Raises what ended it.

        On our own after every error: redis-py's silent reconnect would skip what was pushed meanwhile.
        """
        assert self._redis is not None  # noqa: S101 - the listener is only started with one
        pubsub = self._redis.pubsub()
        try:
            await pubsub.subscribe(self._place.channel)
            pinged = False
            while True:
                message = await pubsub.get_message(timeout=HEARTBEAT_SECONDS)
                if message is None and pinged:
                    raise redis.RedisError("no answer to PING: the connection is dead")
                pinged = message is None
                if message is None:
                    await pubsub.ping()
                elif message["type"] == "subscribe":
                    await self._poll()  # what was pushed before we listened
                    self._tell_back()
                elif message["type"] == "message":
                    self.counts.pushes += 1
                    await self._take(message["data"], Source.PUSH)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _poll_always(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._poll()
            except LOST as error:
                self._tell_lost(error)
                # The pool's connection may have died long ago, and Redis be back since.
                await asyncio.sleep(RECONNECT_SECONDS)
                with suppress(*LOST):
                    await self._poll()

    async def _poll(self) -> None:
        assert self._redis is not None  # noqa: S101 - see _subscribed
        self.counts.polls += 1
        mark = read_mark(_bytes(await self._redis.get(self._place.version_key)))
        if mark is None:
            return
        if mark == (self.current.store, self.current.version):
            self._confirm(Source.POLL)
            return
        wire = _bytes(await self._redis.get(self._place.key))
        if wire is not None:
            await self._take(wire, Source.POLL)

    async def _take(self, wire: bytes, source: Source) -> None:
        if self._before is not None and wire not in (self._wire, self._refused):
            await self._before()
        self.offer(wire, source)

    def offer(self, wire: bytes, source: Source) -> bool:
        """Take a document from a live source if it is valid and newer; whether it was taken."""
        if wire == self._refused:
            return False
        try:
            document = self.read(wire)
        except self._invalid:
            self._refused = wire
            self.counts.refused += 1
            self._log.exception(f"{self._name}.refused", source=source)
            return False
        if not self._replaces(document):
            self._confirm_if_same(document, source)
            return False
        self.current = document
        self._confirm(source)
        self.counts.applied += 1
        self._wire = wire
        self._unsaved.set()
        self._log.info(f"{self._name}.applied", source=source, version=document.version)
        return True

    def _replaces(self, document: D) -> bool:
        if document.store != self.current.store:
            if self.source.live:
                self._log.warning(
                    f"{self._name}.store_changed", store=document.store, version=document.version
                )
            return True
        return document.version > self.current.version

    def _confirm_if_same(self, document: D, source: Source) -> None:
        """An older version says nothing about ours: Redis lost something, and will be told again."""
        if document.version == self.current.version:
            self._confirm(source)

    def _confirm(self, source: Source) -> None:
        self.source = source
        self._confirmed_at = self._clock()

    def _tell_lost(self, error: Exception) -> None:
        if self._connected:
            self._connected = False
            self.counts.lost += 1
            self._log.warning(
                f"{self._name}.redis_lost", version=self.current.version, exc_info=error
            )

    def _tell_back(self) -> None:
        if not self._connected:
            self._connected = True
            self._log.info(f"{self._name}.redis_back", version=self.current.version)

    # --- what lies on this machine

    async def _save_always(self) -> None:
        while True:
            await self._unsaved.wait()
            await self._save()

    async def _save(self) -> None:
        self._unsaved.clear()
        try:
            await asyncio.to_thread(save, self._snapshot_file, self._wire)
        except OSError:
            self.counts.saves_failed += 1
            self._log.exception(f"{self._name}.save_failed")


def save(path: Path, wire: bytes) -> None:
    """Replace the document on disk in one step, unless another process has put a newer one there.

    Two processes can still cross here; the one that was behind has the newer version in a moment, and saves again.
    """
    with suppress(FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
        there, ours = orjson.loads(path.read_bytes()), orjson.loads(wire)
        if there["store"] == ours["store"] and there["version"] >= ours["version"]:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(wire)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def _bytes(reply: bytes | str | None) -> bytes | None:
    """Our clients decode nothing; redis-py's types do not know."""
    return reply.encode() if isinstance(reply, str) else reply
