"""The services' tables are what the catalog says: held against the live schemas, column by column."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from catalog import assets
from catalog.asset import Asset, Kind
from catalog.column import Column, Type
from catalog.service import Service
from routes import resources
from services.sql import enum_type
from tests.services_world import ServicesDatabase

pytestmark = [pytest.mark.contract, pytest.mark.stack]

ENTITIES = tuple(assets())
EVERYWHERE = {
    "row_version": ("bigint", False),
    "origin": ("text", False),
    "correlation_id": ("text", True),
}
VERSIONED = {**EVERYWHERE, "seen_at": ("timestamp with time zone", True)}
MARKED = {"appointments", "partner_payouts"}
"""Tables whose domain rule legacy does not have; a row that breaks it is marked (decisions.md 25)."""
TYPES = {
    Type.UUID: "uuid",
    Type.TEXT: "text",
    Type.BOOLEAN: "boolean",
    Type.SMALLINT: "smallint",
    Type.INTEGER: "integer",
    Type.BIGINT: "bigint",
    Type.NUMERIC: "numeric",
    Type.REAL: "real",
    Type.DATE: "date",
    Type.TIMESTAMPTZ: "timestamp with time zone",
    Type.JSONB: "jsonb",
    Type.TEXT_ARRAY: "text[]",
}
"""As PostgreSQL's format_type prints them; an enumeration is looked at by its words."""


@pytest.fixture(scope="module")
async def database(services_database: ServicesDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(services_database.owner)
    yield connection
    await connection.close()


@pytest.mark.parametrize("entity", ENTITIES)
async def test_columns_types_and_nullability(entity: str, database: asyncpg.Connection) -> None:
    asset = assets()[entity]
    expected: dict[str, tuple[object, bool]] = {}
    for column in asset.kept:
        words = tuple(dict.fromkeys(column.values.values())) if isinstance(column, Column) else ()
        expected[column.target] = (words or TYPES[column.type], column.nullable)
    expected |= VERSIONED if asset.kind is Kind.VERSIONED else EVERYWHERE
    if entity in MARKED:
        expected["nonconforming"] = ("boolean", False)
    assert await columns(database, asset) == expected


@pytest.mark.parametrize("entity", ENTITIES)
async def test_described_columns_come_first_and_in_the_catalog_s_order(
    entity: str, database: asyncpg.Connection
) -> None:
    asset = assets()[entity]
    described = [column.target for column in asset.kept]
    assert list(await columns(database, asset))[: len(described)] == described


@pytest.mark.parametrize("entity", ENTITIES)
async def test_primary_key(entity: str, database: asyncpg.Connection) -> None:
    asset = assets()[entity]
    key = await database.fetchval(
        "select array_agg(a.attname::text order by array_position(i.indkey::int2[], a.attnum))"
        " from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[])"
        " where i.indrelid = $1::regclass and i.indisprimary",
        table(asset),
    )
    assert tuple(key) == asset.key


@pytest.mark.parametrize("entity", ENTITIES)
async def test_generated_columns_are_the_declared_ones(
    entity: str, database: asyncpg.Connection
) -> None:
    asset = assets()[entity]
    found = await database.fetch(
        "select attname from pg_attribute where attrelid = $1::regclass and attgenerated = 's'",
        table(asset),
    )
    declared = {c.target for c in asset.kept if c.generated}
    assert {row["attname"] for row in found} == declared


@pytest.mark.parametrize("entity", ENTITIES)
async def test_texts_of_a_key_sort_by_their_bytes(
    entity: str, database: asyncpg.Connection
) -> None:
    asset = assets()[entity]
    rows = await database.fetch(
        "select a.attname, c.collname from pg_attribute a join pg_collation c on c.oid = a.attcollation"
        " where a.attrelid = $1::regclass and a.attname = any ($2) and a.atttypid = 'text'::regtype",
        table(asset),
        list(asset.key),
    )
    assert {row["attname"] for row in rows if row["collname"] != "C"} == set()


@pytest.mark.parametrize("entity", ENTITIES)
async def test_foreign_keys_hold_within_a_service_and_nowhere_else(
    entity: str, database: asyncpg.Connection
) -> None:
    asset = assets()[entity]
    expected = {
        (column.target, table(parent))
        for column in asset.references
        if (parent := assets()[column.references]).service is asset.service
    }
    rows = await database.fetch(
        "select a.attname, n.nspname || '.' || r.relname as parent from pg_constraint c"
        " join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]"
        " join pg_class r on r.oid = c.confrelid join pg_namespace n on n.oid = r.relnamespace"
        " where c.conrelid = $1::regclass and c.contype = 'f'",
        table(asset),
    )
    assert {(row["attname"], row["parent"]) for row in rows} == expected


@pytest.mark.parametrize("entity", ENTITIES)
async def test_row_security_is_on_and_every_role_has_its_policy(
    entity: str, database: asyncpg.Connection
) -> None:
    asset = assets()[entity]
    assert await database.fetchval(
        "select relrowsecurity from pg_class where oid = $1::regclass", table(asset)
    )
    rows = await database.fetch(
        "select cmd, roles::text[] as roles from pg_policies where schemaname = $1 and tablename = $2",
        asset.service,
        asset.target,
    )
    found = {(row["cmd"], *row["roles"]) for row in rows}
    own = {command for command, role in found if role == f"banyan_{asset.service}"}
    assert found - {(command, f"banyan_{asset.service}") for command in own} == {
        ("ALL", "banyan_apply"),
        ("SELECT", "banyan_known"),
    }
    methods = {method for r in resources() if r.entity == entity for method in r.writes.methods}
    assert own == {"SELECT", *(_COMMANDS[method] for method in methods)}


_COMMANDS = {"POST": "INSERT", "PATCH": "UPDATE", "DELETE": "DELETE"}
"""What a route's writing methods need: a method without a policy would never work, a policy without one has no use."""


@pytest.mark.parametrize("path", [resource.path for resource in resources()])
async def test_the_default_order_and_foreign_keys_have_an_index(
    path: str, database: asyncpg.Connection
) -> None:
    resource = next(r for r in resources() if r.path == path)
    asset = resource.asset
    rows = await database.fetch(
        "select array(select pg_get_indexdef(i.indexrelid, n, true) from generate_series(1, i.indnkeyatts) n) as parts,"
        " array(select (i.indoption[n - 1] & 1) = 1 from generate_series(1, i.indnkeyatts) n) as descending"
        " from pg_index i where i.indrelid = $1::regclass",
        table(asset),
    )
    indexes = [
        [
            ("-" if down else "") + part
            for part, down in zip(r["parts"], r["descending"], strict=True)
        ]
        for r in rows
    ]
    words = resource.order.split(",")
    words += [name for name in asset.key if name not in {word.lstrip("-") for word in words}]
    if resource.nested:
        words.insert(0, resource.parent_column)
    assert words in [index[: len(words)] for index in indexes]
    for column in asset.references:
        if asset.service is assets()[column.references].service:
            assert column.target in {index[0] for index in indexes}


async def test_enumerations_by_which_rows_are_filtered_have_the_names_that_queries_use(
    database: asyncpg.Connection,
) -> None:
    for asset in assets().values():
        for column in asset.kept:
            if isinstance(column, Column) and column.type is Type.ENUM and column.filter:
                found = await database.fetchval(
                    "select format_type(atttypid, null) from pg_attribute where attrelid = $1::regclass and attname = $2",
                    table(asset),
                    column.target,
                )
                assert found == enum_type(asset, column)


@pytest.mark.parametrize("service", Service)
async def test_every_service_has_the_tables_that_writes_need(
    service: Service, database: asyncpg.Connection
) -> None:
    rows = await database.fetch(
        "select c.relname from pg_class c where c.relnamespace = $1::regnamespace and c.relkind = 'r'",
        service,
    )
    found = {row["relname"] for row in rows}
    described = {asset.target for asset in assets().values() if asset.service is service}
    bookkeeping = {
        "schema_migrations",
        "tombstones",
        "outbox",
        "idempotency",
        "entity",
        "conflicts",
    }
    assert described | bookkeeping <= found
    assert found - described - bookkeeping <= {
        "subject_access",
        "id_leases",
        "working_hours",
        "appointment_request_claim",
    }


async def test_every_table_is_under_the_version_rule(database: asyncpg.Connection) -> None:
    for service in Service:
        rows = await database.fetch(
            f"select entity, relation, kind, key, mode from {service}.entity"
        )
        found = {row["entity"]: tuple(row)[1:] for row in rows}
        assert found == {
            asset.entity: (asset.target, asset.kind, list(asset.key), "read_write")
            for asset in assets().values()
            if asset.service is service
        }


async def test_tombstones_have_legacy_s_columns(database: asyncpg.Connection) -> None:
    text = (Path(__file__).parents[2] / "migration/legacy/prepare.sql").read_text(encoding="utf-8")
    body = re.search(r"create table if not exists banyan\.tombstones \((.*?)\);", text, re.DOTALL)
    assert body is not None
    # The first line of the table carries a comment behind it.
    legacy = set(re.findall(r"(\w+) (?:text|jsonb|timestamptz|bigint)", body[1].partition("--")[2]))
    for service in Service:
        rows = await database.fetch(
            "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0",
            f"{service}.tombstones",
        )
        assert {row["attname"] for row in rows} == legacy


async def columns(database: asyncpg.Connection, asset: Asset) -> dict[str, tuple[object, bool]]:
    """Name -> (type, or the words of an enumeration; nullable), in the table's order."""
    rows = await database.fetch(
        "select a.attname, format_type(a.atttypid, a.atttypmod) as type, not a.attnotnull as nullable,"
        " array(select e.enumlabel::text from pg_enum e where e.enumtypid = a.atttypid order by e.enumsortorder) as words"
        " from pg_attribute a where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum",
        table(asset),
    )
    return {row["attname"]: (tuple(row["words"]) or row["type"], row["nullable"]) for row in rows}


def table(asset: Asset) -> str:
    return f"{asset.service}.{asset.target}"
