"""`PinFeed`: reads the mirror stream along, so that this process knows the pins that others have made.

A pin is in the stream before its write is sent, and this process reads the stream to its end before it takes a new
version of the flags: so no flip is ever seen before the pins that it endangers (docs/decisions.md 29).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg
import structlog

from catalog.stage import Side
from gateway.pins import Pins
from runtime.eventlog.errors import EventLogError, PositionLost
from runtime.eventlog.protocol import BEGINNING, GATHER_SECONDS, EventLog, Position
from runtime.intent import TOPIC, Intent, NotSaid, decode
from runtime.tasks import spawn, stop

log = structlog.get_logger("pins")

_AT_ONCE = 500
_WAIT_SECONDS = 1.0
_AGAIN_SECONDS = 0.2
CATCH_UP_SECONDS = 1.0
_UNREACHABLE = (EventLogError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


Taken = Callable[[], Awaitable[Sequence[Intent]]]


class PinFeed:
    """Start it before the flags, and let them ask `catch_up` before each swap."""

    def __init__(self, events: EventLog, taken: Taken, pins: Pins) -> None:
        """`taken`: the intents that the mirror worker has taken from the stream and not settled."""
        self._log = events
        self._taken = taken
        self._pins = pins
        self._read: dict[int, Position] = {}
        self._tasks: list[Any] = []
        self._stopping = False
        self.behind = False
        """The stream could not be read to its end lately."""

    async def start(self) -> None:
        """Knows what has been announced until now, and goes on reading. Without the stream it starts all the same, and says so."""
        await self.catch_up()
        self._tasks.append(spawn(self._follow_always(), name="pins.follow"))

    async def stop(self) -> None:
        self._stopping = True  # redis-py may swallow a cancellation (see `tasks.stop`)
        await stop(*self._tasks)
        self._tasks.clear()

    async def catch_up(self) -> bool:
        """Read to the end that the stream has now; False if it could not be reached in time.

        What fails is tried again until then: one lost answer must not cost a user their own write.
        """
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while True:
                    if await self._read_to_the_end():
                        break
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError:
            self.behind = True
            return False
        self.behind = False
        return True

    async def _read_to_the_end(self) -> bool:
        try:
            if not self._read:
                await self._begin()
            ends = await self._log.end(TOPIC)
            while left := {
                partition: self._read[partition]
                for partition, end in enumerate(ends)
                if self._read[partition] < end
            }:
                await self._read_some(left, wait_seconds=0.0)
        except _UNREACHABLE as error:
            log.warning("pins.not_read", exc_info=error)
            return False
        return True

    async def _begin(self) -> None:
        """First where the stream ends now, then what the worker has taken from it and not settled, then the stream's rest:
        nothing falls between."""
        count = await self._log.create(TOPIC)
        for intent in await self._taken():
            self._pins.hear(intent)
        self._read = dict.fromkeys(range(count), BEGINNING)

    async def _read_some(self, after: Mapping[int, Position], *, wait_seconds: float) -> None:
        """Two may read one partition at a time: whoever comes second has nothing new to say."""
        try:
            entries = await self._log.read(TOPIC, after, limit=_AT_ONCE, wait_seconds=wait_seconds)
        except PositionLost as lost:
            # Trimmed away means settled: what is left is what counts.
            self._read[lost.partition] = BEGINNING
            return
        for entry in entries:
            if entry.position <= self._read[entry.partition]:
                continue
            try:
                self._pins.hear(decode(entry.value))
            except NotSaid:
                log.warning("pins.unknown_entry")
            self._read[entry.partition] = entry.position

    async def _follow_always(self) -> None:
        while not self._stopping:
            if self.behind:
                await self.catch_up()
            try:
                if not self._read:
                    await self._begin()
                while not self._stopping:
                    await self._read_some({**self._read}, wait_seconds=_WAIT_SECONDS)
                    # Whoever must know it now asks `catch_up`.
                    await asyncio.sleep(GATHER_SECONDS)
            except _UNREACHABLE:
                self.behind = True
            await asyncio.sleep(_AGAIN_SECONDS)


_OPEN = """
select id, entity, key, authority, scope, user_tag, epoch, correlation_id from control.intents
where outcome is distinct from 'not_applied' order by seen_at
"""


def taken_by_worker(pool: Callable[[], asyncpg.Pool]) -> Taken:
    """From the worker's own memory, the control database."""

    async def taken() -> Sequence[Intent]:
        return [_intent(row) for row in await pool().fetch(_OPEN)]

    return taken


def _intent(row: asyncpg.Record) -> Intent:
    return Intent(
        id=str(row["id"]),
        entity=row["entity"],
        key=None if row["key"] is None else tuple(row["key"]),
        authority=Side(row["authority"]),
        scope=row["scope"],
        user=row["user_tag"],
        epoch=row["epoch"],
        correlation_id=row["correlation_id"],
        grace_seconds=0.0,
    )
