"""`Attendance`: the movers' processes say that they live, and ring when one kind of them does not, or the mirror falls behind.

Each process does both, so whichever is left tells of the others.

StoreUnavailable   (runtime.flagstore) the control database cannot be used
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import asyncpg
import structlog

from runtime.alertclass import MIRROR_STOPPED, WORKER_MISMATCH
from runtime.alerts import Alerts
from runtime.eventlog.errors import EventLogError
from runtime.eventlog.protocol import EventLog
from runtime.flagstore import StoreUnavailable, asking
from runtime.intent import TOPIC
from runtime.postgres import POSTGRESQL

log = structlog.get_logger("attendance")

BEAT_SECONDS = 2.0
ABSENT_SECONDS = 15.0
"""Without a beat for so long nobody of that name is at work; a process that has only just begun waits as long before it rings."""
LAGGING_SECONDS = 30.0


class Register(Protocol):
    """Time is the store's own clock. Every method may raise StoreUnavailable."""

    async def beat(self, name: str, instance: str) -> None: ...

    async def present(self, seconds: float) -> frozenset[str]:
        """Names of which somebody has beaten within so many seconds."""
        ...


class Attendance:
    """Of one process. `names`: who ought to be at work."""

    def __init__(
        self,
        register: Register,
        alerts: Alerts,
        events: EventLog,
        *,
        name: str,
        instance: str,
        names: Sequence[str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._register = register
        self._alerts = alerts
        self._log = events
        self._name = name
        self._instance = instance
        self._names = frozenset(names)
        self._sleep = sleep
        self._looked = 0
        self._rung: str | None = None
        """What was rung last; empty: that all is well; None: nothing yet."""

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.step()
            except StoreUnavailable as error:
                log.warning("attendance.interrupted", exc_info=error)
            await self._sleep(BEAT_SECONDS)

    async def step(self) -> None:
        """A beat, and a look at the others. Raises StoreUnavailable."""
        await self._register.beat(self._name, self._instance)
        self._looked += 1
        if self._looked * BEAT_SECONDS <= ABSENT_SECONDS:
            return
        found = await self._wrong()
        if found == self._rung:
            return
        if self._rung is None:
            # What another one of this name died of is over: this one has lived for a while.
            await self._alerts.resolve(WORKER_MISMATCH, entity=alert_entity(self._name))
        if found:
            await self._alerts.ring(MIRROR_STOPPED, detail=found)
        else:
            await self._alerts.resolve(MIRROR_STOPPED)
        self._rung = found

    async def _wrong(self) -> str:
        """The detail of the alert; empty: nothing."""
        if self._names - await self._register.present(ABSENT_SECONDS):
            return "no_worker"
        try:
            oldest = (await self._log.backlog(TOPIC)).oldest_seconds
        except EventLogError:
            return ""  # the log's own trouble is not the mirror's
        return "lagging" if oldest is not None and oldest > LAGGING_SECONDS else ""


def alert_entity(name: str) -> str:
    """A worker's name in the place of an alert's entity, where words have no hyphen."""
    return name.replace("-", "_")


class PostgresRegister:
    """control.workers."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def beat(self, name: str, instance: str) -> None:
        with asking("postgresql", POSTGRESQL):
            await self._pool.execute(
                "with gone as (delete from control.workers where beat_at < clock_timestamp() - interval '1 day')"
                " insert into control.workers (name, instance) values ($1, $2)"
                " on conflict (name, instance) do update set beat_at = clock_timestamp()",
                name,
                instance,
            )

    async def present(self, seconds: float) -> frozenset[str]:
        with asking("postgresql", POSTGRESQL):
            rows = await self._pool.fetch(
                "select distinct name from control.workers"
                " where beat_at > clock_timestamp() - $1::float8 * interval '1 second'",
                seconds,
            )
        return frozenset(row["name"] for row in rows)

    async def alive(self, name: str, instance_prefix: str, seconds: float) -> bool:
        """Has an instance whose name begins so beaten within so many seconds?"""
        with asking("postgresql", POSTGRESQL):
            return bool(
                await self._pool.fetchval(
                    "select exists (select from control.workers where name = $1 and starts_with(instance, $2)"
                    " and beat_at > clock_timestamp() - $3::float8 * interval '1 second')",
                    name,
                    instance_prefix,
                    seconds,
                )
            )
