"""The catalog against a live legacy database: it describes the tables as they are, and its SQL forms do what Python's do."""

import json
import math
import re
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from catalog import assets
from catalog.asset import Asset, Kind
from catalog.column import Column, Kept, Merge, Only, Type
from catalog.conversion import MINOR_UNITS, ConversionError
from catalog.stamps import BOOKKEEPING, SEEN_AT
from catalog.transform import forward, forward_sql, inverse, inverse_sql
from runtime.postgres import quote_identifier
from sandbox.legacy.load import Legacy
from tests.legacy_rows import legacy_rows

pytestmark = pytest.mark.stack

ASSETS = [pytest.param(asset, id=entity) for entity, asset in assets().items()]
GENERATED_ROWS = 400
SECRET = "Žofie Nováková"

NEW_TYPES: Mapping[str, frozenset[Type]] = {
    "bool": frozenset({Type.BOOLEAN}),
    "bpchar": frozenset({Type.TEXT}),
    "date": frozenset({Type.DATE}),
    "float4": frozenset({Type.REAL}),
    "int2": frozenset({Type.SMALLINT}),
    "int4": frozenset({Type.INTEGER}),
    "int8": frozenset({Type.BIGINT}),
    "jsonb": frozenset({Type.JSONB}),
    "numeric": frozenset({Type.NUMERIC}),
    "text": frozenset({Type.TEXT, Type.ENUM}),
    "_text": frozenset({Type.TEXT_ARRAY}),
    "timestamptz": frozenset({Type.TIMESTAMPTZ}),
    "uuid": frozenset({Type.UUID}),
}
"""What a legacy column without a conversion may become: each cast keeps every value."""


@pytest.fixture
async def legacy_db(shared_legacy: Legacy) -> AsyncIterator[asyncpg.Connection]:
    """A connection whose changes are undone."""
    connection = await asyncpg.connect(shared_legacy.owner)
    undone = connection.transaction()
    await undone.start()
    yield connection
    await undone.rollback()
    await connection.close()


# ---- the description


async def test_every_legacy_table_is_described(legacy_db):
    tables = await legacy_db.fetch(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public'"
    )
    assert {row[0] for row in tables} == {asset.source for asset in assets().values()}


@pytest.mark.parametrize("asset", ASSETS)
async def test_every_column_is_described_once_and_as_it_is(legacy_db, asset):
    live = await columns_of(legacy_db, asset)
    stamps = {*BOOKKEEPING} | ({SEEN_AT} if asset.kind is Kind.VERSIONED else set())
    described = [source for column in asset.columns for source in column.sources]

    assert sorted(described) == sorted(set(live) - stamps)
    assert stamps <= set(live)
    for column in asset.columns:
        for source in column.sources:
            assert fits(column, live[source]), f"{source}: {live[source]}"


def fits(column: Column | Merge | Only, live: asyncpg.Record) -> bool:
    if isinstance(column, Only):
        return column.nullable is not live["required"]
    if isinstance(column, Merge):
        return live["type"] == "text" and not live["required"]
    if column.convert is MINOR_UNITS:
        right_type = live["type"] == "numeric" and live["places"] == 2
    else:
        right_type = column.type in NEW_TYPES[live["type"]]
    return (
        right_type
        and column.nullable is not live["required"]
        and column.generated is live["generated"]
        and column.padded is (live["type"] == "bpchar")
    )


async def columns_of(db: asyncpg.Connection, asset: Asset) -> dict[str, asyncpg.Record]:
    rows = await db.fetch(
        "select attname as name, typname as type, attgenerated <> '' as generated,"
        # A generated column is never null here, since what it is computed from is not.
        " attnotnull or attgenerated <> '' as required, (atttypmod - 4) & 65535 as places"
        " from pg_attribute join pg_type on pg_type.oid = atttypid"
        " where attrelid = $1::text::regclass and attnum > 0 and not attisdropped",
        asset.source,
    )
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("asset", ASSETS)
async def test_the_key_is_legacys_primary_key(legacy_db, asset):
    key = await legacy_db.fetchval(
        "select array(select attname::text from unnest(conkey) with ordinality as k (n, place)"
        " join pg_attribute on attrelid = conrelid and attnum = n order by place)"
        " from pg_constraint where conrelid = $1::text::regclass and contype = 'p'",
        asset.source,
    )
    assert [column.source for column in asset.key_columns] == key


async def test_references_are_legacys_foreign_keys(legacy_db):
    keys = await legacy_db.fetch(
        "select conrelid::regclass::text, attname, confrelid::regclass::text from pg_constraint"
        " join pg_attribute on attrelid = conrelid and attnum = any(conkey)"
        " where contype = 'f' and conrelid::regclass::text = any($1) and confrelid::regclass::text = any($1)",
        list(assets()),
    )
    described = {
        (asset.entity, column.source, column.references)
        for asset in assets().values()
        for column in asset.references
    }
    assert described == {tuple(key) for key in keys}
    assert described


async def test_vocabularies_are_legacys_closed_lists(legacy_db):
    checks = await legacy_db.fetch(
        "select conrelid::regclass::text as entity, attname as column, pg_get_constraintdef(pg_constraint.oid) as text"
        " from pg_constraint join pg_attribute on attrelid = conrelid and array[attnum] = conkey"
        " join pg_type on pg_type.oid = atttypid and typname = 'text'"
        " where contype = 'c' and conrelid::regclass::text = any($1)",
        list(assets()),
    )
    closed = {
        (check["entity"], check["column"]): set(re.findall(r"'([^']*)'::text", check["text"]))
        for check in checks
        if "ARRAY[" in check["text"]
    }
    described = {
        (asset.entity, column.source): set(column.values)
        for asset in assets().values()
        for column in asset.kept
        if isinstance(column, Column) and column.values
    }
    # The audit trail repeats the orders' words, and legacy's trigger is its only writer: no check there.
    trail = {("lab_order_events", name) for name in ("from_status", "to_status")}
    assert {key: words for key, words in described.items() if key not in trail} == closed
    assert {frozenset(described[key]) for key in trail} == {
        frozenset(closed["lab_orders", "status"])
    }


# ---- the SQL forms


@pytest.mark.parametrize("asset", ASSETS)
async def test_sql_does_what_python_does_with_the_seeded_rows(legacy_db, asset):
    assert await compared(legacy_db, asset, asset.source) > 0


@pytest.mark.parametrize("asset", ASSETS)
async def test_sql_does_what_python_does_with_awkward_rows(legacy_db, asset):
    """In a copy of the table without its constraints: types alone decide what can be in a row."""
    await legacy_db.execute(
        f"create temp table made on commit drop as select * from {asset.source} limit 0"
    )
    rows = list(legacy_rows(asset, GENERATED_ROWS, seed=3))
    await legacy_db.copy_records_to_table(
        "made", columns=list(rows[0]), records=[tuple(row.values()) for row in rows]
    )
    assert await compared(legacy_db, asset, "pg_temp.made") == GENERATED_ROWS


async def compared(db: asyncpg.Connection, asset: Asset, table: str) -> int:
    """Number of rows, all of which both forms turned into the same, there and back."""
    over = ", ".join(
        # Cast as an insert would: what char(n) loses on the way to text is lost there.
        f"({forward_sql(c)})::{'text' if c.type is Type.ENUM else c.type} as {quote_identifier(c.target)}"
        for c in asset.kept
    )
    back = ", ".join(
        f"{expression} as {quote_identifier(source)}"
        for column in asset.kept
        for source, expression in inverse_sql(column).items()
    )
    legacy = await db.fetch(f"select * from {table} order by ctid")
    target = await db.fetch(f"select {over} from {table} order by ctid")
    returned = await db.fetch(f"select {back} from (select {over} from {table} order by ctid) as t")

    for record, by_sql, back_by_sql in zip(legacy, target, returned, strict=True):
        row = dict(record)
        by_python = forward(asset, row)
        assert shown(asset, dict(by_sql)) == shown(asset, by_python)
        assert numbers(dict(back_by_sql)) == numbers(inverse(asset, by_python))
        assert numbers(dict(back_by_sql)) == numbers(
            {k: v for k, v in row.items() if k in back_by_sql}
        )
    return len(legacy)


def shown(asset: Asset, target: dict[str, Any]) -> dict[str, Any]:
    """With merged objects as objects: jsonb orders their members in its own way."""
    merged = {
        column.target: json.loads(target[column.target])
        for column in asset.kept
        if isinstance(column, Merge) and target[column.target] is not None
    }
    return numbers(target | merged)


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """With NaN equal to itself."""
    return {
        name: "NaN" if isinstance(value, float | Decimal) and math.isnan(value) else value
        for name, value in row.items()
    }


CONVERTED = [
    pytest.param(asset, column, id=f"{asset.entity}.{column.target}")
    for asset in assets().values()
    for column in asset.kept
    if isinstance(column, Merge) or column.values or column.convert
]


@pytest.mark.parametrize(("asset", "column"), CONVERTED)
async def test_null_stays_null(legacy_db, asset, column):
    over = await evaluate(legacy_db, forward_sql(column), dict.fromkeys(column.sources))
    back = [
        await evaluate(legacy_db, expression, {column.target: None})
        for expression in inverse_sql(column).values()
    ]
    assert (over, back) == (None, [None] * len(column.sources))


REFUSED_AMOUNTS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "12.505",
    "0.001",
    "92233720368547758.08",
    "1e40",
)
TAKEN_AMOUNTS = ("0", "-0.01", "12.5", "12.500", "92233720368547758.07", "-92233720368547758.08")


@pytest.mark.parametrize("amount", REFUSED_AMOUNTS)
async def test_sql_refuses_the_amounts_that_python_refuses(legacy_db, amount):
    column = kept("lab_orders", "price_minor")
    await refuses(legacy_db, forward_sql(column), {"price": Decimal(amount)}, amount)
    with pytest.raises(ConversionError):
        MINOR_UNITS.convert(Decimal(amount))


@pytest.mark.parametrize("amount", TAKEN_AMOUNTS)
async def test_sql_converts_every_other_amount_as_python_does(legacy_db, amount):
    column = kept("lab_orders", "price_minor")
    minor = await evaluate(legacy_db, forward_sql(column), {"price": Decimal(amount)})
    assert minor == MINOR_UNITS.convert(Decimal(amount))
    (expression,) = inverse_sql(column).values()
    back = await evaluate(legacy_db, expression, {"price_minor": minor})
    assert back == MINOR_UNITS.invert(minor) == Decimal(amount)
    assert back.as_tuple().exponent == -2


VOCABULARIES = [
    param for param in CONVERTED if isinstance(column := param.values[1], Column) and column.values
]


@pytest.mark.parametrize(("asset", "column"), VOCABULARIES)
async def test_sql_refuses_a_word_outside_the_vocabulary(legacy_db, asset, column):
    (back,) = inverse_sql(column).values()
    await refuses(legacy_db, forward_sql(column), {column.source: SECRET}, SECRET)
    await refuses(legacy_db, forward_sql(column), {column.source: ""}, SECRET)
    await refuses(legacy_db, back, {column.target: SECRET}, SECRET)


@pytest.mark.parametrize(
    "guardian",
    [
        "null",
        "[]",
        '["name"]',
        '"name"',
        "987654321",
        '{"name": 987654321}',
        '{"email": [null]}',
        '{"other": null}',
    ],
)
async def test_sql_refuses_the_objects_that_python_refuses(legacy_db, guardian):
    column = kept("submissions", "guardian")
    for expression in inverse_sql(column).values():
        await refuses(legacy_db, expression, {"guardian": guardian}, guardian)
    assert_python_refuses(column, guardian)


def assert_python_refuses(column: Kept, guardian: str) -> None:
    asset = assets()["submissions"]
    (row,) = legacy_rows(asset, 1)
    with pytest.raises(ConversionError):
        inverse(asset, forward(asset, row) | {column.target: guardian})


async def test_a_missing_part_is_null(legacy_db):
    back = inverse_sql(kept("submissions", "guardian"))
    row = {"guardian": '{"name": "x"}'}
    assert [await evaluate(legacy_db, sql, row) for sql in back.values()] == ["x", None, None, None]


async def test_a_refused_row_does_not_stop_a_statement_that_skips_it(legacy_db):
    """Refusals look at rows: nothing is worked out when the statement is planned."""
    column = kept("lab_orders", "status")
    words = await legacy_db.fetch(
        f"select {forward_sql(column)} from (values ('draft'), ($1)) as t (status) where status <> $1",
        SECRET,
    )
    assert [row[0] for row in words] == ["draft"]


def kept(entity: str, target: str) -> Kept:
    return assets()[entity].by_target[target]


def type_of(name: str) -> str:
    """The type that the columns of these tests have on either side."""
    if name == "guardian":
        return "jsonb"
    if name.endswith("_minor"):
        return "bigint"
    return "numeric" if name == "price" or name.endswith("_amount") else "text"


async def evaluate(db: asyncpg.Connection, expression: str, row: Mapping[str, Any]) -> Any:
    """The expression's value over one row."""
    fields = ", ".join(
        f"${n}::{type_of(name)} as {quote_identifier(name)}" for n, name in enumerate(row, 1)
    )
    # `offset 0` keeps the planner from putting the values into the expression.
    return await db.fetchval(
        f"select {expression} from (select {fields} offset 0) as t", *row.values()
    )


async def refuses(
    db: asyncpg.Connection, expression: str, row: Mapping[str, Any], secret: str
) -> None:
    """It fails with the refusals' SQLSTATE, and no value is in what the server says."""
    with pytest.raises(asyncpg.InvalidTextRepresentationError) as refused:
        async with db.transaction():
            await evaluate(db, expression, row)
    assert secret not in "".join(map(str, refused.value.as_dict().values()))
