"""The synthetic data in a real database: every constraint holds, and row security shows each sample user theirs."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from uuid import UUID

import asyncpg
import pytest

from sandbox.legacy.load import Legacy, load_schema
from sandbox.seed.dataset import Dataset, generate
from sandbox.seed.load import load
from sandbox.seed.people import BY_NAME, PARTNER_A, PARTNER_B, Person

pytestmark = pytest.mark.stack

PARTNER_TABLES = """
    partner_checkins partner_label_queue partner_stock_levels partner_temperature_logs partner_payouts
""".split()
CARE_TABLES = """
    submissions appointments appointment_requests lab_orders lab_order_events action_plans compliance_tasks
""".split()


async def fingerprint(dsn: str, dataset: Dataset) -> dict[str, str]:
    """Hash of every row's text, per table, as PostgreSQL prints it."""
    connection = await asyncpg.connect(dsn)
    try:
        found = {}
        for table in dataset.tables:
            lines = await connection.fetch(f"select t::text as line from {table} t order by 1")
            text = "\n".join(line["line"] for line in lines)
            found[table] = hashlib.sha256(text.encode()).hexdigest()
        return found
    finally:
        await connection.close()


def test_two_loads_give_the_same_bytes(new_database: Callable[[], str]):
    async def build(dsn: str) -> dict[str, str]:
        dataset = generate(40, seed=3)
        await load_schema(dsn)
        await load(dsn, dataset)
        return await fingerprint(dsn, dataset)

    assert asyncio.run(build(new_database())) == asyncio.run(build(new_database()))


async def as_user(legacy: Legacy, person: Person | None) -> asyncpg.Connection:
    """A session as PostgREST opens it for this user; None is somebody signed out."""
    connection = await asyncpg.connect(legacy.authenticator)
    if person is None:
        await connection.execute("set role anon")
        return connection
    claims = {
        "sub": str(person.id),
        "role": "authenticated",
        "app_metadata": {**person.app_metadata},
    }
    await connection.execute("set role authenticated")
    await connection.execute(
        "select set_config('request.jwt.claims', $1, false)", json.dumps(claims)
    )
    return connection


@pytest.fixture
async def owner(shared_legacy: Legacy) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(shared_legacy.owner)
    yield connection
    await connection.close()


async def counts(connection: asyncpg.Connection, tables: list[str]) -> dict[str, int]:
    return {
        table: await connection.fetchval(f"select count(*) from public.{table}") for table in tables
    }


async def test_all_rows_are_there(owner: asyncpg.Connection, dataset: Dataset):
    for table, rows in dataset.tables.items():
        assert await owner.fetchval(f"select count(*) from {table}") == len(rows)


async def test_the_trail_is_the_data_sets_and_not_the_triggers(
    owner: asyncpg.Connection, dataset: Dataset
):
    events = await owner.fetch("select id, occurred_at from public.lab_order_events order by id")

    assert [(event["id"], event["occurred_at"]) for event in events] == [
        (event["id"], event["occurred_at"]) for event in dataset.tables["public.lab_order_events"]
    ]


async def test_triggers_are_on_again(owner: asyncpg.Connection):
    off = await owner.fetch(
        "select tgname from pg_trigger where tgenabled <> 'O' and not tgisinternal"
    )
    assert off == []


async def test_texts_arrive_as_they_were(owner: asyncpg.Connection, dataset: Dataset):
    rows = await owner.fetch("select id, first_name, safeguarding_notes from public.submissions")

    assert {row["id"]: (row["first_name"], row["safeguarding_notes"]) for row in rows} == {
        row["id"]: (row["first_name"], row["safeguarding_notes"])
        for row in dataset.tables["public.submissions"]
    }


async def test_sequences_go_on_behind_the_rows(legacy: Legacy, dataset: Dataset):
    connection = await asyncpg.connect(legacy.owner)
    try:
        await connection.execute(
            "insert into public.partner_label_queue (partner_id, site_code) values (gen_random_uuid(), 's')"
        )
        await connection.execute(
            "insert into public.partner_temperature_logs (partner_id, site_code, device_id, measured_at, temperature_c)"
            " values (gen_random_uuid(), 's', 'd', now(), 4)"
        )
        [order] = await connection.fetch(
            "insert into public.lab_orders (submission_id, test_code)"
            " select id, 't' from public.submissions limit 1 returning id, order_number"
        )
        events = await connection.fetch(
            "select id from public.lab_order_events where lab_order_id = $1", order["id"]
        )
    finally:
        await connection.close()

    ordinary = [
        row["order_number"]
        for row in dataset.tables["public.lab_orders"]
        if row["order_number"] < 2**53
    ]
    assert order["order_number"] == max(ordinary) + 1
    assert [event["id"] for event in events] == [
        max(row["id"] for row in dataset.tables["public.lab_order_events"]) + 1
    ]


async def test_nobody_signed_out_sees_anything(shared_legacy: Legacy):
    connection = await as_user(shared_legacy, None)
    try:
        for table in (*CARE_TABLES, *PARTNER_TABLES):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from public.{table}")
    finally:
        await connection.close()


@pytest.mark.parametrize("name", ["patient", "patient-b", "patient-c", "patient-d"])
async def test_patients_see_their_own(shared_legacy: Legacy, dataset: Dataset, name: str):
    person = BY_NAME[name]
    mine = {
        row["id"] for row in dataset.tables["public.submissions"] if row["user_id"] == person.id
    }

    def of_mine(table: str) -> int:
        return sum(row["submission_id"] in mine for row in dataset.tables[f"public.{table}"])

    orders = {
        row["id"] for row in dataset.tables["public.lab_orders"] if row["submission_id"] in mine
    }
    connection = await as_user(shared_legacy, person)
    try:
        seen = await counts(connection, CARE_TABLES)
        assert await counts(connection, PARTNER_TABLES) == dict.fromkeys(PARTNER_TABLES, 0)
    finally:
        await connection.close()

    assert seen == {
        "submissions": len(mine),
        "appointments": of_mine("appointments"),
        "appointment_requests": of_mine("appointment_requests"),
        "lab_orders": len(orders),
        "lab_order_events": sum(
            row["lab_order_id"] in orders for row in dataset.tables["public.lab_order_events"]
        ),
        "action_plans": sum(
            row["submission_id"] in mine and row["published_at"] is not None
            for row in dataset.tables["public.action_plans"]
        ),
        "compliance_tasks": sum(
            row["assigned_to"] == person.id for row in dataset.tables["public.compliance_tasks"]
        ),
    }
    assert all(seen[table] for table in CARE_TABLES if table != "compliance_tasks")


async def test_every_patient_with_a_user_sees_a_submission(
    shared_legacy: Legacy, owner: asyncpg.Connection
):
    users = await owner.fetch(
        "select id from auth.users where raw_app_meta_data->>'app_role' = 'patient'"
    )
    connection = await as_user(shared_legacy, None)
    await connection.execute("reset role; set role authenticated")
    try:
        for user in users:
            claims = {"sub": str(user["id"]), "app_metadata": {"app_role": "patient"}}
            await connection.execute(
                "select set_config('request.jwt.claims', $1, false)", json.dumps(claims)
            )
            assert await connection.fetchval("select count(*) from public.submissions") >= 1
    finally:
        await connection.close()
    assert len(users) > 30


@pytest.mark.parametrize("name", ["clinician", "clinician-b", "compliance", "admin"])
async def test_staff_sees_all_of_care(shared_legacy: Legacy, dataset: Dataset, name: str):
    connection = await as_user(shared_legacy, BY_NAME[name])
    try:
        seen = await counts(connection, CARE_TABLES)
    finally:
        await connection.close()

    assert seen == {table: len(dataset.tables[f"public.{table}"]) for table in CARE_TABLES}


@pytest.mark.parametrize(
    ("name", "partner"),
    [("partner", PARTNER_A), ("partner-a2", PARTNER_A), ("partner-b", PARTNER_B)],
)
async def test_partners_see_their_own(
    shared_legacy: Legacy, dataset: Dataset, name: str, partner: UUID
):
    connection = await as_user(shared_legacy, BY_NAME[name])
    try:
        seen = await counts(connection, [*PARTNER_TABLES, "appointments", "submissions"])
    finally:
        await connection.close()

    assert seen == {
        "submissions": 0,
        **{
            table: sum(row["partner_id"] == partner for row in dataset.tables[f"public.{table}"])
            for table in (*PARTNER_TABLES, "appointments")
        },
    }
    assert all(seen[table] for table in PARTNER_TABLES)


async def test_finance_sees_payouts_alone(shared_legacy: Legacy, dataset: Dataset):
    connection = await as_user(shared_legacy, BY_NAME["finance"])
    try:
        seen = await counts(connection, [*CARE_TABLES, *PARTNER_TABLES])
    finally:
        await connection.close()

    assert {table: count for table, count in seen.items() if count} == {
        "partner_payouts": len(dataset.tables["public.partner_payouts"])
    }
