"""What both sides hold, over a seeded sandbox without movers: every table, by id and by key."""

import json
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from catalog import assets
from catalog.asset import Asset
from catalog.service import Service
from catalog.stage import Side
from migration.held_sql import place
from migration.trace.database import MOST_ROWS, Database
from migration.trace.sides import read_named, read_side
from migration.trace.timeline import Findings, Line, Row, What
from routes.key import write_key
from sandbox.engines.postgres import SUPERUSER
from tests.sandboxes import Banyan

pytestmark = pytest.mark.stack

SCHEMAS = {Side.LEGACY: "banyan", Side.SERVICE: "diagnostics"}
DATABASES = {Side.LEGACY: "legacy", Side.SERVICE: "services"}
ROLES = {Side.LEGACY: "banyan_worker", Side.SERVICE: "banyan_apply"}
"""As which a trace asks."""
NOBODYS = "corr-of-nobody"

Statement = tuple[str, tuple[Any, ...]]


class Held:
    """One side. What a test changes there is undone when it has been looked at."""

    def __init__(self, banyan: Banyan, side: Side) -> None:
        self.side = side
        server = urlsplit(banyan.stack().databases[DATABASES[side]])
        self._dsn = server._replace(netloc=f"{SUPERUSER}@{server.hostname}:{server.port}").geturl()

    async def newest(self, asset: Asset) -> asyncpg.Record:
        """A row that the seed has made, and its key as texts."""
        at = place(asset, self.side)
        key = ", ".join(f't."{column}"::text' for column in at.key)
        statement = (
            f"select array[{key}] as texts, t.* from {at.table} t order by {key} desc limit 1"
        )
        connection = await asyncpg.connect(self._dsn)
        try:
            [row] = await connection.fetch(statement)
            return row
        finally:
            await connection.close()

    async def find(self, id_: str, *changes: Statement, named: Collection[Row] = ()) -> Findings:
        findings = Findings()
        services = None if self.side is Side.LEGACY else tuple(Service)
        connection = await asyncpg.connect(self._dsn)
        try:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("set local session_replication_role = replica")
            for statement, values in changes:
                await connection.execute(statement, *values)
            await connection.execute(f"set local role {ROLES[self.side]}")
            database = Database("here", findings, connection=connection, commits=True)
            await read_side(database, services, id_)
            await read_named(database, services, id_, named)
            await transaction.rollback()
        finally:
            await connection.close()
        assert not [one for one in findings.looked if one.trouble]
        return findings

    async def lines(self, id_: str, *changes: Statement, named: Collection[Row] = ()) -> list[Line]:
        return (await self.find(id_, *changes, named=named)).lines


@pytest.fixture(params=Side)
def held(running: Banyan, request: pytest.FixtureRequest) -> Held:
    return Held(running, request.param)


@pytest.mark.parametrize("entity", assets())
async def test_a_row_of_each_table_is_found_by_its_key(held: Held, entity: str) -> None:
    row = await held.newest(assets()[entity])
    key = write_key(tuple(row["texts"]))
    [line] = await held.lines(NOBODYS, named=[(entity, key)])
    assert (line.what, line.entity, line.key, line.side) == (What.OTHER, entity, key, held.side)
    assert line.facts["row_version"] == row["row_version"]
    assert line.updated_at == row.get("updated_at", row["created_at"])
    assert line.committed


@pytest.mark.parametrize("entity", assets())
async def test_a_row_of_each_table_is_found_by_its_id(held: Held, entity: str) -> None:
    asset, id_ = assets()[entity], f"corr-{uuid4()}"
    row = await held.newest(asset)
    at = place(asset, held.side)
    same = " and ".join(f'"{column}"::text = ${n}' for n, column in enumerate(at.key, 2))
    change = (f"update {at.table} set correlation_id = $1 where {same}", (id_, *row["texts"]))
    key = write_key(tuple(row["texts"]))
    [line] = await held.lines(id_, change, named=[(entity, key)])
    assert (line.what, line.side, line.key) == (What.ROW, held.side, key)
    assert (line.origin, line.updated_at) == (
        Side(row["origin"]),
        row.get("updated_at", row["created_at"]),
    )


async def test_of_very_many_rows_some_are_told_and_that_it_is_some(held: Held) -> None:
    table = place(assets()["lab_order_events"], held.side).table
    change = (f"update {table} set correlation_id = $1", ("corr-12345678",))
    found = await held.find("corr-12345678", change)
    assert len(found.lines) == MOST_ROWS
    assert f"lab_order_events: the first {MOST_ROWS} alone" in [one.extent for one in found.looked]


async def test_a_tombstone_is_found_by_its_id_and_by_its_key(held: Held) -> None:
    id_, key = f"corr-{uuid4()}", str(uuid4())

    def buried(entity: str, key: str, id_: str) -> Statement:
        return (
            f"insert into {SCHEMAS[held.side]}.tombstones (entity, key, updated_at, origin, row_version, correlation_id)"
            " values ($1, $2, now(), $3, 3, $4)",
            (entity, json.dumps({"id": key}), held.side, id_),
        )

    graves = (
        buried("lab_orders", key, id_),
        buried("lab_orders", str(uuid4()), "corr-00000000"),
        buried("compliance_tasks", key, "corr-00000000"),
    )
    [own] = await held.lines(id_, *graves, named=[("lab_orders", key)])
    assert (own.what, own.key, own.origin) == (What.TOMBSTONE, key, held.side)
    [other] = await held.lines(NOBODYS, *graves, named=[("lab_orders", key)])
    assert (other.what, other.key, other.facts["deleted"]) == (What.OTHER, key, "true")
    assert other.facts["correlation_id"] == id_


@pytest.mark.parametrize("collected", [False, True])
async def test_a_conflict_is_found_until_it_is_collected(held: Held, collected: bool) -> None:
    key, loser, winner = str(uuid4()), f"corr-{uuid4()}", f"corr-{uuid4()}"
    made = (
        f"insert into {SCHEMAS[held.side]}.conflicts (entity, key, loser_row_version, loser_updated_at, loser_origin,"
        " loser_correlation_id, winner_row_version, winner_updated_at, winner_origin, winner_correlation_id,"
        " winner_deleted, collected_at) values ('lab_orders', $1, 1, now(), $2, $3, 1, now(), $4, $5, false,"
        " case when $6 then now() end)",
        (json.dumps({"id": key}), held.side, loser, held.side.other, winner, collected),
    )
    found = [
        (line.what, line.word, line.key, line.origin) for line in await held.lines(loser, made)
    ]
    assert found == ([] if collected else [(What.CONFLICT, "lost", key, held.side)])
    won = [(line.word, line.origin) for line in await held.lines(winner, made)]
    assert won == ([] if collected else [("won", held.side.other)])
