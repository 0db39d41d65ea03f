"""`Upkeep`: nothing that has served its time stays: entries of the event log, published events, records of repeats.

Tombstones are not among it: they outlive the longest possible replay (data-rules 3.9), and whoever removes them knows of it.
"""

from collections.abc import Mapping, Sequence

import asyncpg

from catalog import assets
from catalog.service import Service
from migration.outbox import Outbox
from migration.postgres_store import answered
from runtime.eventlog.protocol import EventLog
from runtime.flagstore import asking
from runtime.intent import TOPIC
from runtime.postgres import POSTGRESQL
from runtime.serviceevent import topic_of

MIRROR_KEPT_SECONDS = 300.0
EVENTS_KEPT_SECONDS = 3600.0
REPEATS_KEPT = "72 hours"
"""The published expiry of an idempotency key is 24 to 72 hours."""


async def trim(events: EventLog) -> int:
    """What is old and consumed by every group, out of the log; how many entries. Raises EventLogError."""
    gone = await events.trim(TOPIC, keep_seconds=MIRROR_KEPT_SECONDS)
    for entity in assets():
        gone += await events.trim(topic_of(entity), keep_seconds=EVENTS_KEPT_SECONDS)
    return gone


async def purge_outboxes(events: EventLog, outboxes: Sequence[Outbox]) -> int:
    """Published events that are old, or that every group has passed; how many. Raises EventLogError, StoreError."""
    consumed: dict[str, float] = {}
    for entity in assets():
        topic = topic_of(entity)
        if await events.groups(topic):
            # What is older than the oldest one that waits has been taken.
            consumed[entity] = (await events.backlog(topic)).oldest_seconds or 0.0
    return sum([await outbox.purge(consumed) for outbox in outboxes])


async def purge_repeats(control: asyncpg.Pool, services: Mapping[Service, asyncpg.Pool]) -> None:
    """On both records (docs/decisions.md 78). `services`: pools of banyan_apply. Raises StoreError, StoreUnavailable."""
    for service, pool in services.items():
        statement = f"select {service}.purge_idempotency($1::text::interval)"
        await answered(pool.execute(statement, REPEATS_KEPT))
    with asking("postgresql", POSTGRESQL):
        await control.execute(
            "delete from control.idempotency where recorded_at < now() - $1::text::interval",
            REPEATS_KEPT,
        )
