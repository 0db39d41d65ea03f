"""`RedisServer`: what the event log asks of Redis, with its keys, its clients, and its failures translated."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis.commands.core import AsyncScript

from runtime import redis
from runtime.eventlog.errors import LogUnavailable, UnknownTopic
from runtime.eventlog.protocol import Entry, Position, TopicPartition
from runtime.eventlog.redis_words import entry_of, id_of
from runtime.redis import LOST

COMMAND_SECONDS: Final = 5.0
"""A batch of large entries takes its time."""
WAIT_SLICE_SECONDS: Final = 2.0
"""Longest blocking read: within this a server that fell silent is noticed."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Entries by partition, and the tokens of the leases behind that."""

    entries: Mapping[TopicPartition, list[Entry]]
    holders: Mapping[TopicPartition, bytes | None]


class RedisServer:
    """One server and one prefix. Commands raise LogUnavailable, scripts UnknownTopic as well."""

    def __init__(self, url: str, *, prefix: str) -> None:
        self._prefix = prefix
        self._scripts: dict[str, AsyncScript] = {}
        self._redis = redis.connect(url, timeout=COMMAND_SECONDS)
        # A socket that gave up before the server does would end the wait with an error.
        self._waits = redis.connect(url, timeout=WAIT_SLICE_SECONDS + COMMAND_SECONDS)

    def key(self, topic: str) -> str:
        return f"{self._prefix}{topic}"

    def stream(self, partition: TopicPartition) -> str:
        topic, number = partition
        return f"{self.key(topic)}:{number}"

    async def run(self, script: str, topic: str, *arguments: Any) -> Any:
        """What a script of redis_scripts answers about a topic."""
        if script not in self._scripts:
            self._scripts[script] = self._redis.register_script(script)
        with asking():
            answer = await self._scripts[script]([self.key(topic)], arguments)
        if answer is None:
            raise UnknownTopic(topic)
        return answer

    async def partitions(self, topic: str) -> int:
        with asking():
            count = await self._redis.hget(self.key(topic), "partitions")
        if count is None:
            raise UnknownTopic(topic)
        return int(count)

    async def groups(self, topic: str) -> frozenset[str]:
        with asking():
            found: set[Any] = await self._redis.smembers(f"{self.key(topic)}:groups")
        return frozenset(bytes(name).decode() for name in found)

    async def facts(self) -> Mapping[str, Any]:
        """Of INFO: what the server does with what it takes."""
        with asking():
            persistence = await self._redis.info("persistence")
            memory = await self._redis.info("memory")
        return {**persistence, **memory}

    async def ready(
        self, wanted: Mapping[TopicPartition, Position], *, seconds: float
    ) -> list[TopicPartition]:
        """Those that have something behind their position, in this order; waits for the first one (at most a slice)."""
        behind = {self.stream(partition): id_of(after) for partition, after in wanted.items()}
        block = round(min(seconds, WAIT_SLICE_SECONDS) * 1000)
        with asking():
            if block > 0:
                answer: Any = await self._waits.xread(behind, count=1, block=block)  # type: ignore[arg-type]
            else:
                answer = await self._redis.xread(behind, count=1)  # type: ignore[arg-type]
        # A mapping in RESP3, pairs in RESP2; both begin with the stream's name.
        named = {bytes(one if isinstance(answer, dict) else one[0]) for one in answer or ()}
        return [partition for partition in wanted if self.stream(partition).encode() in named]

    async def fetch(
        self,
        wanted: Mapping[TopicPartition, Position],
        *,
        limit: int,
        group: str = "",
        leased: Sequence[TopicPartition] = (),
    ) -> Fetched:
        """At most so many entries behind each position. The leases are read behind the entries: one that still holds, held."""
        pipeline = self._redis.pipeline(transaction=False)
        for partition, after in wanted.items():
            pipeline.xrange(self.stream(partition), min=f"({id_of(after)}", count=limit)
        if leased:
            pipeline.mget([f"{self.key(topic)}:lease:{group}:{number}" for topic, number in leased])
        with asking():
            answers = await pipeline.execute()
        holders = dict(zip(leased, answers.pop(), strict=True)) if leased else {}
        return Fetched(
            entries={
                partition: [entry_of(*partition, *found) for found in answer]
                for partition, answer in zip(wanted, answers, strict=True)
            },
            holders=holders,
        )

    async def fetch_back(
        self, partition: TopicPartition, *, before: Position | None, limit: int
    ) -> list[Entry]:
        """Entries in front of a position, newest first."""
        newest = "+" if before is None else f"({id_of(before)}"
        with asking():
            found: Any = await self._redis.xrevrange(
                self.stream(partition), max=newest, count=limit
            )
        return [entry_of(*partition, *one) for one in found]

    async def close(self) -> None:
        await asyncio.gather(self._redis.aclose(), self._waits.aclose())


@contextmanager
def asking() -> Iterator[None]:
    """A client's errors as LogUnavailable."""
    try:
        yield
    except LOST as error:
        raise LogUnavailable(type(error).__name__) from error
