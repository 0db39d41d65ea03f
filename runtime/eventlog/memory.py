"""`MemoryLog`: the event log inside one process, for the simulator and flow tests. The same contract suite holds it.

Time is the caller's: `clock` in seconds since the epoch, `sleep` whatever waits by that clock. There are no tasks in the
background: a member renews its leases when it polls, so one that does not poll for a lease's time loses them. What the log
holds outlives its consumers; `MemoryConsumer.crash` is a process that dies.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from runtime import tasks
from runtime.eventlog.errors import Fenced, PartitionMismatch, PositionLost, UnknownTopic
from runtime.eventlog.holdings import Holdings, dealt, per_partition
from runtime.eventlog.memory_topic import MemoryTopic
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


class MemoryLog:
    """Keeps the promises of `protocol.EventLog`, but that nothing outlives the process."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        partitions: int = 8,
        lease_seconds: float = 10.0,
    ) -> None:
        self.clock = clock
        self.lease_seconds = lease_seconds
        self._sleep = sleep
        self._default = partitions
        self._topics: dict[str, MemoryTopic] = {}
        self._changed = asyncio.Event()
        self._members = 0

    def topic(self, name: str) -> MemoryTopic:
        """Raises UnknownTopic."""
        if check_name(name) not in self._topics:
            raise UnknownTopic(name)
        return self._topics[name]

    async def create(self, topic: str, *, partitions: int | None = None) -> int:
        wanted = partitions or self._default
        held = self._topics.setdefault(check_name(topic), MemoryTopic(topic, wanted)).partitions
        if held != wanted:
            raise PartitionMismatch(topic, held=held, wanted=wanted)
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
            self.topic(message.topic)
        places = [self._append(message) for message in messages]
        self._changed.set()
        self._changed = asyncio.Event()
        return places

    def _append(self, message: Message) -> Place:
        topic = self.topic(message.topic)
        partition = partition_of(message.key, topic.partitions)
        position = topic.append(message, partition, self.clock())
        return Place(topic=message.topic, partition=partition, position=position)

    @asynccontextmanager
    async def consumer(
        self,
        group: str,
        topics: Iterable[str],
        *,
        member: str = "member",
        start: Start = "start",
    ) -> "AsyncIterator[MemoryConsumer]":
        consumer = self.joined(group, topics, member=member, start=start)
        try:
            yield consumer
        finally:
            consumer.leave()

    def joined(
        self, group: str, topics: Iterable[str], *, member: str, start: Start
    ) -> "MemoryConsumer":
        """A member that leaves when it is told to."""
        self._members += 1
        return MemoryConsumer(
            self,
            check_name(group),
            [self.topic(name) for name in topics],
            member=f"{member}~{self._members}",
            start=start,
        )

    async def read(
        self,
        topic: str,
        after: Mapping[int, Position],
        *,
        limit: int = 100,
        wait_seconds: float = 0.0,
    ) -> list[Entry]:
        held = self.topic(topic)
        check_partitions(topic, after, held.partitions)
        deadline = self.clock() + wait_seconds
        while True:
            entries: list[Entry] = []
            for partition, position in after.items():
                found = held.behind(partition, position, limit)
                expected = found[0].position - 1 if found else held.ends[partition]
                if position not in (BEGINNING, expected):
                    raise PositionLost(topic, partition)
                entries += found
            left = deadline - self.clock()
            if entries or left <= 0:
                return entries
            await self.changed(left)

    async def read_back(
        self, topic: str, partition: int, *, before: Position | None = None, limit: int = 100
    ) -> list[Entry]:
        held = self.topic(topic)
        check_partitions(topic, [partition], held.partitions)
        return held.in_front(partition, before, limit)

    async def changed(self, seconds: float) -> None:
        """Return at the next append, or after so many seconds."""
        waits = (
            tasks.spawn(self._changed.wait(), name="eventlog.changed"),
            tasks.spawn(self._slept(seconds), name="eventlog.slept"),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await tasks.stop(*waits)

    async def _slept(self, seconds: float) -> None:
        await self._sleep(seconds)

    async def end(self, topic: str) -> list[Position]:
        return list(self.topic(topic).ends)

    async def groups(self, topic: str) -> frozenset[str]:
        return self.topic(topic).groups

    async def lag(self, group: str, topic: str) -> list[int]:
        return self.topic(topic).lag(group)

    async def seek(self, group: str, topic: str, to: Target) -> None:
        self.topic(topic).seek(group, to)

    async def forget(self, group: str, topic: str) -> None:
        self.topic(topic).forget(group, self.clock())

    async def trim(self, topic: str, *, keep_seconds: float, ungrouped: bool = False) -> int:
        return self.topic(topic).trim(self.clock() - keep_seconds, ungrouped=ungrouped)

    async def backlog(self, topic: str) -> Backlog:
        return self.topic(topic).backlog(self.clock())

    async def close(self) -> None:
        """What it holds can still be read by another owner of the object."""


class MemoryConsumer:
    """Made by `MemoryLog.consumer`. Keeps the promises of `protocol.Consumer`."""

    def __init__(
        self,
        log: MemoryLog,
        group: str,
        topics: Sequence[MemoryTopic],
        *,
        member: str,
        start: Start,
    ) -> None:
        self._log = log
        self._group = group
        self._topics = {topic.name: topic for topic in topics}
        self._member = member
        self._start = start
        self._holdings = Holdings()
        self._paused: set[str] = set()
        self._crashed = False
        self._tend()

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        return self._holdings.partitions

    def crash(self) -> None:
        """As if its process had died: what it holds runs out, leaving its context gives nothing back."""
        self._crashed = True

    def leave(self) -> None:
        if self._crashed:
            return
        for topic in self._topics.values():
            self._holdings.update(topic.name, {})
            topic.leave(self._group, self._member)

    async def poll(self, max_entries: int = 100, wait_seconds: float = 0.0) -> list[Entry]:
        deadline = self._log.clock() + wait_seconds
        while True:
            self._tend()
            entries = self._fetch(max_entries)
            left = deadline - self._log.clock()
            if entries or left <= 0:
                return entries
            await self._log.changed(min(left, self._log.lease_seconds / 3))

    def _fetch(self, max_entries: int) -> list[Entry]:
        turn = self._holdings.turn(self._paused)
        limit = per_partition(max_entries, len(turn))
        fetched = []
        for name, number in turn:
            after = self._holdings.cursor((name, number))
            fetched.append(self._topics[name].behind(number, after, limit))
        entries = list(dealt(fetched, max_entries))
        self._holdings.deliver(entries)
        return entries

    async def commit(self, done: Iterable[Entry | Place]) -> None:
        moves, fenced = self._holdings.committable(done)
        for partition, position in moves.items():
            name, number = partition
            move = (number, self._holdings.token(partition), position)
            if self._topics[name].commit(self._group, [move], self._log.clock()):
                fenced.add(partition)
                self._holdings.drop(partition)
            else:
                self._holdings.committed(partition, position)
        if fenced:
            raise Fenced(fenced)

    def pause(self, topic: str) -> None:
        self._paused.add(topic)

    def resume(self, topic: str) -> None:
        self._paused.discard(topic)

    def _tend(self) -> None:
        now, lease_seconds = self._log.clock(), self._log.lease_seconds
        for topic in self._topics.values():
            share, leases = topic.tend(
                self._group, self._member, self._start, now=now, lease_seconds=lease_seconds
            )
            self._holdings.update(topic.name, leases)
            for partition in self._holdings.surplus(
                topic.name, share, now=now, patience=lease_seconds
            ):
                topic.release(self._group, partition[1], self._holdings.token(partition))
                self._holdings.drop(partition)
