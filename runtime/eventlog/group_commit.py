"""`GroupCommit`: appends to Redis that are asked for together, or while others are under way, share one round trip and one sync.

The batch and WAITAOF behind it go through one pipeline without MULTI: redis-py sends that over one connection, which is the
connection whose writes WAITAOF speaks of. One batch at a time, so appends stand in the log in the order they were asked for.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from redis.exceptions import NoScriptError

from runtime import tasks
from runtime.eventlog.errors import LogUnavailable, NotDurable, PartitionMismatch, UnknownTopic
from runtime.eventlog.protocol import Place, Position
from runtime.eventlog.redis_scripts import APPEND
from runtime.eventlog.redis_words import position_of
from runtime.redis import LOST, Redis

MOST_BYTES = 8_000_000
MOST_ENTRIES = 5_000
"""Of one batch: Redis does nothing else while it takes one."""

_SHA = hashlib.sha1(APPEND.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Append:
    """One entry on its way. `done` gets its place, or why there is none."""

    topic: str
    topic_key: str
    partition: int
    partitions: int
    words: Sequence[bytes]
    done: asyncio.Future[Place]

    @property
    def size(self) -> int:
        return sum(map(len, self.words))

    def succeed(self, position: Position) -> None:
        place = Place(topic=self.topic, partition=self.partition, position=position)
        if not self.done.done():
            self.done.set_result(place)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class GroupCommit:
    """Give it a client of its own whose commands may take longer than `durable_seconds`."""

    def __init__(self, redis: Redis, *, durable_seconds: float) -> None:
        self._redis = redis
        self._durable_ms = max(1, round(durable_seconds * 1000))
        self._waiting: deque[Append] = deque()
        self._writer: asyncio.Task[None] | None = None

    def add(self, append: Append) -> None:
        """It is sent with whatever else is added in this turn of the event loop."""
        self._waiting.append(append)
        if self._writer is None or self._writer.done():
            self._writer = tasks.spawn(self._write(), name="eventlog.append", on_death=self._died)

    async def drain(self) -> None:
        """Return when nothing is under way."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        while self._waiting:
            batch = list(_batch(self._waiting))
            try:
                await self._send(batch)
            except LOST as error:
                reason = type(error).__name__
                _fail(batch, LogUnavailable(reason))
            finally:
                # A defect of ours, or the loop ends: whoever waits must hear of it.
                _fail(batch, LogUnavailable("stopped"))

    def _died(self, _: BaseException) -> None:
        while self._waiting:
            self._waiting.popleft().fail(LogUnavailable("stopped"))

    async def _send(self, batch: list[Append]) -> None:
        calls = [list(group) for _, group in groupby(batch, key=lambda a: (a.topic, a.partitions))]
        *answers, synced = await self._pipeline(calls)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            # A new server, or a restarted one: it has taken nothing.
            await self._redis.script_load(APPEND)
            *answers, synced = await self._pipeline(calls)
        # An error (no append-only file) or 0 (not within the time): either way nobody knows.
        durable = isinstance(synced, list) and synced[0] >= 1
        for call, answer in zip(calls, answers, strict=True):
            _settle(call, answer, durable=durable)

    async def _pipeline(self, calls: list[list[Append]]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            arguments: list[Any] = [call[0].partitions]
            for append in call:
                arguments += (append.partition, len(append.words), *append.words)
            pipeline.evalsha(_SHA, 1, call[0].topic_key, *arguments)
        pipeline.execute_command("WAITAOF", 1, 0, self._durable_ms)
        return list(await pipeline.execute(raise_on_error=False))


def _batch(waiting: deque[Append]) -> Iterable[Append]:
    entries = size = 0
    while waiting and entries < MOST_ENTRIES and size < MOST_BYTES:
        append = waiting.popleft()
        entries += 1
        size += append.size
        yield append


def _settle(call: list[Append], answer: Any, *, durable: bool) -> None:
    first = call[0]
    if answer is None:
        _fail(call, UnknownTopic(first.topic))
    elif isinstance(answer, int):
        _fail(call, PartitionMismatch(first.topic, held=answer, wanted=first.partitions))
    elif isinstance(answer, Exception):
        _fail(call, LogUnavailable(type(answer).__name__))
    elif not durable:
        _fail(call, NotDurable("no sync to disk was confirmed"))
    else:
        for append, stream_id in zip(call, answer, strict=True):
            append.succeed(position_of(stream_id))


def _fail(batch: list[Append], error: Exception) -> None:
    for append in batch:
        append.fail(error)
