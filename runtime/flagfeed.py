"""`FlagFeed`: the newest flag snapshot in this process's memory, whatever happens to Redis.

Pushed through Redis, polled behind the push, kept on disk for a start without Redis. Trusted in this order: what is in
memory, the disk, the file that came with the release. A newer version replaces an older one of the same store; another
store's replaces a disk's or file's whatever its version. What is not valid is refused, counted, and replaces nothing.
Nobody who asks ever waits: `current` is an attribute.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from runtime import redis, tasks
from runtime.flagset import FlagSetInvalid, read_flag_set
from runtime.flagsnapshot import Snapshot, read_snapshot
from runtime.flagstore import CHANNEL, KEY, VERSION_KEY, read_mark
from runtime.redis import LOST
from runtime.settings import Settings

log = structlog.get_logger("flags")

FIRST_ANSWER_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 1.0
RECONNECT_SECONDS: Final = 0.1
KILL_SWITCH_SECONDS: Final = 0.2


class Source(StrEnum):
    """Where the current snapshot was last confirmed by."""

    PUSH = "push"
    POLL = "poll"
    DISK = "disk"
    FILE = "file"

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


class FlagFeed:
    """Start it, then read `current` as often as you like."""

    def __init__(
        self,
        *,
        redis_url: str | None,
        flags_file: Path,
        snapshot_file: Path,
        kill_switch_file: Path,
        poll_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_death: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.current: Snapshot
        self.source: Source
        self.counts = Counts()
        self._redis = redis.connect(redis_url) if redis_url else None
        self._flags_file = flags_file
        self._snapshot_file = snapshot_file
        self._kill_switch_file = kill_switch_file
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._on_death = on_death
        self._confirmed_at = clock()
        self._kill_switch = False
        self._connected = True
        self._refused = b""
        self._wire = b""
        self._unsaved = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    @classmethod
    def of(
        cls, settings: Settings, *, on_death: Callable[[BaseException], None] | None = None
    ) -> "FlagFeed":
        """The feed that a process with these settings has."""
        secret = settings.redis_url
        return cls(
            redis_url=secret.get_secret_value() if secret else None,
            flags_file=settings.flags_file,
            snapshot_file=settings.flags_snapshot_file,
            kill_switch_file=settings.kill_switch_file,
            poll_seconds=settings.flags_poll_seconds,
            on_death=on_death,
        )

    @property
    def staleness_seconds(self) -> float:
        """Since a live source last confirmed `current`; before the first time, since the disk's copy was written or the start."""
        return self._clock() - self._confirmed_at

    async def start(self) -> None:
        """Have a snapshot, the newest if Redis answers within a second, and keep it new.

        Raises FlagSetInvalid or OSError if neither the disk nor the release's file holds one.
        """
        self._kill_switch = self._kill_switch_file.exists()
        self._load()
        if self._redis is not None:
            await self._first_poll()
            self._spawn(self._listen(), "flags.listen")
            self._spawn(self._poll_always(), "flags.poll")
        self._spawn(self._save_always(), "flags.save")
        self._spawn(self._watch_kill_switch(), "flags.kill_switch")
        log.info("flags.started", source=self.source, version=self.current.version)

    async def _first_poll(self) -> None:
        """One poll, given up after a second. In a task of its own: a timeout round redis-py, whose own may expire in the same
        turn of the loop, would leave a second cancellation behind in whoever waits (CPython 3.11)."""

        async def ask() -> None:
            with suppress(*LOST):
                await self._poll()

        asking = tasks.spawn(ask(), name="flags.first_poll")
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
        self._tasks.append(tasks.spawn(work, name=name, on_death=self._on_death))

    def _load(self) -> None:
        """From the disk; else from the release's file, which must be good then."""
        if self._load_snapshot_file():
            return
        flag_set = read_flag_set(orjson.loads(self._flags_file.read_bytes()), strict=True)
        self.current = Snapshot(flag_set, kill_switch=self._kill_switch)
        self.source = Source.FILE
        self._confirmed_at = self._clock()

    def _load_snapshot_file(self) -> bool:
        try:
            wire = self._snapshot_file.read_bytes()
            written_at = self._snapshot_file.stat().st_mtime
            self.current = read_snapshot(wire, kill_switch=self._kill_switch)
        except FileNotFoundError:
            return False
        except (OSError, FlagSetInvalid):
            self.counts.refused += 1
            log.exception("flags.refused", source=Source.DISK)
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
            await pubsub.subscribe(CHANNEL)
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
                    self.offer(message["data"], Source.PUSH)
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
        mark = read_mark(_bytes(await self._redis.get(VERSION_KEY)))
        if mark is None:
            return
        if mark == (self.current.store, self.current.version):
            self._confirm(Source.POLL)
            return
        wire = _bytes(await self._redis.get(KEY))
        if wire is not None:
            self.offer(wire, Source.POLL)

    def offer(self, wire: bytes, source: Source) -> bool:
        """Take a snapshot from a live source if it is valid and newer; whether it was taken."""
        if wire == self._refused:
            return False
        try:
            snapshot = read_snapshot(wire, kill_switch=self._kill_switch)
        except FlagSetInvalid as error:
            self._refused = wire
            self.counts.refused += 1
            log.exception("flags.refused", source=source, count=len(error.problems))
            return False
        if not self._replaces(snapshot):
            self._confirm_if_same(snapshot, source)
            return False
        self.current = snapshot
        self._confirm(source)
        self.counts.applied += 1
        self._wire = wire
        self._unsaved.set()
        log.info("flags.applied", source=source, version=snapshot.version)
        return True

    def _replaces(self, snapshot: Snapshot) -> bool:
        if snapshot.store != self.current.store:
            if self.source.live:
                log.warning("flags.store_changed", store=snapshot.store, version=snapshot.version)
            return True
        return snapshot.version > self.current.version

    def _confirm_if_same(self, snapshot: Snapshot, source: Source) -> None:
        """An older version says nothing about ours: Redis lost something, and will be told again."""
        if snapshot.version == self.current.version:
            self._confirm(source)

    def _confirm(self, source: Source) -> None:
        self.source = source
        self._confirmed_at = self._clock()

    def _tell_lost(self, error: Exception) -> None:
        if self._connected:
            self._connected = False
            self.counts.lost += 1
            log.warning("flags.redis_lost", version=self.current.version, exc_info=error)

    def _tell_back(self) -> None:
        if not self._connected:
            self._connected = True
            log.info("flags.redis_back", version=self.current.version)

    # --- what lies on this machine

    async def _watch_kill_switch(self) -> None:
        while True:
            on = self._kill_switch_file.exists()
            if on != self._kill_switch:
                self._kill_switch = on
                self.current = self.current.with_kill_switch(on)
                log.warning("flags.kill_switch", state="on" if on else "off")
            await asyncio.sleep(KILL_SWITCH_SECONDS)

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
            log.exception("flags.save_failed")


def save(path: Path, wire: bytes) -> None:
    """Replace the snapshot on disk in one step, unless another process has put a newer one there.

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
