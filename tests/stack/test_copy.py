"""The first simple copy, from a seeded legacy database into the services' schemas."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from catalog import assets
from catalog.asset import Asset, Kind
from catalog.service import Service
from catalog.stamps import BOOKKEEPING, SEEN_AT
from catalog.transform import forward
from migration.copy import CopyFailed, TableCopy, copy_all
from sandbox.legacy.load import Legacy
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

ENTITIES = tuple(assets())
VERSIONED = tuple(name for name, asset in assets().items() if asset.kind is Kind.VERSIONED)


@pytest.mark.parametrize("entity", ENTITIES)
async def test_every_row_arrives_transformed_with_its_version(
    entity: str, source: Legacy, services_database: ServicesDatabase
) -> None:
    asset = assets()[entity]
    stamps = (*BOOKKEEPING, SEEN_AT) if asset.kind is Kind.VERSIONED else BOOKKEEPING
    legacy = await fetch(source.worker, f"select * from {asset.source}")
    services = await fetch(services_database.apply, f"select * from {asset.service}.{asset.target}")
    expected = {}
    for row in legacy:
        target = forward(asset, dict(row)) | {name: row[name] for name in stamps}
        expected[key_of(asset, target)] = comparable(target)
    found = {key_of(asset, row): comparable(dict(row)) for row in services}
    for target in found.values():
        target.pop("nonconforming", None)
    assert len(expected) > 20
    assert found == expected


def test_report_counts_what_was_read_and_applied(services_database: ServicesDatabase) -> None:
    reports = services_database.copied
    assert [report.entity for report in reports] == list(ENTITIES)
    assert [r.entity for r in reports if not r.done or r.refused or r.read != r.applied] == []


async def test_a_second_copy_changes_nothing(
    source: Legacy, own_services: ServicesDatabase
) -> None:
    before = await everything(own_services)
    reports = await copy_all(source.worker, own_services.apply)
    assert [(r.entity, r.applied, r.tombstones_applied) for r in reports] == [
        (entity, 0, 0) for entity in ENTITIES
    ]
    assert await everything(own_services) == before


async def test_progress_is_told_page_by_page(
    source: Legacy, own_services: ServicesDatabase
) -> None:
    told: list[TableCopy] = []
    await copy_all(source.worker, own_services.apply, progress=told.append, page_rows=50)
    orders = [report for report in told if report.entity == "lab_orders"]
    assert len(orders) > 2
    assert [report.done for report in orders] == [False] * (len(orders) - 1) + [True]
    assert [report.read for report in orders] == sorted(report.read for report in orders)


@pytest.mark.parametrize("page_rows", [3, 5000])
async def test_page_size_does_not_matter(
    page_rows: int,
    source: Legacy,
    services_database: ServicesDatabase,
    own_services: ServicesDatabase,
) -> None:
    async with connected(own_services.owner) as owner:
        await owner.execute("truncate partner_ops.stock_level, partner_ops.label")
    await copy_all(source.worker, own_services.apply, page_rows=page_rows)
    for table in ("partner_ops.stock_level", "partner_ops.label"):
        query = f"select to_jsonb(t) from {table} t order by 1"
        assert await fetch(own_services.apply, query) == await fetch(services_database.apply, query)


# --- changes between two copies


async def test_a_newer_version_replaces_and_its_stamps_come_along(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(legacy.owner) as owner:
        changed = await owner.fetchrow(
            "update public.lab_orders set status = 'sent_to_vendor', vendor = 'New' where id ="
            " (select id from public.lab_orders limit 1) returning *"
        )
    assert changed is not None
    reports = await copied(legacy, own_services)
    assert reports["lab_orders"].applied == 1
    row = (
        await fetch(
            own_services.apply, "select * from diagnostics.lab_order where id = $1", changed["id"]
        )
    )[0]
    assert row["status"] == "sent"
    for stamp in ("updated_at", *BOOKKEEPING, SEEN_AT):
        assert row[stamp] == changed[stamp], stamp


async def test_an_older_version_never_replaces_a_newer_one(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(own_services.apply) as applier:
        await applier.execute(
            "update intake.submission set family_name = 'Newer', updated_at = updated_at + interval '1 microsecond'"
        )
    reports = await copied(legacy, own_services)
    names = await fetch(own_services.apply, "select distinct family_name from intake.submission")
    assert reports["submissions"].applied == 0
    assert [row["family_name"] for row in names] == ["Newer"]


async def test_at_one_instant_the_service_s_own_version_stays(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(own_services.apply) as applier:
        await applier.execute(
            "update intake.submission set family_name = 'Ours', origin = 'service'"
        )
    reports = await copied(legacy, own_services)
    assert reports["submissions"].applied == 0


async def test_a_delete_arrives_as_tombstone_and_comes_back_with_a_newer_row(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    key = "(partner_id, site_code, sku)"
    async with connected(legacy.owner) as owner:
        row = await owner.fetchrow(
            "delete from public.partner_stock_levels where (partner_id, site_code, sku) ="
            " (select partner_id, site_code, sku from public.partner_stock_levels order by sku limit 1)"
            " returning *"
        )
        grave = await owner.fetchrow(
            "select * from banyan.tombstones where entity = 'partner_stock_levels'"
        )
    assert row is not None
    assert grave is not None
    reports = await copied(legacy, own_services)
    assert reports["partner_stock_levels"].tombstones_applied == 1
    values = (row["partner_id"], row["site_code"], row["sku"])
    there = f"select * from partner_ops.stock_level where {key} = ($1, $2, $3)"
    assert await fetch(own_services.apply, there, *values) == []
    buried = (await fetch(own_services.apply, "select * from partner_ops.tombstones"))[0]
    assert json.loads(buried["key"]) == json.loads(grave["key"])
    assert buried["entity"] == "partner_stock_levels"
    for stamp in ("updated_at", *BOOKKEEPING, SEEN_AT):
        assert buried[stamp] == grave[stamp], stamp
    assert (await copied(legacy, own_services))["partner_stock_levels"].tombstones_applied == 0

    async with connected(legacy.owner) as owner:
        await owner.execute(
            "insert into public.partner_stock_levels (partner_id, site_code, sku) values ($1, $2, $3)",
            *values,
        )
    await copied(legacy, own_services)
    assert len(await fetch(own_services.apply, there, *values)) == 1
    assert await fetch(own_services.apply, "select * from partner_ops.tombstones") == []


async def test_a_tombstone_blocks_an_older_row(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(own_services.apply) as applier:
        await applier.execute(
            "insert into intake.tombstones (entity, key, updated_at, origin, row_version)"
            " select 'submissions', jsonb_build_object('id', id), updated_at, 'service', row_version from intake.submission"
        )
        await applier.execute("delete from intake.submission")
    reports = await copied(legacy, own_services)
    assert reports["submissions"].applied == 0
    assert await fetch(own_services.apply, "select from intake.submission") == []


async def test_a_row_that_is_newer_than_legacy_s_delete_stays_and_gets_no_tombstone(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(own_services.apply) as applier:
        await applier.execute(
            "update compliance.task set updated_at = now() + interval '30 seconds'"
        )
    async with connected(legacy.owner) as owner:
        gone = await owner.fetchval(
            "delete from public.compliance_tasks where id = (select id from public.compliance_tasks limit 1)"
            " returning id"
        )
    reports = await copied(legacy, own_services)
    report = reports["compliance_tasks"]
    assert (report.tombstones_read, report.tombstones_applied) == (1, 0)
    there = await fetch(own_services.apply, "select from compliance.task where id = $1", gone)
    assert len(there) == 1
    assert await fetch(own_services.apply, "select from compliance.tombstones") == []


async def test_a_deleted_submission_is_nobody_s(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    lonely = (
        "select id from public.submissions s where user_id is not null and not exists (select from public.appointments where submission_id = s.id)"
        " and not exists (select from public.lab_orders where submission_id = s.id)"
        " and not exists (select from public.action_plans where submission_id = s.id)"
        " and not exists (select from public.compliance_tasks where submission_id = s.id) limit 1"
    )
    async with connected(legacy.owner) as owner:
        gone = await owner.fetchval(
            f"delete from public.submissions where id = ({lonely}) returning id"
        )
    assert gone is not None
    seen = "select user_id, clinician_id from diagnostics.subject_access where submission_id = $1"
    assert (await fetch(own_services.apply, seen, gone))[0]["user_id"] is not None
    await copied(legacy, own_services)
    row = (await fetch(own_services.apply, seen, gone))[0]
    assert (row["user_id"], row["clinician_id"]) == (None, None)


async def test_unique_values_that_change_hands_arrive_in_any_order(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    """Row by row the second would collide with what the first still holds; at commit all is well."""
    query = "select id, remittance_reference as reference from {} where remittance_reference is not null"
    async with connected(legacy.owner) as owner:
        first, second = (await owner.fetch(query.format("public.partner_payouts") + " limit 2"))[:2]
        change = "update public.partner_payouts set remittance_reference = $2 where id = $1"
        await owner.execute(change, first["id"], None)
        await owner.execute(change, second["id"], first["reference"])
        await owner.execute(change, first["id"], second["reference"])
    reports = {r.entity: r for r in await copy_all(legacy.worker, own_services.apply, page_rows=3)}
    assert reports["partner_payouts"].applied == 2
    rows = await fetch(own_services.apply, query.format("finance.payout"))
    found = {row["id"]: row["reference"] for row in rows}
    assert found[first["id"]] == second["reference"]
    assert found[second["id"]] == first["reference"]


# --- rows that cannot come


async def test_an_unknown_word_is_counted_by_column_and_the_rest_comes(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(legacy.owner) as owner:
        await owner.execute("alter table public.lab_orders drop constraint lab_orders_status_check")
        await owner.execute(
            "update public.lab_orders set status = 'lost in the post' where order_number % 10 = 3"
        )
        bad = await owner.fetchval(
            "select count(*) from public.lab_orders where status = 'lost in the post'"
        )
        await owner.execute(
            "update public.lab_orders set vendor = 'Touched' where order_number % 10 = 4"
        )
        good = await owner.fetchval(
            "select count(*) from public.lab_orders where vendor = 'Touched'"
        )
    report = (await copied(legacy, own_services))["lab_orders"]
    assert min(bad, good) > 0
    assert report.refused == {"status: a word outside the vocabulary": bad}
    assert report.applied == good


async def test_a_stamp_ahead_of_the_clock_is_parked(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(legacy.owner) as owner:
        await owner.execute("alter table public.action_plans disable trigger user")
        await owner.execute(
            "update public.action_plans set updated_at = now() + interval '1 hour' where id = (select id from public.action_plans limit 1)"
        )
    report = (await copied(legacy, own_services))["action_plans"]
    assert (report.applied, report.refused) == (0, {"updated_at: ahead of the clock": 1})


async def test_an_event_waits_for_its_order(legacy: Legacy, own_services: ServicesDatabase) -> None:
    async with connected(legacy.owner) as owner:
        await owner.execute("alter table public.lab_orders drop constraint lab_orders_status_check")
        new = await owner.fetchval(
            "insert into public.lab_orders (submission_id, test_code, status) select id, 'X', 'unheard of' from public.submissions limit 1 returning id"
        )
        await owner.execute(
            "insert into public.lab_order_events (lab_order_id, event_type) values ($1, 'noted')",
            new,
        )
    reports = await copied(legacy, own_services)
    refused = reports["lab_order_events"].refused
    assert refused["lab_order_id: its parent is not there"] == 1


async def test_an_append_only_row_that_differs_is_reported_and_stays(
    source: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(own_services.owner) as owner:
        await owner.execute("alter table compliance.temperature_log disable trigger user")
        await owner.execute(
            "update compliance.temperature_log set raw = '{\"other\": 1}' where id = (select min(id) from compliance.temperature_log)"
        )
    report = (await copied(source, own_services))["partner_temperature_logs"]
    assert report.applied == 0
    assert list(report.refused.values()) == [1]
    rows = await fetch(
        own_services.apply, "select from compliance.temperature_log where raw = '{\"other\": 1}'"
    )
    assert len(rows) == 1


async def test_overlapping_rows_are_stored_and_marked(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    """Decision 25: the rules of the new domain bind users, never what legacy already holds."""
    async with connected(legacy.owner) as owner:
        await owner.execute(
            "insert into public.appointments (submission_id, clinician_id, status, starts_at, ends_at)"
            " select s.id, '00000002-0000-4000-8000-000000000001', 'booked', '2031-01-01 10:00Z', '2031-01-01 11:00Z'"
            " from (select id from public.submissions limit 3) s"
        )
        await owner.execute(
            "insert into public.partner_payouts (partner_id, period_start, period_end, gross_amount)"
            " values ('000000ba-0000-4000-8000-0000000000ff', '2031-01-01', '2031-01-31', 10), ('000000ba-0000-4000-8000-0000000000ff', '2031-01-31', '2031-02-28', 10)"
        )
    before = {report.entity: report.nonconforming for report in own_services.copied}
    reports = await copied(legacy, own_services)
    assert reports["appointments"].applied == 3
    assert reports["appointments"].nonconforming - before["appointments"] == 2
    assert reports["partner_payouts"].nonconforming - before["partner_payouts"] == 1


async def test_a_failure_names_table_and_constraint_and_leaves_the_table_as_it_was(
    legacy: Legacy, own_services: ServicesDatabase
) -> None:
    async with connected(legacy.owner) as owner:
        await owner.execute(
            "alter table public.partner_checkins drop constraint partner_checkins_quantity_check"
        )
        await owner.execute(
            "update public.partner_checkins set notes = 'Secret name', quantity = -1 where id = (select max(id::text)::uuid from public.partner_checkins)"
        )
        await owner.execute(
            "update public.partner_checkins set notes = 'Touched' where quantity >= 0"
        )
    with pytest.raises(CopyFailed) as failed:
        await copy_all(legacy.worker, own_services.apply, page_rows=10)
    assert str(failed.value) == "partner_checkins: 23514 checkin_quantity_check"
    assert failed.value.__cause__ is None
    assert (
        await fetch(own_services.apply, "select from partner_ops.checkin where notes = 'Touched'")
        == []
    )


# --- reading the databases


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def fetch(dsn: str, query: str, *values: Any) -> list[asyncpg.Record]:
    async with connected(dsn) as connection:
        return await connection.fetch(query, *values)


async def copied(legacy: Legacy, services: ServicesDatabase) -> dict[str, TableCopy]:
    return {r.entity: r for r in await copy_all(legacy.worker, services.apply)}


async def everything(services: ServicesDatabase) -> dict[str, list[asyncpg.Record]]:
    """All rows, with the transactions that wrote them: an update that changes nothing would show."""
    tables = [f"{asset.service}.{asset.target}" for asset in assets().values()]
    tables += [f"{service}.tombstones" for service in Service]
    tables += [f"{schema}.subject_access" for schema in ("scheduling", "diagnostics", "care_plans")]
    return {
        table: await fetch(
            services.owner, f"select xmin::text, to_jsonb(t) from {table} t order by 2"
        )
        for table in tables
    }


def key_of(asset: Asset, row: Any) -> tuple[Any, ...]:
    return tuple(row[name] for name in asset.key)


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """JSON by its content: PostgreSQL prints jsonb with blanks of its own."""
    return {
        name: json.loads(value)
        if isinstance(value, str) and name in JSON_COLUMNS and value is not None
        else value
        for name, value in row.items()
    }


JSON_COLUMNS = frozenset(
    column.target for asset in assets().values() for column in asset.kept if column.type == "jsonb"
)
