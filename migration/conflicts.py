"""`Conflicts`: moves the records of true conflicts from the sides into the control database (data-rules 2.5 and 2.6).

The overwriting statement has written each with the loser's full row, so it is collected soon: the row goes sealed into the
quarantine, where it stays 30 days, its fields leave keyed tags, and the entity's owner hears of it. A crash at any step
collects the same record again, which is one row.

StoreError         (migration/store.py) a side cannot be used
StoreUnavailable   (runtime.flagstore) the control database cannot be used
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
import structlog

from catalog import assets
from catalog.service import Service
from catalog.stage import Side
from migration.held_sql import place, target_sql
from migration.postgres_store import answered
from migration.store import Refused
from routes.key import Key, write_key
from runtime.alertclass import CONFLICT
from runtime.alerts import Alerts
from runtime.flagstore import asking
from runtime.postgres import POSTGRESQL
from runtime.sealed import Sealer
from runtime.tagger import Tagger

log = structlog.get_logger("conflicts")

KEPT_DAYS = 30
_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class Record:
    """As a side holds it. `row` is the loser's, as JSON by that side's names; empty: it was a delete."""

    source_id: int
    recorded_at: str
    entity: str
    key: Key
    loser: Mapping[str, Any]
    row: str
    winner: Mapping[str, Any]
    winner_deleted: bool

    @property
    def version(self) -> str:
        """By which the sealed row is told from others of its key."""
        return f"{self.loser['updated_at']}.{self.loser['origin']}"


class ConflictSource:
    """One side's records. `pool`: of banyan_worker, or of banyan_apply in the service's database."""

    def __init__(self, side: Side, pool: asyncpg.Pool, service: Service | None = None) -> None:
        self.side = side
        self.name = service.value if service else side.value
        self._schema = service.value if service else "banyan"
        self._pool = pool

    async def oldest(self) -> Sequence[Record]:
        """Raises StoreError."""
        rows = await answered(self._pool.fetch(self._statement(_OLDEST), _AT_ONCE))
        return [_record(row, self.side) for row in rows if row["entity"] in assets()]

    async def values(self, record: Record) -> Mapping[str, Any]:
        """The loser's values by the new model's names; of a row that has no counterpart there: none. Raises StoreError."""
        if not record.row:
            return {}
        statement = target_sql(assets()[record.entity], self.side)
        try:
            found = await answered(self._pool.fetchval(statement, record.row))
        except Refused as error:
            log.warning("conflicts.without_tags", entity=record.entity, reason=error.code)
            return {}
        values: Mapping[str, Any] = json.loads(found)
        return values

    async def remove(self, ids: Sequence[int]) -> None:
        """Marked first: what is marked and still here has been collected. Raises StoreError."""
        await answered(self._pool.execute(self._statement(_MARK), ids))
        await answered(self._pool.execute(self._statement(_REMOVE), ids))

    def _statement(self, words: str) -> str:
        return words.format(conflicts=f"{self._schema}.conflicts")


class Conflicts:
    """Any number may run."""

    def __init__(
        self,
        sources: Sequence[ConflictSource],
        control: asyncpg.Pool,
        *,
        alerts: Alerts,
        sealer: Sealer,
        tagger: Tagger,
    ) -> None:
        self._sources = sources
        self._control = control
        self._alerts = alerts
        self._sealer = sealer
        self._tagger = tagger

    async def step(self) -> None:
        """Raises StoreError, StoreUnavailable: then the rest comes the next time."""
        for source in self._sources:
            records = await source.oldest()
            for record in records:
                await self._keep(source, record)
            if records:
                await source.remove([record.source_id for record in records])
        await self._ring()

    async def purge(self) -> None:
        """Sealed rows whose time is over; their records stay. Raises StoreUnavailable."""
        with asking("postgresql", POSTGRESQL):
            await self._control.execute(
                "delete from control.quarantine where kept_until < clock_timestamp()"
            )

    async def _keep(self, source: ConflictSource, record: Record) -> None:
        tags = self._tags(record.entity, await source.values(record))
        with asking("postgresql", POSTGRESQL):
            async with self._control.acquire() as connection, connection.transaction():
                id_ = await connection.fetchval(
                    _KEEP,
                    source.name,
                    record.source_id,
                    record.recorded_at,
                    record.entity,
                    write_key(record.key),
                    orjson.dumps(record.loser).decode(),
                    not record.row,
                    orjson.dumps(record.winner).decode(),
                    record.winner_deleted,
                    orjson.dumps(tags).decode(),
                )
                if id_ is not None and record.row:
                    await connection.execute(_SEAL, id_, self._sealed(record), KEPT_DAYS)

    def _sealed(self, record: Record) -> bytes:
        key = write_key(record.key)
        return self._sealer.seal(
            record.row.encode(), entity=record.entity, key=key, version=record.version
        )

    def _tags(self, entity: str, values: Mapping[str, Any]) -> dict[str, str]:
        """Of no field that has few values (decisions.md 35), and of nothing that is null."""
        return {
            column.target: str(self._tagger.tag(entity, column.target, _normal(value)))
            for column in assets()[entity].kept
            if not column.low_entropy and (value := values.get(column.target)) is not None
        }

    async def _ring(self) -> None:
        with asking("postgresql", POSTGRESQL):
            rows = await self._control.fetch(
                "select id, entity, key, source from control.conflicts where rung_at is null order by id limit $1",
                _AT_ONCE,
            )
        for row in rows:
            lost_on = Side.LEGACY if row["source"] == Side.LEGACY else Side.SERVICE
            await self._alerts.ring(
                CONFLICT,
                entity=row["entity"],
                subject=self._tagger.tag(row["entity"], "key", row["key"]),
                detail=f"lost_on_{lost_on}",
            )
            with asking("postgresql", POSTGRESQL):
                await self._control.execute(
                    "update control.conflicts set rung_at = clock_timestamp() where id = $1",
                    row["id"],
                )


def _normal(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _record(row: asyncpg.Record, side: Side) -> Record:
    key = json.loads(row["key"])
    return Record(
        source_id=row["id"],
        recorded_at=row["recorded_at"],
        entity=row["entity"],
        key=tuple(str(key[name]) for name in place(assets()[row["entity"]], side).key),
        loser=json.loads(row["loser"]),
        row=row["loser_row"] or "",
        winner=json.loads(row["winner"]),
        winner_deleted=row["winner_deleted"],
    )


def _stamps(who: str) -> str:
    names = ("updated_at", "origin", "row_version", "seen_at", "correlation_id")
    pairs = ", ".join(f"'{name}', {who}_{name}" for name in names)
    return f"jsonb_build_object({pairs})::text as {who}"


_OLDEST = (
    "select id, to_jsonb(recorded_at) #>> '{{}}' as recorded_at, entity, key::text as key, loser_row::text as loser_row,"  # noqa: S608 - fixed texts
    f" winner_deleted, {_stamps('loser')}, {_stamps('winner')}"
    " from {conflicts} order by id limit $1"
)
_MARK = "update {conflicts} set collected_at = clock_timestamp() where id = any($1) and collected_at is null"
_REMOVE = "delete from {conflicts} where id = any($1) and collected_at is not null"
_KEEP = """
insert into control.conflicts (source, source_id, recorded_at, entity, key, loser, loser_deleted, winner, winner_deleted, tags)
values ($1, $2, $3::text::timestamptz, $4, $5, $6::text::jsonb, $7, $8::text::jsonb, $9, $10::text::jsonb)
on conflict (source, source_id, recorded_at) do nothing returning id
"""
_SEAL = """
insert into control.quarantine (conflict_id, sealed, kept_until)
values ($1, $2, clock_timestamp() + $3::integer * interval '1 day')
"""
