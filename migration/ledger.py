"""`Ledger`: the keys that have not arrived, one row for one incident until it is solved (control.divergences).

StoreUnavailable   (runtime.flagstore) the control database cannot be used
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import asyncpg
import orjson

from catalog.stage import Side
from migration.divergence import CLAIM_SECONDS, OVERDUE, Claimed, Failure, Hold
from routes.key import Key, read_key, write_key
from runtime.flagstore import asking
from runtime.postgres import POSTGRESQL, Connection


class Ledger(Protocol):
    """Time is the store's own clock. Every method may raise StoreUnavailable."""

    async def holds(self, entity: str, side: Side, keys: Sequence[Key]) -> Mapping[Key, Hold]:
        """Which of these keys have an unsolved incident; each of those was seen once more."""
        ...

    async def book(self, entity: str, side: Side, failures: Mapping[Key, Failure]) -> None:
        """A new incident, which follows the last one of its key if there was one, or one more try of the unsolved one.

        What is in quarantine stays there.
        """
        ...

    async def solve(self, entity: str, side: Side, keys: Sequence[Key]) -> None:
        """They have arrived, also out of quarantine."""
        ...

    async def claim(self, most: int) -> Sequence[Claimed]:
        """Incidents whose next try is due; nobody else gets them for CLAIM_SECONDS."""
        ...

    async def expire(self) -> int:
        """Into quarantine with what has been unsolved for OVERDUE since it was first seen, or redriven; how many."""
        ...

    async def redrive(self, entity: str | None, keys: Sequence[Key] | None) -> int:
        """Out of quarantine, with all tries before it, whichever side spoke; how many. None: of all."""
        ...


class PostgresLedger:
    """Any number of processes may share it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def holds(self, entity: str, side: Side, keys: Sequence[Key]) -> Mapping[Key, Hold]:
        rows = await self._fetch(
            "update control.divergences set last_seen = clock_timestamp()"
            " where entity = $1 and side = $2 and key = any($3) and state <> 'solved'"
            " returning key, attempts, case when state = 'quarantined' then 'infinity'"
            " else extract(epoch from next_at - clock_timestamp())::float8 end as seconds",
            entity,
            side,
            sorted(map(write_key, keys)),
        )
        return {
            read_key(row["key"]): Hold(attempts=row["attempts"], seconds=row["seconds"])
            for row in rows
        }

    async def book(self, entity: str, side: Side, failures: Mapping[Key, Failure]) -> None:
        entries = [
            {
                "key": write_key(key),
                "state": failure.state,
                "reason": failure.reason,
                "seconds": None if failure.seconds == float("inf") else failure.seconds,
                "correlation_id": failure.correlation_id,
            }
            for key, failure in sorted(failures.items())
        ]
        await self._fetch(_BOOK, entity, side, orjson.dumps(entries).decode())

    async def solve(self, entity: str, side: Side, keys: Sequence[Key]) -> None:
        await self._fetch(
            "update control.divergences set state = 'solved', solved_at = clock_timestamp()"
            " where entity = $1 and side = $2 and key = any($3) and state <> 'solved'",
            entity,
            side,
            sorted(map(write_key, keys)),
        )

    async def claim(self, most: int) -> Sequence[Claimed]:
        rows = await self._fetch(_CLAIM, most, CLAIM_SECONDS)
        return [
            Claimed(
                entity=row["entity"],
                key=read_key(row["key"]),
                side=Side(row["side"]),
                attempts=row["attempts"],
            )
            for row in rows
        ]

    async def expire(self) -> int:
        return len(
            await self._fetch(
                "update control.divergences set state = 'quarantined', quarantined_for = coalesce(quarantined_for, 'overdue'),"
                " quarantined_at = coalesce(quarantined_at, clock_timestamp()), next_at = 'infinity'"
                " where state in ('waiting', 'parked', 'retrying')"
                " and coalesce(redriven_at, first_seen) <= clock_timestamp() - $1::interval returning id",
                OVERDUE,
            )
        )

    async def redrive(self, entity: str | None, keys: Sequence[Key] | None) -> int:
        texts = None if keys is None else sorted(map(write_key, keys))
        with asking("postgresql", POSTGRESQL):
            async with self._pool.acquire() as connection:
                return await redrive(connection, entity, texts)

    async def _fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        with asking("postgresql", POSTGRESQL):
            return await self._pool.fetch(statement, *values)


async def redrive(connection: Connection, entity: str | None, texts: Sequence[str] | None) -> int:
    """`Ledger.redrive` in the caller's own transaction, by keys as they are written; what PostgreSQL raises passes through."""
    return len(await connection.fetch(_REDRIVE, entity, texts))


_BOOK = """
insert into control.divergences as d
    (entity, side, key, state, reason, correlation_id, next_at, quarantined_for, quarantined_at, follows)
select $1, $2, f.key, f.state, f.reason, f.correlation_id,
       coalesce(clock_timestamp() + f.seconds * interval '1 second', 'infinity'),
       case f.state when 'quarantined' then 'refused' end, case f.state when 'quarantined' then clock_timestamp() end,
       (select max(p.id) from control.divergences p
        where p.entity = $1 and p.side = $2 and p.key = f.key and p.state = 'solved')
from jsonb_to_recordset($3::jsonb) f(key text, state text, reason text, seconds float8, correlation_id text)
on conflict (entity, key, side) where state <> 'solved' do update set
    attempts = d.attempts + 1, last_seen = clock_timestamp(), reason = excluded.reason,
    correlation_id = coalesce(excluded.correlation_id, d.correlation_id),
    state = case d.state when 'quarantined' then d.state else excluded.state end,
    next_at = case d.state when 'quarantined' then d.next_at else excluded.next_at end,
    quarantined_for = coalesce(d.quarantined_for, excluded.quarantined_for),
    quarantined_at = coalesce(d.quarantined_at, excluded.quarantined_at)
"""
_CLAIM = """
update control.divergences d set next_at = clock_timestamp() + $2::float8 * interval '1 second'
from (select id from control.divergences where state in ('waiting', 'parked', 'retrying') and next_at <= clock_timestamp()
      order by next_at limit $1 for update skip locked) due
where d.id = due.id returning d.entity, d.key, d.side, d.attempts
"""
# The alert stays open, and is over when the incident is.
_REDRIVE = """
update control.divergences set state = 'retrying', attempts = 0, next_at = clock_timestamp(), redriven_at = clock_timestamp()
where state = 'quarantined' and ($1::text is null or entity = $1) and ($2::text[] is null or key = any($2)) returning id
"""
