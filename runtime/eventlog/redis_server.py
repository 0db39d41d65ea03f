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
    """Entries of one partition, and the token of its lease behind that."""

    entries: list[Entry]
    holder: bytes | None


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

    async def fetch(
        self, wanted: Sequence[tuple[TopicPartition, Position]], *, limit: int, group: str = ""
    ) -> list[Fetched]:
        """Entries behind each position. The lease is read behind the entries: if it still holds, they were the holder's."""
        pipeline = self._redis.pipeline(transaction=False)
        for partition, after in wanted:
            topic, number = partition
            pipeline.xrange(self.stream(partition), min=f"({id_of(after)}", count=limit)
            pipeline.get(f"{self.key(topic)}:lease:{group}:{number}")
        with asking():
            answers = await pipeline.execute()
        return [
            Fetched(
                entries=[entry_of(*partition, *found) for found in answers[2 * index]],
                holder=answers[2 * index + 1],
            )
            for index, (partition, _) in enumerate(wanted)
        ]

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

    async def wait(
        self, wanted: Sequence[tuple[TopicPartition, Position]], *, seconds: float
    ) -> None:
        """Return when one of these partitions has something behind its position, or after so long (at most a slice).

        What the read answers is not used: its shape differs between RESP2 and RESP3, and a lease may have gone meanwhile.
        """
        behind = {self.stream(partition): id_of(after) for partition, after in wanted}
        block = max(1, round(min(seconds, WAIT_SLICE_SECONDS) * 1000))
        with asking():
            await self._waits.xread(behind, count=1, block=block)  # type: ignore[arg-type]

    async def close(self) -> None:
        await asyncio.gather(self._redis.aclose(), self._waits.aclose())


@contextmanager
def asking() -> Iterator[None]:
    """A client's errors as LogUnavailable."""
    try:
        yield
    except LOST as error:
        raise LogUnavailable(type(error).__name__) from error
