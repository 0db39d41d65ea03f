"""`Announcer`: no write without its intent (data-rules section 3).

The intent is in the mirror stream before the write is sent; while the stream cannot be reached, it is in the spool on this
machine's disk; where neither takes it, there is no write.

NotAnnounced   neither took it: 503, and nothing was sent
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from runtime.eventlog.errors import EventLogError
from runtime.eventlog.protocol import EventLog, Message
from runtime.intent import TOPIC, Closed, Intent, encode, stream_key
from runtime.spool import AppendMany, SpoolFailed
from runtime.tasks import spawn, stop

log = structlog.get_logger("announcer")

LEFT_ALONE_SECONDS = 1.0
"""After a failure the stream is not asked: no write waits for a server that does not answer."""
REPLAY_SECONDS = 0.5


class NotAnnounced(Exception):
    """Nothing was sent to any side."""


class Spools(Protocol):
    """runtime.spool.Spool, as far as it is needed here."""

    @property
    def waiting(self) -> int: ...

    async def put(self, message: Message) -> None: ...

    async def replay(self, append: AppendMany) -> int: ...

    def close(self) -> None: ...


class Announcer:
    """Of one process. Start it, so that what was spooled gets into the stream again."""

    def __init__(
        self, events: EventLog, spool: Spools, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = events
        self._spool = spool
        self._clock = clock
        self._not_before = float("-inf")
        self._replaying: Any = None
        self.spooled = 0
        """Intents and outcomes that went to the disk, since the process started."""

    @property
    def waiting(self) -> int:
        return self._spool.waiting

    async def start(self) -> None:
        self._replaying = spawn(self._replay_always(), name="announcer.replay")

    async def stop(self) -> None:
        if self._replaying is not None:
            await stop(self._replaying)
        self._spool.close()

    async def announce(self, intent: Intent) -> None:
        """Returns when the intent survives any crash. Raises NotAnnounced."""
        try:
            await self._put(Message(topic=TOPIC, key=stream_key(intent), value=encode(intent)))
        except SpoolFailed:
            raise NotAnnounced from None

    async def close(self, intent: Intent, closed: Closed) -> None:
        """How it ended. If neither stream nor disk takes that, the worker finds out by itself, later."""
        try:
            await self._put(Message(topic=TOPIC, key=stream_key(intent), value=encode(closed)))
        except SpoolFailed:
            log.warning("intent.not_closed", entity=intent.entity)

    async def _put(self, message: Message) -> None:
        # What waits goes first: one row's entries stay in order.
        if not self._spool.waiting and self._clock() >= self._not_before:
            try:
                await self._log.append(message.topic, message.key, message.value)
            except EventLogError as error:
                self._not_before = self._clock() + LEFT_ALONE_SECONDS
                log.warning("announcer.stream_lost", exc_info=error)
            else:
                return
        self.spooled += 1
        await self._spool.put(message)

    async def _replay_always(self) -> None:
        while True:
            try:
                await self._spool.replay(self._log.append_many)
            except EventLogError:
                pass
            except OSError as error:
                log.warning("announcer.spool_unreadable", exc_info=error)
            await asyncio.sleep(REPLAY_SECONDS)
