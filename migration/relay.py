"""`Relay`: from the services' outboxes into the event log, at least once (docs/decisions.md 24).

An event is marked only when the log has it for good; a crash in between publishes it again. Per key the order is that of the
writes (migration/outbox.py), also with several relays: one at a time has a service's outbox, the others wait for it to let go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from catalog import assets
from migration.outbox import Outbox
from migration.store import StoreError
from runtime.eventlog.errors import EventLogError, PartitionMismatch
from runtime.eventlog.protocol import EventLog, Message
from runtime.serviceevent import ServiceEvent, encode, log_key, topic_of

log = structlog.get_logger("relay")

AT_ONCE = 500
POLL_SECONDS = 0.25
"""Rather than NOTIFY, which takes a lock that all of a database's commits share, on the path of users' writes.
What users write is brought over by its intent before; so events go many at a time."""
_AGAIN_SECONDS = 1.0


class Relay:
    """Of one service."""

    def __init__(
        self,
        outbox: Outbox,
        events: EventLog,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._outbox = outbox
        self._log = events
        self._sleep = sleep

    async def run(self, stopping: asyncio.Event) -> None:
        """Until it is told to stop, behind the batch that is under way."""
        while not stopping.is_set() and not await self._has_topics():
            await self._sleep(_AGAIN_SECONDS)
        while not stopping.is_set():
            try:
                count = await self.step()
            except PartitionMismatch:
                raise
            except (EventLogError, StoreError) as error:
                log.warning("relay.interrupted", service=self._outbox.service, exc_info=error)
                await self._sleep(_AGAIN_SECONDS)
            else:
                if count < AT_ONCE:
                    await self._sleep(POLL_SECONDS)

    async def _has_topics(self) -> bool:
        try:
            await create_topics(self._log)
        except PartitionMismatch:
            raise
        except EventLogError as error:
            log.warning("relay.no_topics", exc_info=error)
            return False
        return True

    async def step(self) -> int:
        """One batch; how many events. Raises EventLogError, StoreError: then they come again."""
        return await self._outbox.hand_over(AT_ONCE, self._publish)

    async def _publish(self, events: Sequence[ServiceEvent]) -> None:
        messages = [
            Message(topic=topic_of(e.entity), key=log_key(e), value=encode(e)) for e in events
        ]
        await self._log.append_many(messages)


async def create_topics(events: EventLog) -> Sequence[str]:
    """The services' topics, made unless they are there. Raises EventLogError."""
    topics = [topic_of(entity) for entity in assets()]
    for topic in topics:
        await events.create(topic)
    return topics
