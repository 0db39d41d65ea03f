"""`PostgresIntents`: the open intents in the control database (control.intents).

StoreUnavailable   (runtime.flagstore) it cannot be used
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import asyncpg
import orjson

from catalog.stage import Side
from migration.intents import CLAIM_SECONDS, Announced, OpenIntent
from runtime.flagstore import asking
from runtime.intent import Closed, Intent, Outcome
from runtime.postgres import POSTGRESQL


class PostgresIntents:
    """Keeps the promises of `intents.IntentStore`. Any number of processes may share it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def take(
        self, announced: Sequence[Announced], closed: Sequence[Closed]
    ) -> Sequence[OpenIntent]:
        if announced:
            await self._fetch(_KEEP, _json([_columns(one) for one in announced]))
        if not closed:
            return ()
        ends = [{"id": c.id, "outcome": c.outcome, "key": c.key} for c in closed]
        return [_open(row) for row in await self._fetch(_CLOSE, _json(ends), CLAIM_SECONDS)]

    async def due(self, partitions: Collection[int], most: int) -> Sequence[OpenIntent]:
        if not partitions:
            return ()
        rows = await self._fetch(_DUE, sorted(partitions), most, CLAIM_SECONDS)
        return [_open(row) for row in rows]

    async def put_off(self, seconds: Mapping[str, float | None]) -> None:
        if seconds:
            # In the order of their ids, as everywhere: two that update the same rows must not wait for each other.
            ids = sorted(seconds)
            await self._fetch(_PUT_OFF, ids, [seconds[id_] for id_ in ids])

    async def remove(self, ids: Sequence[str]) -> None:
        if ids:
            await self._fetch("delete from control.intents where id = any($1::text[]::uuid[])", ids)

    async def _fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        with asking("postgresql", POSTGRESQL):
            return await self._pool.fetch(statement, *values)


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _columns(announced: Announced) -> dict[str, Any]:
    intent = announced.intent
    return {
        "id": intent.id,
        "partition": announced.partition,
        "entity": intent.entity,
        "key": intent.key,
        "authority": intent.authority,
        "scope": intent.scope,
        "user_tag": intent.user,
        "epoch": intent.epoch,
        "correlation_id": intent.correlation_id,
        "grace": intent.grace_seconds,
    }


def _open(row: asyncpg.Record) -> OpenIntent:
    return OpenIntent(
        intent=Intent(
            id=str(row["id"]),
            entity=row["entity"],
            key=_key(row["key"]),
            authority=Side(row["authority"]),
            scope=row["scope"],
            user=row["user_tag"],
            epoch=row["epoch"],
            correlation_id=row["correlation_id"],
            grace_seconds=row["grace"],
        ),
        partition=row["partition"],
        brought=_key(row["brought_key"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        ended=row["ended"],
    )


def _key(texts: list[str] | None) -> tuple[str, ...] | None:
    return None if texts is None else tuple(texts)


_RETURNED = """
returning i.*, extract(epoch from i.resolve_at - i.seen_at)::float8 as grace, i.resolve_at <= clock_timestamp() as ended
"""
_KEEP = """
insert into control.intents
    (id, partition, entity, key, authority, scope, user_tag, epoch, correlation_id, seen_at, resolve_at, next_at)
select i.id, i.partition, i.entity, i.key, i.authority, i.scope, i.user_tag, i.epoch, i.correlation_id,
       now(), now() + i.grace * interval '1 second', now() + i.grace * interval '1 second'
from jsonb_to_recordset($1::jsonb) i(id uuid, partition integer, entity text, key text[], authority text, scope text,
                                     user_tag text, epoch bigint, correlation_id text, grace float8)
order by i.id on conflict (id) do nothing
"""
# An outcome that is known is not taken back by a later "unknown".
_CLOSE = f"""
update control.intents i set closed_at = clock_timestamp(), attempts = attempts + 1,
    outcome = case when i.outcome in ('applied', 'not_applied') and c.outcome = 'unknown' then i.outcome else c.outcome end,
    brought_key = coalesce(i.brought_key, case when i.key is null then c.key end),
    next_at = clock_timestamp() + $2::float8 * interval '1 second'
from jsonb_to_recordset($1::jsonb) c(id uuid, outcome text, key text[])
where i.id = c.id {_RETURNED}
"""  # noqa: S608 - fixed texts
_DUE = f"""
update control.intents i set attempts = i.attempts + 1, next_at = clock_timestamp() + $3::float8 * interval '1 second'
from (select id from control.intents where partition = any($1::integer[]) and next_at <= clock_timestamp()
      order by next_at limit $2 for update skip locked) due
where i.id = due.id {_RETURNED}
"""  # noqa: S608 - fixed texts
_PUT_OFF = """
update control.intents i set next_at = coalesce(clock_timestamp() + p.seconds * interval '1 second', i.resolve_at)
from unnest($1::text[]::uuid[], $2::float8[]) p(id, seconds) where i.id = p.id
"""
