"""`MirrorView`: what an operator sees of the mirror in the control database: who works, what is open, what has not arrived."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg


@dataclass(frozen=True, kw_only=True)
class Worker:
    name: str
    instance: str
    seconds: float
    """Since its last beat."""


@dataclass(frozen=True, kw_only=True)
class OpenWrites:
    """Announced and not settled."""

    authority: str
    count: int
    oldest_seconds: float


@dataclass(frozen=True, kw_only=True)
class Unsolved:
    entity: str
    side: str
    state: str
    count: int
    oldest_seconds: float


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """`key` is a row's id."""

    entity: str
    key: str
    side: str
    reason: str
    quarantined_for: str
    attempts: int
    first_seen: datetime
    last_seen: datetime
    correlation_id: str | None
    follows: int | None


class MirrorView:
    """What PostgreSQL raises passes through."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def workers(self) -> Sequence[Worker]:
        rows = await self._connection.fetch(
            "select name, instance, extract(epoch from clock_timestamp() - beat_at)::float8 as seconds"
            " from control.workers where beat_at > clock_timestamp() - interval '1 hour' order by name, instance"
        )
        return [Worker(**row) for row in rows]

    async def open_writes(self) -> Sequence[OpenWrites]:
        rows = await self._connection.fetch(
            "select authority, count(*) as count,"
            " extract(epoch from clock_timestamp() - min(seen_at))::float8 as oldest_seconds"
            " from control.intents group by authority order by authority"
        )
        return [OpenWrites(**row) for row in rows]

    async def unsolved(self) -> Sequence[Unsolved]:
        rows = await self._connection.fetch(
            "select entity, side, state, count(*) as count,"
            " extract(epoch from clock_timestamp() - min(first_seen))::float8 as oldest_seconds"
            " from control.divergences where state <> 'solved' group by 1, 2, 3 order by 1, 2, 3"
        )
        return [Unsolved(**row) for row in rows]

    async def quarantined(self, entity: str | None, limit: int) -> Sequence[Quarantined]:
        """Oldest first."""
        rows = await self._connection.fetch(
            "select entity, key, side, reason, quarantined_for, attempts, first_seen, last_seen, correlation_id, follows"
            " from control.divergences where state = 'quarantined' and ($1::text is null or entity = $1)"
            " order by first_seen limit $2",
            entity,
            limit,
        )
        return [Quarantined(**row) for row in rows]

    async def is_unsolved(self, entity: str, key: str, side: str) -> bool:
        """Is there an incident of this key, which has not arrived from `side`?"""
        found = await self._connection.fetchval(
            "select exists (select from control.divergences"
            " where entity = $1 and key = $2 and side = $3 and state <> 'solved')",
            entity,
            key,
            side,
        )
        return bool(found)

    async def how_many(self, entity: str | None, key: str | None) -> int:
        """In quarantine."""
        count = await self._connection.fetchval(
            "select count(*) from control.divergences where state = 'quarantined'"
            " and ($1::text is null or entity = $1) and ($2::text is null or key = $2)",
            entity,
            key,
        )
        return int(count)
