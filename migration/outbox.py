"""`Outbox`: the events of one service that wait to be published, in its own database.

StoreError (migration/store.py)   its database cannot be used; what was not marked is published again
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import asyncpg

from catalog import assets
from catalog.service import Service
from migration.postgres_store import answered
from routes.key import Key, write_key
from runtime.failpoint import reach
from runtime.serviceevent import ServiceEvent

Publish = Callable[[Sequence[ServiceEvent]], Awaitable[None]]
KEPT_DAYS = 7
KEPT_SECONDS = 3600.0
"""A published event that every group has passed is kept so long, for whoever looks into something."""
_MARGIN_SECONDS = 60.0
"""Between the log's clock and the database's."""


class Outbox(Protocol):
    """Any number of relays may share it."""

    @property
    def service(self) -> Service: ...

    async def hand_over(self, most: int, publish: Publish) -> int:
        """Gives the oldest unpublished events to `publish`, and marks them once that has returned; how many they were.

        Within a key they come in the order of the writes: one relay at a time has a service's outbox, and 0 is also the
        answer while another one has it. What `publish` raises passes through, and nothing is marked.
        """
        ...

    async def purge(self, consumed: Mapping[str, float]) -> int:
        """Deletes what was published long ago. `consumed`: by entity, what was published before so many seconds ago has been
        taken by every group. How many were deleted."""
        ...


class PostgresOutbox:
    """`pool`: of banyan_apply in the service's database."""

    def __init__(self, service: Service, pool: asyncpg.Pool) -> None:
        self.service = service
        self._pool = pool

    async def hand_over(self, most: int, publish: Publish) -> int:
        if not await answered(self._pool.fetchval(self._statement(_ANY))):
            return 0
        return await answered(self._handed_over(most, publish))

    async def _handed_over(self, most: int, publish: Publish) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            # Ends with the transaction, however that ends: a relay that dies lets go.
            if not await connection.fetchval(_ALONE, f"banyan.relay.{self.service}"):
                return 0
            rows = await connection.fetch(self._statement(_OLDEST), most)
            if rows:
                reach("O1")
                await publish([self._event(row) for row in rows])
                reach("O2")
                await connection.execute(self._statement(_MARK), [row["id"] for row in rows])
            return len(rows)

    async def purge(self, consumed: Mapping[str, float]) -> int:
        entities = sorted(consumed)
        ages = [max(consumed[entity] + _MARGIN_SECONDS, KEPT_SECONDS) for entity in entities]
        rows = await answered(self._pool.fetch(self._statement(_PURGE), KEPT_DAYS, entities, ages))
        return len(rows)

    def _statement(self, words: str) -> str:
        return words.format(outbox=f"{self.service}.outbox")

    def _event(self, row: asyncpg.Record) -> ServiceEvent:
        key = _key(row["entity"], row["key"])
        return ServiceEvent(
            id=str(row["event_id"]),
            type=row["event_type"],
            service=self.service,
            entity=row["entity"],
            key=key,
            subject=write_key(key),
            updated_at=row["updated_at"],
            origin=row["origin"],
            row_version=row["row_version"],
            seen_at=row["seen_at"],
            correlation_id=row["correlation_id"],
            time=row["recorded_at"],
        )


def _key(entity: str, found: str) -> Key:
    values = json.loads(found)
    return tuple(str(values[name]) for name in assets()[entity].key)


_ANY = "select exists (select from {outbox} where published_at is null)"
_ALONE = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))"
# All that is unpublished, not what lies behind the last id or transaction that was seen: a lower one may commit later. Of one
# key's events those that can be seen are always the first ones, since a row's writers wait for each other's commits; their
# stamps rise with them. So no horizon (pg_snapshot_xmin) is needed, behind which a single long transaction, a backfill's
# for example, would hold back everything.
_OLDEST = """
select id, event_id, event_type, entity, key::text as key, origin, row_version, correlation_id,
       to_jsonb(updated_at) #>> '{{}}' as updated_at, to_jsonb(seen_at) #>> '{{}}' as seen_at,
       to_jsonb(recorded_at) #>> '{{}}' as recorded_at
from {outbox} where published_at is null order by updated_at, id limit $1
"""
_MARK = "update {outbox} set published_at = clock_timestamp() where id = any($1)"
_PURGE = """
delete from {outbox} o where o.published_at < clock_timestamp() - $1 * interval '1 day'
   or exists (select from unnest($2::text[], $3::float8[]) c(entity, seconds)
              where o.entity = c.entity and o.published_at < clock_timestamp() - c.seconds * interval '1 second')
returning o.id
"""
