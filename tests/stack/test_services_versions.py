"""The services' version rule (data-rules section 2): what a user's write gets, what an apply keeps, who is refused when.

No write policies exist yet: here a request's role gets one for a while.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from runtime.tasks import spawn
from tests.blocked import until_blocked
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

WRITABLE = {
    "intake": ("submission",),
    "scheduling": ("appointment", "appointment_request"),
    "compliance": ("task", "temperature_log"),
    "partner_ops": ("stock_level",),
}
PARTNER = "000000ba-0000-4000-8000-0000000000ff"
NEW_STOCK = (
    "insert into partner_ops.stock_level (partner_id, site_code, sku, on_hand, reserved)"
    f" values ('{PARTNER}', $1, 'S', 1, 0) returning *"
)
NEW_LOG = (
    "insert into compliance.temperature_log (id, partner_id, site_code, device_id, measured_at, temperature_c, is_excursion)"
    f" values (-1, '{PARTNER}', 'A', 'D', now(), 4, false) returning *"
)
STOCK = f"partner_ops.stock_level where partner_id = '{PARTNER}' and site_code"
GRAVE = "select * from partner_ops.tombstones"
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
async def owner(own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_services.owner)
    for schema, tables in WRITABLE.items():
        for table in tables:
            await connection.execute(
                f"create policy test on {schema}.{table} to banyan_{schema} using (true) with check (true)"
            )
    yield connection
    await connection.close()


@pytest.fixture
async def applier(own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_services.apply)
    yield connection
    await connection.close()


@asynccontextmanager
async def user(services: ServicesDatabase, schema: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(services.service)
    try:
        await connection.execute(f"set role banyan_{schema}")
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def request_(
    owner: asyncpg.Connection, own_services: ServicesDatabase
) -> AsyncIterator[asyncpg.Connection]:
    """A session of partner_ops, which may write stock levels."""
    async with user(own_services, "partner_ops") as connection:
        yield connection


# --- stamps of a user's write


async def test_an_insert_is_the_first_version_whatever_it_names(
    request_: asyncpg.Connection,
) -> None:
    row = await request_.fetchrow(
        "insert into partner_ops.stock_level (partner_id, site_code, sku, on_hand, reserved, updated_at, row_version, origin,"
        f" correlation_id, seen_at) values ('{PARTNER}', 'A', 'S', 1, 0, '2099-01-01', 9, 'legacy', 'theirs', now()) returning *,"
        " updated_at <= clock_timestamp() as past, created_at = updated_at as together"
    )
    assert row is not None
    assert (row["row_version"], row["origin"], row["seen_at"]) == (1, "service", None)
    assert row["past"]
    assert row["together"]
    assert row["correlation_id"].startswith("db-")


async def test_an_update_goes_above_the_row_even_if_the_clock_stands_behind_it(
    request_: asyncpg.Connection, applier: asyncpg.Connection
) -> None:
    await request_.execute(NEW_STOCK, "A")
    ahead = await applier.fetchval(
        f"update {STOCK.split(' ')[0]} set updated_at = now() + interval '1 hour', row_version = 7, origin = 'legacy'"
        f" where partner_id = '{PARTNER}' returning updated_at"
    )
    first = await request_.fetchrow(
        f"update {STOCK.replace(' where', ' set on_hand = 2, seen_at = null, row_version = 1 where')} = 'A' returning *"
    )
    second = await request_.fetchrow(
        f"update {STOCK.replace(' where', ' set on_hand = 3 where')} = 'A' returning *"
    )
    assert first is not None
    assert second is not None
    assert (first["updated_at"], first["row_version"]) == (ahead + MICROSECOND, 8)
    assert (second["updated_at"], second["row_version"]) == (ahead + 2 * MICROSECOND, 9)
    # Both were built on legacy's version: the second did not see a newer one.
    assert (first["seen_at"], second["seen_at"]) == (ahead, ahead)
    assert (first["origin"], second["origin"]) == ("service", "service")


@pytest.mark.parametrize(
    ("given", "found"),
    [("abc-1.2:3_4", "abc-1.2:3_4"), ("not a word", None), ("", None), ("x" * 129, None)],
)
async def test_the_correlation_id_is_the_transaction_s(
    request_: asyncpg.Connection, given: str, found: str | None
) -> None:
    async with request_.transaction():
        await request_.execute("select set_config('banyan.correlation_id', $1, true)", given)
        row = await request_.fetchrow(NEW_STOCK, "A")
        xid = await request_.fetchval("select pg_current_xact_id()::text")
    assert row is not None
    assert row["correlation_id"] == (found or f"db-{xid}")


async def test_an_append_only_row_is_stamped_and_never_changed(
    owner: asyncpg.Connection, own_services: ServicesDatabase
) -> None:
    async with user(own_services, "compliance") as connection:
        row = await connection.fetchrow(NEW_LOG)
        assert row is not None
        assert (row["row_version"], row["origin"]) == (1, "service")
        for statement in (
            "update compliance.temperature_log set site_code = 'B'",
            "delete from compliance.temperature_log",
        ):
            for session in (connection, owner):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await session.execute(statement)


# --- deletes


async def test_a_delete_leaves_a_tombstone_and_a_row_that_comes_back_goes_above_it(
    request_: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    first = await request_.fetchrow(NEW_STOCK, "A")
    await request_.execute(f"delete from {STOCK} = 'A'")
    [grave] = await owner.fetch(GRAVE)
    assert first is not None
    assert grave["entity"] == "partner_stock_levels"
    assert json.loads(grave["key"]) == {"partner_id": PARTNER, "site_code": "A", "sku": "S"}
    assert (grave["row_version"], grave["origin"], grave["seen_at"]) == (2, "service", None)
    assert grave["updated_at"] > first["updated_at"]

    await owner.execute(
        "update partner_ops.tombstones set updated_at = updated_at + interval '1 hour', origin = 'legacy'"
    )
    [grave] = await owner.fetch(GRAVE)
    back = await request_.fetchrow(NEW_STOCK, "A")
    assert back is not None
    assert back["updated_at"] == grave["updated_at"] + MICROSECOND
    assert (back["row_version"], back["seen_at"]) == (3, grave["updated_at"])
    assert await owner.fetch(GRAVE) == []


async def test_a_row_that_is_moved_to_another_key_leaves_a_tombstone(
    request_: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    await request_.execute(NEW_STOCK, "A")
    await request_.execute(NEW_STOCK, "B")
    await request_.execute(f"delete from {STOCK} = 'B'")
    moved = await request_.fetchrow(
        f"update {STOCK.replace(' where', ' set site_code = $1 where')} = 'A' returning *", "B"
    )
    [grave] = await owner.fetch(GRAVE)
    assert moved is not None
    assert json.loads(grave["key"])["site_code"] == "A"
    assert moved["row_version"] == 3
    events = await owner.fetch("select event_type, key from partner_ops.outbox order by id")
    assert [(e["event_type"].rpartition(".")[2], json.loads(e["key"])["site_code"]) for e in events] == [
        ("created", "A"),
        ("created", "B"),
        ("deleted", "B"),
        ("deleted", "A"),
        ("created", "B"),
    ]  # fmt: skip


# --- the outbox


async def test_each_write_leaves_its_event_with_the_version_s_stamps(
    request_: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    created = await request_.fetchrow(NEW_STOCK, "A")
    updated = await request_.fetchrow(
        f"update {STOCK.replace(' where', ' set on_hand = 2 where')} = 'A' returning *"
    )
    await request_.execute(f"delete from {STOCK} = 'A'")
    [grave] = await owner.fetch(GRAVE)
    events = await owner.fetch("select * from partner_ops.outbox order by id")
    assert [event["event_type"] for event in events] == [
        f"banyan.partner_stock_levels.{word}" for word in ("created", "updated", "deleted")
    ]
    for event, version in zip(events, (created, updated, grave), strict=True):
        assert version is not None
        assert json.loads(event["key"]) == {"partner_id": PARTNER, "site_code": "A", "sku": "S"}
        for stamp in ("updated_at", "origin", "row_version", "seen_at", "correlation_id"):
            assert event[stamp] == version[stamp], stamp


async def test_an_append_only_row_s_event_carries_its_time_of_creation(
    owner: asyncpg.Connection, own_services: ServicesDatabase
) -> None:
    async with user(own_services, "compliance") as connection:
        row = await connection.fetchrow(NEW_LOG)
    [event] = await owner.fetch("select * from compliance.outbox")
    assert row is not None
    assert event["event_type"] == "banyan.partner_temperature_logs.created"
    assert event["updated_at"] == row["created_at"]


async def test_a_write_that_is_rolled_back_leaves_no_event(
    request_: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    transaction = request_.transaction()
    await transaction.start()
    await request_.execute(NEW_STOCK, "A")
    await transaction.rollback()
    assert await owner.fetch("select from partner_ops.outbox") == []


@pytest.mark.parametrize(
    "statement",
    [
        "insert into partner_ops.outbox (event_type, entity, key, updated_at, origin, row_version)"
        " values ('x', 'x', '{}', now(), 'service', 1)",
        "delete from partner_ops.outbox",
        "insert into partner_ops.tombstones (entity, key, updated_at, origin, row_version)"
        " values ('x', '{}', now(), 'service', 1)",
        "delete from partner_ops.tombstones",
        "update partner_ops.entity set mode = 'closed'",
        "select partner_ops.set_write_mode('partner_stock_levels', 'closed', 1, 'me', 'why')",
        "create temporary table mine (partner_id uuid);"
        " create trigger t after insert on mine for each row execute function partner_ops.announce('x', 'partner_id')",
    ],
)
async def test_a_request_cannot_touch_the_bookkeeping_by_itself(
    request_: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await request_.execute(statement)


async def test_a_caller_s_temporary_table_takes_nobody_s_place(
    request_: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    await request_.execute(
        "create temporary table outbox (event_type text, entity text, key jsonb, updated_at timestamptz, origin text,"
        " row_version bigint, seen_at timestamptz, correlation_id text); grant all on outbox to public"
    )
    await request_.execute(NEW_STOCK, "A")
    assert await owner.fetchval("select count(*) from partner_ops.outbox") == 1


async def test_without_a_policy_for_writing_a_request_writes_nothing(
    own_services: ServicesDatabase,
) -> None:
    async with user(own_services, "partner_ops") as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(NEW_STOCK, "A")


# --- applies


async def test_what_banyan_apply_writes_keeps_its_stamps_and_leaves_no_event(
    applier: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    row = await applier.fetchrow(
        "update partner_ops.stock_level set row_version = 40, origin = 'legacy', correlation_id = 'x', updated_at = '2020-01-01'"
        " where (partner_id, site_code, sku) = (select partner_id, site_code, sku from partner_ops.stock_level limit 1) returning *"
    )
    assert row is not None
    assert (row["row_version"], row["correlation_id"]) == (40, "x")
    assert row["updated_at"].year == 2020
    await applier.execute("delete from partner_ops.stock_level where row_version = 40")
    assert await owner.fetch(GRAVE) == []
    assert await owner.fetch("select from partner_ops.outbox") == []


async def test_the_owner_under_the_mark_applies(owner: asyncpg.Connection) -> None:
    await owner.execute("set banyan.apply = 'on'")
    await owner.execute("update partner_ops.stock_level set row_version = 40")
    found = await owner.fetch("select distinct row_version, origin from partner_ops.stock_level")
    assert [tuple(row) for row in found] == [(40, "legacy")]
    await owner.execute("delete from partner_ops.stock_level")
    assert await owner.fetch(GRAVE) == []
    assert await owner.fetch("select from partner_ops.outbox") == []


async def test_the_mark_alone_makes_no_apply(request_: asyncpg.Connection) -> None:
    await request_.execute("set banyan.apply = 'on'")
    row = await request_.fetchrow(
        "insert into partner_ops.stock_level (partner_id, site_code, sku, on_hand, reserved, row_version, origin)"
        f" values ('{PARTNER}', 'A', 'S', 1, 0, 9, 'legacy') returning *"
    )
    assert row is not None
    assert (row["row_version"], row["origin"]) == (1, "service")


REQUEST_OF = "select r.* from scheduling.appointment_request r where r.id = $1"


async def linked(connection: asyncpg.Connection) -> asyncpg.Record:
    """A request with an appointment to which no other request belongs."""
    row = await connection.fetchrow(
        "select * from scheduling.appointment_request r where appointment_id is not null and not exists (select from"
        " scheduling.appointment_request o where o.appointment_id = r.appointment_id and o.id <> r.id) limit 1"
    )
    assert row is not None
    return row


async def test_what_a_foreign_key_does_for_an_apply_is_no_version(
    applier: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    before = await linked(owner)
    await applier.execute(
        "delete from scheduling.appointment where id = $1", before["appointment_id"]
    )
    after = await owner.fetchrow(REQUEST_OF, before["id"])
    assert after is not None
    assert dict(after) == {**dict(before), "appointment_id": None}
    assert await owner.fetch("select from scheduling.outbox") == []


async def test_what_a_foreign_key_does_for_a_user_is_a_version(
    owner: asyncpg.Connection, own_services: ServicesDatabase
) -> None:
    before = await linked(owner)
    async with user(own_services, "scheduling") as connection:
        await connection.execute(
            "delete from scheduling.appointment where id = $1", before["appointment_id"]
        )
    after = await owner.fetchrow(REQUEST_OF, before["id"])
    assert after is not None
    assert (after["appointment_id"], after["origin"]) == (None, "service")
    assert after["seen_at"] == before["updated_at"]
    events = await owner.fetch("select event_type from scheduling.outbox order by 1")
    assert [event["event_type"] for event in events] == [
        "banyan.appointment_requests.updated",
        "banyan.appointments.deleted",
    ]


@pytest.mark.parametrize("applied", [True, False], ids=["apply", "user"])
async def test_what_a_cascade_deletes_is_buried(
    own_services: ServicesDatabase,
    owner: asyncpg.Connection,
    applier: asyncpg.Connection,
    *,
    applied: bool,
) -> None:
    """No table of ours cascades today. One that did would lose its tombstones without a word."""
    await owner.execute(
        "set search_path = scheduling;"
        " create table note (id int primary key, appointment_id uuid references appointment (id) on delete cascade,"
        "   created_at timestamptz, updated_at timestamptz, row_version bigint, origin text, correlation_id text, seen_at timestamptz);"
        " call protect('note', 'versioned', 'id'); call versioned('note', 'notes', 'versioned', 'id')"
    )
    of = (await linked(owner))["appointment_id"]
    await applier.execute(
        "insert into scheduling.note values (1, $1, now(), '2020-01-01', 5, 'legacy', 'x')", of
    )
    async with user(own_services, "scheduling") as connection:
        session = applier if applied else connection
        await session.execute("delete from scheduling.appointment where id = $1", of)
    [grave] = await owner.fetch("select * from tombstones where entity = 'notes'")
    if applied:
        assert (grave["updated_at"].year, grave["row_version"], grave["origin"]) == (
            2020,
            5,
            "legacy",
        )
    else:
        assert (grave["row_version"], grave["origin"]) == (6, "service")
        assert grave["seen_at"].year == 2020


# --- write mode and epoch

CLOSE = "select partner_ops.set_write_mode('partner_stock_levels', $1, $2, 'test', 'test')"
ADMIT = "select partner_ops.admit('partner_stock_levels', $1)"


async def test_a_closed_table_takes_applies_alone(
    own_services: ServicesDatabase,
    request_: asyncpg.Connection,
    applier: asyncpg.Connection,
    owner: asyncpg.Connection,
) -> None:
    control = await asyncpg.connect(
        own_services.cluster.dsn(own_services.database, "banyan_control")
    )
    answer = json.loads(await control.fetchval(CLOSE, "closed", 1))
    assert (answer["mode"], answer["epoch"]) == ("closed", 1)
    for session in (request_, owner):
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await session.execute(NEW_STOCK, "A")
    await applier.execute("update partner_ops.stock_level set row_version = row_version")
    await control.execute(CLOSE, "read_write", 2)
    await control.close()
    await request_.execute(NEW_STOCK, "A")


@pytest.mark.parametrize(
    ("mode", "epoch", "sqlstate"),
    [
        ("read_write", 4, "55000"),
        ("closed", 5, "55000"),
        ("open", 6, "22023"),
        ("closed", None, "22023"),
    ],
)
async def test_an_epoch_never_falls_and_one_epoch_has_one_mode(
    owner: asyncpg.Connection, mode: str, epoch: int | None, sqlstate: str
) -> None:
    await owner.execute(CLOSE, "read_write", 5)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await owner.execute(CLOSE, mode, epoch)
    assert refused.value.sqlstate == sqlstate


async def test_a_write_is_admitted_by_epoch_and_mode(
    request_: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    async def admitted(epoch: int | None) -> Any:
        try:
            return await request_.fetchval(ADMIT, epoch)
        except asyncpg.PostgresError as error:
            return error.sqlstate

    await owner.execute(CLOSE, "read_write", 5)
    assert [await admitted(epoch) for epoch in (None, 4, 5, 6)] == [5, "BY001", 5, 5]
    await owner.execute(CLOSE, "closed", 6)
    assert [await admitted(epoch) for epoch in (None, 5, 6)] == ["25006", "BY001", "25006"]


async def test_a_snapshot_that_could_hide_a_switch_is_refused(request_: asyncpg.Connection) -> None:
    async with request_.transaction(isolation="repeatable_read"):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await request_.fetchval(ADMIT, 0)
    assert refused.value.sqlstate == "25001"


async def test_a_switch_waits_for_a_write_that_was_admitted(
    request_: asyncpg.Connection, owner: asyncpg.Connection, own_services: ServicesDatabase
) -> None:
    watcher = await asyncpg.connect(own_services.owner)
    async with request_.transaction():
        await request_.fetchval(ADMIT, 0)
        switch = spawn(owner.fetchval(CLOSE, "closed", 1), name="switch")
        await until_blocked(watcher, owner)
        await request_.execute(NEW_STOCK, "A")
    await switch
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await request_.fetchval(ADMIT, 1)
    assert await watcher.fetchval(f"select count(*) from {STOCK} = 'A'") == 1
    await watcher.close()
