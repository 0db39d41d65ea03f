"""The composition root of the movers' processes: what each of them does, over which engines."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeAlias

import structlog

from catalog.stage import Side
from migration.attendance import ABSENT_SECONDS, Attendance, PostgresRegister, alert_entity
from migration.chore import Chore
from migration.conflicts import Conflicts, ConflictSource
from migration.divergence_clock import DivergenceClock
from migration.engines import Engines, engines
from migration.intent_store import PostgresIntents
from migration.leases import Leases, PostgresNumbers
from migration.ledger import PostgresLedger
from migration.log_watch import LogWatch
from migration.mirror import Mirror
from migration.relay import Relay, create_topics
from migration.retries import Retries
from migration.sync_backfill import SyncBackfill
from migration.upkeep import purge_outboxes, purge_repeats, trim
from runtime.alertclass import WORKER_MISMATCH
from runtime.alerts import Alerts
from runtime.eventlog.errors import PartitionMismatch
from runtime.flagstore import StoreUnavailable
from runtime.intent import TOPIC
from runtime.postgres import pool_for
from runtime.sealed import Sealer
from runtime.settings import Settings
from runtime.shadowstore import ShadowStore
from runtime.tagger import Tagger
from runtime.tasks import spawn, stop

log = structlog.get_logger("worker")

NAMES = ("mirror", "relay", "sync-backfill", "keeper")


class Job(Protocol):
    """Part of a process's work."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Until it is told to stop; then what is under way is finished."""
        ...


Jobs: TypeAlias = Callable[[Settings, Engines, str], AsyncIterator[Sequence[Job]]]


async def run_worker(name: str, settings: Settings, stopping: asyncio.Event) -> None:
    """One process of this name, until it is told to stop. Raises SettingsError for what is missing, and PartitionMismatch, which
    has rung: a repeat would end in the same way.

    A job that dies ends the process: what it had under way comes again to whoever follows.
    """
    instance = instance_name()
    compose, legacy_size = _COMPOSED[name]
    async with (
        engines(settings, name, legacy_size=legacy_size) as made,
        asynccontextmanager(compose)(settings, made, instance) as jobs,
    ):
        attendance = Attendance(
            PostgresRegister(made.control),
            Alerts(made.control),
            made.events,
            name=name,
            instance=instance,
            names=NAMES,
        )
        tasks = [spawn(job.run(stopping), name=type(job).__name__) for job in (*jobs, attendance)]
        log.info("worker.ready", task=name, pid=os.getpid())
        try:
            await _end_together(tasks)
        except PartitionMismatch:
            await _ring_mismatch(Alerts(made.control), name)
            raise
    log.info("worker.stopped", task=name)


async def _end_together(tasks: Sequence[asyncio.Task[None]]) -> None:
    """When all have ended, or the first has died: then the others are stopped where they stand."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    died = [task for task in done if task.exception()]
    if died:
        await stop(*tasks)
        died[0].result()


async def _ring_mismatch(alerts: Alerts, name: str) -> None:
    try:
        await alerts.ring(WORKER_MISMATCH, entity=alert_entity(name))
    except StoreUnavailable as error:
        log.exception("worker.mismatch_not_rung", task=name, exc_info=error)


async def is_alive(name: str, settings: Settings) -> bool:
    """Has a process of this name on this machine said so lately? Raises StoreUnavailable."""
    dsn = settings.need_secret("control_database_url")
    async with pool_for(dsn, name="banyan worker check", size=1) as pool:
        return await PostgresRegister(pool).alive(name, f"{socket.gethostname()}.", ABSENT_SECONDS)


def instance_name() -> str:
    return f"{socket.gethostname()}.{os.getpid()}"


# --- the four


async def _mirror(settings: Settings, made: Engines, instance: str) -> AsyncIterator[Sequence[Job]]:
    delivery = made.delivery()
    mirror = Mirror(
        events=made.events,
        intents=PostgresIntents(made.control),
        delivery=delivery,
        stores=made.stores,
        member=instance,
    )
    yield [mirror, Retries(PostgresLedger(made.control), delivery)]


async def _relay(settings: Settings, made: Engines, instance: str) -> AsyncIterator[Sequence[Job]]:
    yield [Relay(outbox, made.events) for outbox in made.outboxes]


async def _sync_backfill(
    settings: Settings, made: Engines, instance: str
) -> AsyncIterator[Sequence[Job]]:
    yield [SyncBackfill(events=made.events, delivery=made.delivery(), member=instance)]


async def _keeper(settings: Settings, made: Engines, instance: str) -> AsyncIterator[Sequence[Job]]:
    dsn = settings.need_secret("legacy_control_database_url")
    async with pool_for(dsn, name="banyan keeper", size=1) as control:
        tagger = Tagger(settings.need_keyring("evidence_keys"))
        clock = DivergenceClock(
            PostgresLedger(made.control), made.control, Alerts(made.control), tagger
        )
        conflicts = Conflicts(
            _conflict_sources(made),
            made.control,
            alerts=Alerts(made.control),
            sealer=Sealer(settings.need_keyring("field_keys")),
            tagger=tagger,
        )
        leases = Leases(PostgresNumbers(control, made.services), Alerts(made.control))
        watch = LogWatch(made.events, Alerts(made.control))

        async def has_topics() -> None:
            await made.events.create(TOPIC)
            await create_topics(made.events)

        async def trim_log() -> None:
            await has_topics()
            await trim(made.events)

        async def watch_log() -> None:
            await has_topics()
            await watch.step()

        async def purge() -> None:
            await has_topics()
            await purge_outboxes(made.events, made.outboxes)
            await purge_repeats(made.control, made.services)
            await conflicts.purge()
            await ShadowStore(made.control).purge()

        yield [
            Chore(name="leases", every_seconds=2, work=leases.step),
            Chore(name="divergences", every_seconds=1, work=clock.step),
            Chore(name="conflicts", every_seconds=5, work=conflicts.step),
            Chore(name="trim", every_seconds=30, work=trim_log),
            Chore(name="log", every_seconds=10, work=watch_log),
            Chore(name="purge", every_seconds=600, work=purge),
        ]


def _conflict_sources(made: Engines) -> Sequence[ConflictSource]:
    services = (
        ConflictSource(Side.SERVICE, pool, service) for service, pool in made.services.items()
    )
    return [ConflictSource(Side.LEGACY, made.legacy), *services]


_COMPOSED: Mapping[str, tuple[Jobs, int]] = {
    "mirror": (_mirror, 5),
    "relay": (_relay, 1),
    "sync-backfill": (_sync_backfill, 4),
    "keeper": (_keeper, 1),
}
"""By name, and how many connections to legacy it may have."""
