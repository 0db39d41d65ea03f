"""`RedisConsumer`: one member of a group over Redis. A task of its own renews and takes leases, three times in a lease's time.

A lease is believed only as far as the server says: `poll` reads it behind the entries, `commit` checks it in the step that moves
the position. So a member that was suspended for an hour delivers nothing stale and commits nothing. When somebody seeks the
group, its leases are gone: the next poll notices, takes them again, and begins at the new positions.
"""

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence

import structlog

from runtime import tasks
from runtime.eventlog import redis_scripts
from runtime.eventlog.errors import EventLogError, Fenced, LogUnavailable
from runtime.eventlog.holdings import Holdings, Lease, dealt, per_partition
from runtime.eventlog.protocol import Entry, Place, Start, TopicPartition
from runtime.eventlog.redis_server import RedisServer
from runtime.eventlog.redis_words import id_of, position_of

log = structlog.get_logger("eventlog")


class RedisConsumer:
    """Made by `RedisLog.consumer`. Keeps the promises of `protocol.Consumer`."""

    def __init__(
        self,
        server: RedisServer,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        start: Start,
        lease_seconds: float,
    ) -> None:
        self._server = server
        self._group = group
        self._topics = tuple(topics)
        self._member = f"{member}~{secrets.token_hex(6)}"
        self._start = start
        self._lease_seconds = lease_seconds
        self._holdings = Holdings()
        self._paused: set[str] = set()
        self._wake = asyncio.Event()
        self._tended = asyncio.Event()
        self._tender: asyncio.Task[None] | None = None

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        return self._holdings.partitions

    async def join(self) -> None:
        """Raises UnknownTopic, LogUnavailable."""
        await self._tend()
        self._tender = tasks.spawn(self._keep_tending(), name=f"eventlog.leases:{self._group}")

    async def leave(self) -> None:
        """Give everything back. If the server does not answer, the leases run out by themselves."""
        if self._tender is not None:
            await tasks.stop(self._tender)
        try:
            for topic in self._topics:
                self._holdings.update(topic, {})
                await self._server.run(redis_scripts.LEAVE, topic, self._group, self._member)
        except EventLogError as error:
            log.warning("eventlog.leave_failed", group=self._group, exc_info=error)

    async def poll(self, max_entries: int = 100, wait_seconds: float = 0.0) -> list[Entry]:
        deadline = time.monotonic() + wait_seconds
        entries = await self._next(max_entries, 0.0)
        while not entries and (left := deadline - time.monotonic()) > 0:
            # No longer than until the leases are looked after: there may be others then.
            entries = await self._next(max_entries, min(left, self._lease_seconds / 3))
        return entries

    async def _next(self, max_entries: int, wait_seconds: float) -> list[Entry]:
        self._expect_tender()
        turn = self._holdings.turn(self._paused)
        if not turn:
            await _set_within(self._tended, wait_seconds)
            self._tended.clear()
            return []
        tokens = {partition: self._holdings.token(partition) for partition in turn}
        cursors = {partition: self._holdings.cursor(partition) for partition in turn}
        ready = await self._server.ready(cursors, seconds=wait_seconds)
        fetched = await self._server.fetch(
            {partition: cursors[partition] for partition in ready},
            limit=per_partition(max_entries, len(ready)),
            group=self._group,
            leased=turn,
        )
        valid = []
        for partition, token in tokens.items():
            if fetched.holders[partition] != token:
                self._lost(partition, token)
            elif partition in fetched.entries and self._holdings.holds(partition, token):
                # Else it was given back while the answer was on its way.
                valid.append(fetched.entries[partition])
        entries = list(dealt(valid, max_entries))
        self._holdings.deliver(entries)
        return entries

    def _lost(self, partition: TopicPartition, token: bytes) -> None:
        if self._holdings.holds(partition, token):
            self._holdings.drop(partition)
        self._wake.set()

    async def commit(self, done: Iterable[Entry | Place]) -> None:
        moves, fenced = self._holdings.committable(done)
        for topic in {topic for topic, _ in moves}:
            numbers = [number for name, number in moves if name == topic]
            tokens = [self._holdings.token((topic, number)) for number in numbers]
            triples = [
                (number, token, id_of(moves[topic, number]))
                for number, token in zip(numbers, tokens, strict=True)
            ]
            words = [word for triple in triples for word in triple]
            refused = await self._server.run(redis_scripts.COMMIT, topic, self._group, *words)
            for number, token in zip(numbers, tokens, strict=True):
                partition = (topic, number)
                if number in refused:
                    fenced.add(partition)
                    self._lost(partition, token)
                elif self._holdings.holds(partition, token):
                    self._holdings.committed(partition, moves[partition])
        if fenced:
            raise Fenced(fenced)

    def pause(self, topic: str) -> None:
        self._paused.add(topic)

    def resume(self, topic: str) -> None:
        self._paused.discard(topic)

    async def _keep_tending(self) -> None:
        reachable = True
        while True:
            await _set_within(self._wake, self._lease_seconds / 3)
            self._wake.clear()
            try:
                await self._tend()
            except LogUnavailable as error:
                if reachable:
                    log.warning("eventlog.leases_unattended", group=self._group, exc_info=error)
                reachable = False
                continue
            if not reachable:
                log.info("eventlog.leases_attended", group=self._group)
            reachable = True

    async def _tend(self) -> None:
        """Renew, take what is free up to the fair share, and give back what is beyond it."""
        length = round(self._lease_seconds * 1000)
        for topic in self._topics:
            token = f"{self._member}/{secrets.token_hex(6)}"
            share, *leases = await self._server.run(
                redis_scripts.TEND, topic, self._group, self._member, token, length, self._start
            )
            self._holdings.update(topic, _leases(leases))
            surplus = self._holdings.surplus(
                topic, share, now=time.monotonic(), patience=self._lease_seconds
            )
            if surplus:
                await self._release(topic, surplus)
        self._tended.set()

    async def _release(self, topic: str, partitions: Sequence[TopicPartition]) -> None:
        words = [
            word
            for partition in partitions
            for word in (partition[1], self._holdings.token(partition))
        ]
        for partition in partitions:
            self._holdings.drop(partition)
        await self._server.run(redis_scripts.RELEASE, topic, self._group, *words)

    def _expect_tender(self) -> None:
        """Leases that nobody renews would be lost one by one; better to end with the reason."""
        if self._tender is None or not self._tender.done():
            return
        error = None if self._tender.cancelled() else self._tender.exception()
        if isinstance(error, EventLogError):
            raise error
        raise LogUnavailable("nobody renews the leases") from error


def _leases(words: Sequence[int | bytes]) -> dict[int, Lease]:
    """Partition -> lease, from the answer of TEND."""
    found = {}
    for number, token, position in zip(words[::3], words[1::3], words[2::3], strict=True):
        if isinstance(number, int) and isinstance(token, bytes) and isinstance(position, bytes):
            found[number] = Lease(token=token, committed=position_of(position))
    return found


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set in that time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
