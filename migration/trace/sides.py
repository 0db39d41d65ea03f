"""What the two sides hold of one correlation id: rows, tombstones, conflicts that were not collected yet, outbox. Stamps and keys alone.

First by the id, table by table, as far as the time goes; then, by their keys, the rows that any source has named: that is exact.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

import asyncpg

from catalog import assets
from catalog.asset import Asset, Kind
from catalog.service import Service
from catalog.stage import Side
from migration.held_sql import place
from migration.trace.database import MOST_ROWS, Database
from migration.trace.timeline import LEGACY, Line, Row, What
from migration.trace.verdict import LOST, WON
from routes.key import Key, read_key, write_key
from runtime.postgres import quote_identifier as quoted


def where_of(service: Service | None) -> str:
    """None: legacy."""
    return LEGACY if service is None else f"service {service}"


async def read_side(
    database: Database, services: Sequence[Service] | None, correlation_id: str
) -> None:
    """`services`: whose database it is; None: legacy's."""
    if not database.reached:
        return
    findings = database.findings
    known = _of(services)
    for side, service, asset in known:
        statement = _rows_sql(asset, side, commits=database.commits)
        rows = await database.fetch(asset.entity, statement, correlation_id)
        findings.add(_copy(row, asset.entity, _key(row), service, What.ROW) for row in rows)
    for service in services or (None,):
        await _read_schema(database, service, correlation_id)
        if service is not None:
            statement = _OUTBOX.format(schema=service)
            for row in await database.fetch(f"{service}.outbox", statement, correlation_id):
                findings.add(_events(row, service))
    findings.look(database.where, f"{len(known)} tables, tombstones, conflicts")


async def _read_schema(database: Database, service: Service | None, correlation_id: str) -> None:
    schema = service or "banyan"
    statement = _graves_sql(schema, commits=database.commits)
    for row in await database.fetch(f"{schema}.tombstones", statement, correlation_id):
        if row["entity"] in assets():
            key = _json_key(row, service)
            database.findings.add([_copy(row, row["entity"], key, service, What.TOMBSTONE)])
    statement = _CONFLICTS.format(schema=schema)
    for row in await database.fetch(f"{schema}.conflicts", statement, correlation_id):
        if row["entity"] in assets():
            database.findings.add([_conflict(row, service)])


async def read_named(
    database: Database,
    services: Sequence[Service] | None,
    correlation_id: str,
    named: Collection[Row],
) -> None:
    """What is held of these rows, where it was not found by the id."""
    here = {
        line.row
        for line in database.findings.lines
        if line.what in (What.ROW, What.TOMBSTONE) and (line.side is Side.LEGACY) == (not services)
    }
    for side, service, asset in _of(services):
        wanted = sorted(key for entity, key in named if entity == asset.entity)
        keys = [read_key(key) for key in wanted if (asset.entity, key) not in here]
        if not keys:
            continue
        statement = _named_sql(asset, side, commits=database.commits)
        columns = [list(texts) for texts in zip(*keys[:MOST_ROWS], strict=True)]
        rows = await database.fetch(asset.entity, statement, *columns)
        for row in rows:
            carries = What.TOMBSTONE if row["deleted"] else What.ROW
            what = carries if row["correlation_id"] == correlation_id else What.OTHER
            database.findings.add([_copy(row, asset.entity, _key(row), service, what)])


def _of(services: Sequence[Service] | None) -> list[tuple[Side, Service | None, Asset]]:
    if services is None:
        return [(Side.LEGACY, None, asset) for asset in assets().values()]
    return [
        (Side.SERVICE, asset.service, asset)
        for asset in assets().values()
        if asset.service in services
    ]


# --- lines


def _copy(row: asyncpg.Record, entity: str, key: Key, service: Service | None, what: What) -> Line:
    facts: dict[str, Any] = {"origin": row["origin"], "row_version": row["row_version"]}
    if what is What.OTHER:
        facts |= {
            "correlation_id": row["correlation_id"] or "",
            "deleted": str(row["deleted"]).lower(),
        }
    return Line(
        at=row["committed_at"] or row["updated_at"],
        where=where_of(service),
        what=what,
        entity=entity,
        key=write_key(key),
        origin=Side(row["origin"]),
        updated_at=row["updated_at"],
        committed=row["committed_at"] is not None,
        facts={**facts, "updated_at": row["updated_at"].isoformat()},
    )


def _conflict(row: asyncpg.Record, service: Service | None) -> Line:
    word = LOST if row["lost"] else WON
    return Line(
        at=row["recorded_at"],
        where=where_of(service),
        what=What.CONFLICT,
        word=word,
        entity=row["entity"],
        key=write_key(_json_key(row, service)),
        origin=Side(row["loser_origin" if word == LOST else "winner_origin"]),
    )


def _events(row: asyncpg.Record, service: Service) -> list[Line]:
    key = write_key(_json_key(row, service))
    facts = {"row_version": row["row_version"], "updated_at": row["updated_at"].isoformat()}

    def line(what: What, name: str) -> Line:
        return Line(
            at=row[name],
            where=where_of(service),
            what=what,
            word=row["event_type"].rpartition(".")[2],
            entity=row["entity"],
            key=key,
            origin=Side(row["origin"]),
            updated_at=row["updated_at"],
            facts=facts,
        )

    recorded = line(What.RECORDED, "recorded_at")
    return [recorded, line(What.PUBLISHED, "published_at")] if row["published_at"] else [recorded]


def _key(row: asyncpg.Record) -> Key:
    return tuple(row["key"])


def _json_key(row: asyncpg.Record, service: Service | None) -> Key:
    """Of a JSON object by the side's own names."""
    side = Side.LEGACY if service is None else Side.SERVICE
    values = json.loads(row["key"])
    return tuple(str(values[name]) for name in place(assets()[row["entity"]], side).key)


# --- statements


def _stamp(asset: Asset) -> str:
    """Rows that are written once have no other time."""
    return "updated_at" if asset.kind is Kind.VERSIONED else "created_at"


def _committed(alias: str, *, commits: bool) -> str:
    return f"pg_xact_commit_timestamp({alias}.xmin)" if commits else "null::timestamptz"


def _held_sql(asset: Asset, side: Side, *, commits: bool) -> str:
    """What is read of a row `t`."""
    key = ", ".join(f"t.{quoted(c)}::text" for c in place(asset, side).key)
    return (
        f"array[{key}] as key, t.{_stamp(asset)} as updated_at, t.origin, t.row_version,"
        f" t.correlation_id, {_committed('t', commits=commits)} as committed_at, false as deleted"
    )


def _rows_sql(asset: Asset, side: Side, *, commits: bool) -> str:
    held = _held_sql(asset, side, commits=commits)
    at = place(asset, side)
    return f"select {held} from {at.table} t where t.correlation_id = $1 limit {MOST_ROWS}"  # noqa: S608


def _named_sql(asset: Asset, side: Side, *, commits: bool) -> str:
    """Parameters: for each column of the key an array of its texts."""
    at = place(asset, side)
    arrays = ", ".join(f"${n}::text[]" for n in range(1, len(at.key) + 1))
    names = [f"k{n}" for n in range(1, len(at.key) + 1)]
    typed = [f"k.{name}::{type_}" for name, type_ in zip(names, at.types, strict=True)]
    same = " and ".join(f"t.{quoted(c)} = {w}" for c, w in zip(at.key, typed, strict=True))
    key = ", ".join(f"'{c}', {w}" for c, w in zip(at.key, typed, strict=True))
    texts = ", ".join(f"k.{name}" for name in names)
    return (
        f"with k as (select * from unnest({arrays}) k ({', '.join(names)}))"  # noqa: S608
        f" select {_held_sql(asset, side, commits=commits)} from k join {at.table} t on {same}"
        f" union all select array[{texts}], d.updated_at, d.origin, d.row_version, d.correlation_id,"
        f" {_committed('d', commits=commits)}, true from k join {at.schema}.tombstones d"
        f" on d.entity = '{asset.entity}' and d.key = jsonb_build_object({key})"
    )


def _graves_sql(schema: str, *, commits: bool) -> str:
    return (
        "select d.entity, d.key::text as key, d.updated_at, d.origin, d.row_version, d.correlation_id,"  # noqa: S608
        f" {_committed('d', commits=commits)} as committed_at"
        f" from {schema}.tombstones d where d.correlation_id = $1 limit {MOST_ROWS}"
    )


_CONFLICTS = (
    "select entity, key::text as key, recorded_at, loser_origin, winner_origin,"  # noqa: S608 - fixed texts
    " loser_correlation_id is not distinct from $1 as lost from {schema}.conflicts"
    " where collected_at is null and $1 in (loser_correlation_id, winner_correlation_id)"
    f" limit {MOST_ROWS}"
)
_OUTBOX = (
    "select entity, key::text as key, event_type, origin, row_version, updated_at, recorded_at, published_at"  # noqa: S608 - fixed texts
    f" from {{schema}}.outbox where correlation_id = $1 order by recorded_at limit {MOST_ROWS}"
)
