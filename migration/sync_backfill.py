"""`SyncBackfill`: what users have written in the services goes back into legacy, by the services' own events (data-rules 3.6).

The second net behind the intents: it also brings what nobody has announced. An entry is acknowledged when legacy holds the
row's version, or the key stands in the ledger, or legacy takes nothing of that entity any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from catalog import assets
from catalog.stage import Side
from migration.delivery import Delivery
from migration.relay import create_topics
from routes.key import Key
from runtime.eventlog.errors import EventLogError, Fenced, PartitionMismatch
from runtime.eventlog.protocol import Consumer, Entry, EventLog
from runtime.failpoint import reach
from runtime.flagstore import StoreUnavailable
from runtime.serviceevent import NotAnEvent, decode

log = structlog.get_logger("sync-backfill")

GROUP = "sync-backfill"
_AT_ONCE = 500
_POLL_SECONDS = 0.5
_REST_SECONDS = 0.25
"""Behind a batch. Most of what comes here the mirror has brought over before: to see that is cheapest many at a time."""
_AGAIN_SECONDS = 0.5


class SyncBackfill:
    """One worker; several share the partitions."""

    def __init__(
        self,
        *,
        events: EventLog,
        delivery: Delivery,
        member: str = GROUP,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = events
        self._delivery = delivery
        self._member = member
        self._sleep = sleep

    async def run(self, stopping: asyncio.Event) -> None:
        """Until it is told to stop, behind the batch that is under way."""
        while not stopping.is_set():
            try:
                topics = await create_topics(self._log)
                async with self._log.consumer(GROUP, topics, member=self._member) as consumer:
                    while not stopping.is_set():
                        await self.step(consumer)
            except PartitionMismatch:
                raise
            except (EventLogError, StoreUnavailable) as error:
                # What was polled and not acknowledged comes again to whoever joins.
                log.warning("sync_backfill.interrupted", exc_info=error)
                await self._sleep(_AGAIN_SECONDS)

    async def step(self, consumer: Consumer) -> None:
        """One batch, parents before their children. Raises EventLogError, StoreUnavailable: then join anew."""
        entries = await consumer.poll(_AT_ONCE, wait_seconds=_POLL_SECONDS)
        if not entries:
            return
        named = _keys(entries)
        for entity in assets():
            if entity in named:
                await self._delivery.run(entity, named[entity], Side.SERVICE)
        reach("M1")
        try:
            await consumer.commit(entries)
        except Fenced as fenced:
            log.warning("sync_backfill.fenced", count=len(fenced.partitions))
        await self._sleep(_REST_SECONDS)


def _keys(entries: Sequence[Entry]) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for entry in entries:
        try:
            event = decode(entry.value)
        except NotAnEvent:
            log.warning("sync_backfill.unknown_entry", topic=entry.topic)
            continue
        found.setdefault(event.entity, []).append(event.key)
    return found
