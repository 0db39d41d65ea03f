"""What prepare.sql installs, a second run changes nothing, and revert.sql takes exactly that off again."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator

import asyncpg
import pytest

from migration.legacy.install import LegacyError, prepare, revert
from sandbox.engines.postgres import find_install
from sandbox.legacy.load import Legacy, load_schema
from tests.until import until_async

pytestmark = pytest.mark.stack

VERSIONED = """
    submissions appointments appointment_requests lab_orders action_plans compliance_tasks
    partner_checkins partner_label_queue partner_stock_levels partner_payouts
""".split()
APPEND_ONLY = ["lab_order_events", "partner_temperature_logs"]


@pytest.fixture
async def owner(legacy: Legacy) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(legacy.owner)
    yield connection
    await connection.close()


def schema_of(dsn: str) -> str:
    """pg_dump's text without the random words of its \\restrict lines."""
    dump = subprocess.run(
        [find_install().program("pg_dump"), "--schema-only", dsn],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", dump)


async def test_every_table_is_prepared(owner: asyncpg.Connection):
    rows = await owner.fetch("select * from banyan.status")

    assert {row["entity"]: row["kind"] for row in rows} == {
        **dict.fromkeys(VERSIONED, "versioned"),
        **dict.fromkeys(APPEND_ONLY, "append_only"),
    }
    assert all(
        row["identity_full"]
        and row["published"]
        and row["readable"]
        and row["mode"] == "read_write"
        for row in rows
    )


async def test_rows_keep_their_stamps(owner: asyncpg.Connection, dataset):
    rows = await owner.fetch(
        "select id, updated_at, row_version, origin, seen_at from public.lab_orders"
    )

    assert {row["id"]: row["updated_at"] for row in rows} == {
        order["id"]: order["updated_at"] for order in dataset.tables["public.lab_orders"]
    }
    assert {(row["row_version"], row["origin"], row["seen_at"]) for row in rows} == {
        (1, "legacy", None)
    }


async def test_a_users_write_gets_a_version(owner: asyncpg.Connection):
    [before] = await owner.fetch("select * from public.submissions order by id limit 1")
    [after] = await owner.fetch(
        "update public.submissions set phone = '1', row_version = 90, origin = 'service' where id = $1 returning *",
        before["id"],
    )

    assert (after["row_version"], after["origin"]) == (2, "legacy")
    assert after["updated_at"] > before["updated_at"]
    assert after["correlation_id"].startswith("db-")


async def test_a_second_prepare_changes_nothing(legacy: Legacy):
    before = schema_of(legacy.owner)

    assert await prepare(legacy.owner) == []
    assert schema_of(legacy.owner) == before


async def test_revert_gives_the_owners_schema_back(empty_dsn: str):
    await load_schema(empty_dsn)
    before = schema_of(empty_dsn)

    await prepare(empty_dsn)
    prepared = schema_of(empty_dsn)
    await revert(empty_dsn)

    assert "banyan" in prepared
    assert schema_of(empty_dsn) == before


async def test_revert_keeps_rows(legacy: Legacy, owner: asyncpg.Connection, dataset):
    await revert(legacy.owner)

    for table, rows in dataset.tables.items():
        assert await owner.fetchval(f"select count(*) from {table}") == len(rows)


async def test_revert_refuses_while_a_table_is_closed(legacy: Legacy, owner: asyncpg.Connection):
    await owner.execute(
        "select banyan.set_write_mode('lab_orders', 'mirror_only', 1, 'test', 'test')"
    )

    with pytest.raises(LegacyError) as refused:
        await revert(legacy.owner)
    assert refused.value.sqlstate == "55000"


async def test_a_busy_table_is_waited_for(empty_dsn: str):
    """Another session holds a table longer than the file's lock timeout of 3 s would allow."""
    await load_schema(empty_dsn)
    blocker = await asyncpg.connect(empty_dsn)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("lock table public.appointments in access exclusive mode")
    refused = asyncio.Event()

    async def let_go() -> None:
        watcher = await asyncpg.connect(empty_dsn)

        async def has_stopped() -> bool:
            """The first attempt has done submissions and was refused: its session waits for the next try."""
            return bool(
                await watcher.fetchval(
                    "select exists (select from pg_stat_activity where application_name = 'banyan legacy'"
                    " and datname = current_database() and state like 'idle in transaction (aborted)')"
                )
            )

        await until_async(has_stopped, within=30)
        refused.set()
        await watcher.close()
        await transaction.rollback()

    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(let_go())
            both.create_task(prepare(empty_dsn))
        rows = await blocker.fetch("select entity from banyan.entity")
    finally:
        await blocker.close()

    assert refused.is_set()
    assert len(rows) == len(VERSIONED) + len(APPEND_ONLY)


async def test_the_worker_reads_every_row_and_writes_none(legacy: Legacy, dataset):
    worker = await asyncpg.connect(legacy.worker)
    try:
        for table in (*VERSIONED, *APPEND_ONLY):
            rows = dataset.tables[f"public.{table}"]
            assert await worker.fetchval(f"select count(*) from public.{table}") == len(rows)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await worker.execute(f"delete from public.{table}")
    finally:
        await worker.close()
