"""The event log of a world, and how one process reaches it.

`WorldLog` is runtime's own log in memory; waiting costs no tasks in it. `ProcessLog` is one process's way to it: there entries
take time and answers get lost, and while the log is away nobody reaches it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import ParamSpec, TypeVar

from runtime.eventlog.errors import LogUnavailable
from runtime.eventlog.memory import MemoryConsumer, MemoryLog
from runtime.eventlog.protocol import (
    NO_HEADERS,
    Entry,
    Message,
    Place,
    Position,
    Start,
    TopicPartition,
)
from runtime.intent import TOPIC, Intent, decode
from tests.simulation.process import Process

P = ParamSpec("P")
T = TypeVar("T")

FOLLOW_SECONDS = 2.0
"""Most that a gateway is behind with the stream that it reads along."""
IDLE_SECONDS = 3.0
"""Members wait at least so long for an entry: many looks at nothing are as good as one, and a world lives many seconds."""


class WorldLog(MemoryLog):
    """`clock` is the loop's."""

    def __init__(self, *, clock: Callable[[], float], partitions: int) -> None:
        super().__init__(clock=clock, partitions=partitions)
        self.away = False
        self.announced: dict[str, float] = {}
        """When each intent came into the stream, by its correlation id."""
        self._waiting: list[asyncio.Future[None]] = []

    async def append_many(self, messages: Sequence[Message]) -> list[Place]:
        places = await super().append_many(messages)
        for message in messages:
            if message.topic == TOPIC and isinstance(said := decode(message.value), Intent):
                self.announced.setdefault(said.correlation_id, self.clock())
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            _wake(one)
        return places

    async def changed(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        change = loop.create_future()
        self._waiting.append(change)
        timer = loop.call_later(seconds, _wake, change)
        try:
            await change
        finally:
            timer.cancel()


def _wake(change: "asyncio.Future[None]") -> None:
    if not change.done():
        change.set_result(None)


class ProcessLog:
    """As far as `runtime.eventlog.protocol.EventLog` is used by gateways and movers."""

    def __init__(self, log: WorldLog, process: Process) -> None:
        self._log = log
        self._process = process
        self.consumers: list[MemoryConsumer] = []
        """They hold their leases until those run out, if the process dies."""

    async def create(self, topic: str, *, partitions: int | None = None) -> int:
        return await self._ask(self._log.create, topic, partitions=partitions)

    async def append(
        self, topic: str, key: bytes, value: bytes, *, headers: Mapping[str, bytes] = NO_HEADERS
    ) -> Place:
        return await self._ask(self._log.append, topic, key, value, headers=headers)

    async def append_many(self, messages: Sequence[Message]) -> list[Place]:
        return await self._ask(self._log.append_many, messages)

    async def read(
        self,
        topic: str,
        after: Mapping[int, Position],
        *,
        limit: int = 100,
        wait_seconds: float = 0.0,
    ) -> list[Entry]:
        # It waits for entries at the other end: only the answer takes time.
        entries = await self._log.read(topic, after, limit=limit, wait_seconds=wait_seconds)
        self._need()
        if entries:
            await self._process.travel()
            if wait_seconds:
                # Who follows may fall behind; who catches up asks by itself.
                await asyncio.sleep(self._process.dice.delay(0.02, FOLLOW_SECONDS))
        await self._process.live()
        return entries

    async def end(self, topic: str) -> list[Position]:
        return await self._ask(self._log.end, topic)

    def consumer(
        self,
        group: str,
        topics: Iterable[str],
        *,
        member: str = "member",
        start: Start = "start",
    ) -> "_Membership":
        return _Membership(self, group, list(topics), member, start)

    def join(self, group: str, topics: Sequence[str], member: str, start: Start) -> MemoryConsumer:
        self._need()
        joined = self._log.joined(group, topics, member=member, start=start)
        self.consumers.append(joined)
        return joined

    def crash(self) -> None:
        for consumer in self.consumers:
            consumer.crash()

    async def poll(
        self, consumer: MemoryConsumer, max_entries: int, wait_seconds: float
    ) -> list[Entry]:
        entries = await consumer.poll(max_entries, max(wait_seconds, IDLE_SECONDS))
        self._need()
        if entries:
            await self._process.travel()
        await self._process.live()
        return entries

    async def commit(self, consumer: MemoryConsumer, done: Iterable[Entry | Place]) -> None:
        await self._ask(consumer.commit, done)

    async def _ask(self, act: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        async def reached() -> T:
            self._need()
            return await act(*args, **kwargs)

        return await self._process.call(_lost, reached)

    def _need(self) -> None:
        if self._log.away:
            raise LogUnavailable("away")


def _lost() -> LogUnavailable:
    return LogUnavailable("lost")


class _Member:
    """`runtime.eventlog.protocol.Consumer`, through a process."""

    def __init__(self, log: ProcessLog, consumer: MemoryConsumer) -> None:
        self._log = log
        self._consumer = consumer

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        return self._consumer.partitions

    async def poll(self, max_entries: int = 100, wait_seconds: float = 0.0) -> list[Entry]:
        return await self._log.poll(self._consumer, max_entries, wait_seconds)

    async def commit(self, done: Iterable[Entry | Place]) -> None:
        await self._log.commit(self._consumer, done)

    def pause(self, topic: str) -> None:
        self._consumer.pause(topic)

    def resume(self, topic: str) -> None:
        self._consumer.resume(topic)


class _Membership:
    """No generator: what a dead process leaves behind must not be closed by the collector."""

    def __init__(
        self, log: ProcessLog, group: str, topics: Sequence[str], member: str, start: Start
    ) -> None:
        self._log = log
        self._asked = (group, topics, member, start)
        self._consumer: MemoryConsumer | None = None

    async def __aenter__(self) -> _Member:
        self._consumer = self._log.join(*self._asked)
        return _Member(self._log, self._consumer)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._consumer is not None:
            self._consumer.leave()
