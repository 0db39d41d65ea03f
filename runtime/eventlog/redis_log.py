"""`RedisLog`: the event log over Redis Streams, on Redis or Valkey 7.2 or later (one server, not a cluster).

An entry is durable when the server has synced its append-only file: WAITAOF 1 0 behind every batch (docs/decisions.md 24).
With `appendfsync everysec` a batch waits for the next sync, up to a second; with `always` about as long as one sync takes.

Groups are positions and leases of our own, not XREADGROUP: that hands single entries to whoever asks, so one key's entries
run side by side and come back one by one, out of order, from a list of pending ones. Order per key and "committed up to here"
need a partition in one hand, and the fence needs the lease checked in the step that moves the position.

All entries lie in the server's memory. What bounds it is `trim`, called again and again: what is older than it keeps and
consumed by every group goes. A group that stands still holds everything behind it, by intent; `backlog` says so in
time. At the end `maxmemory` with `noeviction` refuses appends (LogUnavailable), and loses nothing. A policy that evicts any key
would lose entries: `check` refuses it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import structlog

from runtime import redis
from runtime.eventlog import redis_scripts
from runtime.eventlog.errors import (
    GroupInUse,
    PartitionMismatch,
    PositionLost,
    UnknownGroup,
    UnknownTopic,
    Unsuitable,
)
from runtime.eventlog.group_commit import Append, GroupCommit
from runtime.eventlog.partitioner import partition_of
from runtime.eventlog.protocol import (
    BEGINNING,
    NO_HEADERS,
    Backlog,
    Entry,
    Message,
    Place,
    Position,
    Start,
    Target,
    TopicPartition,
    check_message,
    check_name,
    check_partitions,
)
from runtime.eventlog.redis_consumer import RedisConsumer
from runtime.eventlog.redis_server import RedisServer
from runtime.eventlog.redis_words import follows, id_of, milliseconds, position_of, words_of

log = structlog.get_logger("eventlog")

PREFIX: Final = "banyan:log:"
_TRIM_AT_ONCE = 10_000


class RedisLog:
    """One per process; it connects on first use. Keeps the promises of `protocol.EventLog`."""

    def __init__(
        self,
        url: str,
        *,
        partitions: int = 8,
        prefix: str = PREFIX,
        lease_seconds: float = 10.0,
        durable_seconds: float = 3.0,
    ) -> None:
        """`partitions` of topics that are created without saying. A dead member's partitions go to others after `lease_seconds`."""
        self._server = RedisServer(url, prefix=prefix)
        self._appends = redis.connect(url, timeout=durable_seconds + 1)
        self._commit = GroupCommit(self._appends, durable_seconds=durable_seconds)
        self._default = partitions
        self._lease_seconds = lease_seconds
        self._counts: dict[str, int] = {}
        """Partitions of the topics that were seen: fixed for ever."""
        self._created: set[str] = set()

    async def check(self) -> None:
        """Raises Unsuitable if the server would lose what it takes; LogUnavailable if it cannot be asked."""
        facts = await self._server.facts()
        if not facts["aof_enabled"]:
            raise Unsuitable("not_durable", "the event log needs `appendonly yes`")
        if facts["maxmemory_policy"].startswith("allkeys"):
            raise Unsuitable("evicts", "the event log needs `maxmemory-policy noeviction`")

    async def create(self, topic: str, *, partitions: int | None = None) -> int:
        wanted = partitions or self._default
        held = int(await self._server.run(redis_scripts.CREATE, check_name(topic), wanted))
        if held != wanted:
            raise PartitionMismatch(topic, held=held, wanted=wanted)
        self._counts[topic] = held
        self._created.add(topic)
        return held

    async def append(
        self, topic: str, key: bytes, value: bytes, *, headers: Mapping[str, bytes] = NO_HEADERS
    ) -> Place:
        [place] = await self.append_many(
            [Message(topic=topic, key=key, value=value, headers=headers)]
        )
        return place

    async def append_many(self, messages: Sequence[Message]) -> list[Place]:
        for message in messages:
            check_message(message)
        for topic in {message.topic for message in messages}:
            await self._partitions(topic)
        outcomes = await self._append(messages)
        lost = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, UnknownTopic)]
        if lost:
            await self._restore({messages[n].topic for n in lost})
            again = await self._append([messages[n] for n in lost])
            outcomes = [*outcomes]
            for n, outcome in zip(lost, again, strict=True):
                outcomes[n] = outcome
        return [_place(outcome) for outcome in outcomes]

    async def _append(self, messages: Sequence[Message]) -> list[Place | BaseException]:
        appends = [self._on_its_way(message) for message in messages]
        return await asyncio.gather(*(append.done for append in appends), return_exceptions=True)

    async def _restore(self, topics: Iterable[str]) -> None:
        """Redis was emptied under us. What it held is lost; what comes must not be. Raises UnknownTopic for topics not ours."""
        for topic in topics:
            if topic not in self._created:
                raise UnknownTopic(topic)
            log.error("eventlog.topic_lost", topic=topic)
            await self.create(topic, partitions=self._counts[topic])

    def _on_its_way(self, message: Message) -> Append:
        count = self._counts[message.topic]
        append = Append(
            topic=message.topic,
            topic_key=self._server.key(message.topic),
            partition=partition_of(message.key, count),
            partitions=count,
            words=words_of(message),
            done=asyncio.get_running_loop().create_future(),
        )
        self._commit.add(append)
        return append

    async def _partitions(self, topic: str) -> int:
        if topic not in self._counts:
            self._counts[topic] = await self._server.partitions(check_name(topic))
        return self._counts[topic]

    @asynccontextmanager
    async def consumer(
        self,
        group: str,
        topics: Iterable[str],
        *,
        member: str = "member",
        start: Start = "start",
    ) -> AsyncIterator[RedisConsumer]:
        consumer = RedisConsumer(
            self._server,
            check_name(group),
            [check_name(topic) for topic in topics],
            member=member,
            start=start,
            lease_seconds=self._lease_seconds,
        )
        try:
            await consumer.join()
            yield consumer
        finally:
            await consumer.leave()

    async def read(
        self,
        topic: str,
        after: Mapping[int, Position],
        *,
        limit: int = 100,
        wait_seconds: float = 0.0,
    ) -> list[Entry]:
        check_partitions(topic, after, await self._partitions(topic))
        deadline = time.monotonic() + wait_seconds
        while True:
            left = deadline - time.monotonic()
            entries = await self._behind(topic, after, limit, left)
            if entries or left <= 0:
                return entries

    async def _behind(
        self, topic: str, after: Mapping[int, Position], limit: int, wait_seconds: float
    ) -> list[Entry]:
        where = {(topic, partition): position for partition, position in after.items()}
        ready = await self._server.ready(where, seconds=wait_seconds)
        fetched = await self._server.fetch({one: where[one] for one in ready}, limit=limit)
        await self._expect_no_gap(topic, after, fetched.entries)
        return [entry for entries in fetched.entries.values() for entry in entries]

    async def read_back(
        self, topic: str, partition: int, *, before: Position | None = None, limit: int = 100
    ) -> list[Entry]:
        check_partitions(topic, [partition], await self._partitions(topic))
        if before == BEGINNING:
            return []  # Redis refuses an interval that ends before its lowest id
        return await self._server.fetch_back((topic, partition), before=before, limit=limit)

    async def _expect_no_gap(
        self,
        topic: str,
        after: Mapping[int, Position],
        found: Mapping[TopicPartition, Sequence[Entry]],
    ) -> None:
        """Raises PositionLost if something behind a position was trimmed, or it is of a topic that was lost."""
        quiet = []
        for partition, position in after.items():
            entries = found.get((topic, partition))
            if position == BEGINNING:
                continue
            if not entries:
                quiet.append(partition)
            elif not follows(entries[0].position, position):
                raise PositionLost(topic, partition)
        if not quiet:
            return
        ends = await self.end(topic)
        for partition in quiet:
            if ends[partition] < after[partition]:
                raise PositionLost(topic, partition)
            if ends[partition] > after[partition]:
                await self._expect_next(topic, partition, after[partition])

    async def _expect_next(self, topic: str, partition: int, after: Position) -> None:
        """Something was appended just now, or trimmed before it was read."""
        wanted = {(topic, partition): after}
        entries = (await self._server.fetch(wanted, limit=1)).entries[topic, partition]
        if not entries or not follows(entries[0].position, after):
            raise PositionLost(topic, partition)

    async def end(self, topic: str) -> list[Position]:
        return [position_of(last) for last in await self._server.run(redis_scripts.END, topic)]

    async def groups(self, topic: str) -> frozenset[str]:
        await self._server.partitions(topic)
        return await self._server.groups(topic)

    async def lag(self, group: str, topic: str) -> list[int]:
        answer = await self._server.run(redis_scripts.LAG, topic, group)
        if answer == 0:
            raise UnknownGroup(group, topic)
        return list(answer)

    async def seek(self, group: str, topic: str, to: Target) -> None:
        count = await self._partitions(topic)
        answer = await self._server.run(redis_scripts.SEEK, topic, group, *_target(to, count))
        if answer == 0:
            raise UnknownGroup(group, topic)

    async def forget(self, group: str, topic: str) -> None:
        answer = await self._server.run(redis_scripts.FORGET, topic, group)
        if answer == 0:
            raise UnknownGroup(group, topic)
        if answer == 2:
            raise GroupInUse(group, topic)

    async def trim(self, topic: str, *, keep_seconds: float, ungrouped: bool = False) -> int:
        keep = round(keep_seconds * 1000)
        total = 0
        while True:
            removed = int(
                await self._server.run(
                    redis_scripts.TRIM, topic, keep, _TRIM_AT_ONCE, int(ungrouped)
                )
            )
            total += removed
            if removed < _TRIM_AT_ONCE:
                return total

    async def backlog(self, topic: str) -> Backlog:
        entries, unconsumed, oldest = await self._server.run(redis_scripts.BACKLOG, topic)
        return Backlog(
            entries=entries,
            unconsumed=unconsumed,
            oldest_seconds=None if oldest < 0 else oldest / 1000,
        )

    async def close(self) -> None:
        await self._commit.drain()
        await self._appends.aclose()
        await self._server.close()


def _place(outcome: Place | BaseException) -> Place:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _target(to: Target, partitions: int) -> list[Any]:
    """The arguments of SEEK. Raises ValueError."""
    if isinstance(to, str):
        return [to]
    if isinstance(to, datetime):
        return ["moment", milliseconds(to)]
    if any(not 0 <= partition < partitions for partition in to):
        raise ValueError(f"the topic has {partitions} partitions, numbered from 0")
    pairs = [(partition, id_of(position)) for partition, position in to.items()]
    return ["positions", *(word for pair in pairs for word in pair)]
