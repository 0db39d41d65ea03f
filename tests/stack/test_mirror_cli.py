"""`banyan mirror`: over a control database with two rows in quarantine, and an event log."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from catalog.stage import Side
from cli.main import app
from migration.attendance import PostgresRegister
from migration.divergence import Failure, State
from migration.ledger import PostgresLedger
from migration.sync_backfill import GROUP
from runtime.auditverify import verify
from runtime.control_database import migrate_control
from runtime.eventlog.redis_log import RedisLog
from runtime.postgres import create_pool
from runtime.serviceevent import topic_of
from runtime.stack import Stack
from tests.fakes.keys import key_setting, keyring

pytestmark = pytest.mark.stack

ORDER = ("6f9619ff-8b86-d011-b42d-00cf4fc964ff",)
STOCK = ("6f9619ff-8b86-d011-b42d-00cf4fc964aa", "A b", "x~y")
POISON = Failure(
    state=State.QUARANTINED, reason="23514", seconds=math.inf, correlation_id="corr-12345678"
)


class World:
    def __init__(self, run: Path, dsn: str, redis: str) -> None:
        self.run = run
        self.dsn = dsn
        self.redis = redis

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["mirror", *arguments, "--run", str(self.run)])

    def json(self, *arguments: str) -> Any:
        answer = self(*arguments, "--json")
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    def fetch(self, statement: str) -> list[Any]:
        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self.dsn)
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return asyncio.run(ask())

    def audit(self) -> list[tuple[str, str, dict[str, Any]]]:
        rows = self.fetch("select action, reason, subject from control.audit order by n")
        return [(row["action"], row["reason"], json.loads(row["subject"])) for row in rows]


@pytest.fixture
def world(tmp_path: Path, empty_dsn: str, redis_url: str) -> World:
    async def fill() -> None:
        await migrate_control(empty_dsn)
        pool = await create_pool(empty_dsn, name="test", size=1)
        ledger = PostgresLedger(pool)
        await ledger.book("lab_orders", Side.LEGACY, {ORDER: POISON})
        await ledger.book("partner_stock_levels", Side.SERVICE, {STOCK: POISON})
        await PostgresRegister(pool).beat("mirror", "host.1")
        await pool.close()

    asyncio.run(fill())
    redis = f"{redis_url}/7"
    environment = {
        "PROFILE": "sandbox",
        "CONTROL_DATABASE_URL": empty_dsn,
        "AUDIT_KEYS": key_setting("a1"),
        "REDIS_URL": redis,
    }
    Stack(pid=0, started_at="", environment=environment).write(tmp_path / "stack.json")
    return World(tmp_path, empty_dsn, redis)


def test_status_counts_and_shows_no_row(world: World) -> None:
    found = world.json("status")
    assert [one["name"] for one in found["workers"]] == ["mirror"]
    assert [
        (one["entity"], one["side"], one["state"], one["count"]) for one in found["unsolved"]
    ] == [
        ("lab_orders", "legacy", "quarantined", 1),
        ("partner_stock_levels", "service", "quarantined", 1),
    ]
    assert ORDER[0] not in world("status").output


def test_ids_are_shown_when_asked_for_with_a_reason_and_that_is_kept(world: World) -> None:
    assert ORDER[0] not in world("quarantine").output
    assert world("quarantine", "--keys").exit_code == 3
    shown = world.json("quarantine", "lab_orders", "--keys", "--reason", "ticket 7")
    assert [(one["key"], one["reason"]) for one in shown["items"]] == [(ORDER[0], "23514")]
    assert world.audit() == [
        ("mirror.keys_shown", "ticket 7", {"entity": "lab_orders", "count": 1})
    ]


def test_one_row_is_redriven_by_its_path(world: World) -> None:
    segment = f"{STOCK[0]}~A%20b~x%7Ey"
    where = ("redrive", "partner_stock_levels", segment)
    assert world(*where).exit_code == 3, "without a reason"
    assert world.json(*where, "--dry-run") == {"redriven": 0, "meant": 1}
    assert world.json(*where, "--reason", "fixed") == {"redriven": 1, "meant": 1}
    states = "select entity, state, attempts from control.divergences order by id"
    assert [tuple(row) for row in world.fetch(states)] == [
        ("lab_orders", "quarantined", 1),
        ("partner_stock_levels", "retrying", 0),
    ]
    [(action, reason, subject)] = world.audit()
    assert (action, reason, subject["count"]) == ("mirror.redrive", "fixed", 1)
    assert STOCK[0] not in subject["row"]
    again = world(*where, "--reason", "fixed")
    assert (again.exit_code, "Nothing of that" in again.output) == (3, True)


def test_all_are_redriven(world: World) -> None:
    assert world.json("redrive", "--all", "--reason", "fixed")["redriven"] == 2
    assert world("redrive", "--all", "--reason", "fixed").exit_code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("redrive", "--reason", "x"),
        ("redrive", "lab_orders", ORDER[0], "--all", "--reason", "x"),
        ("redrive", "of_tomorrow", "1", "--reason", "x"),
        ("redrive", "lab_orders", "no-uuid", "--reason", "x"),
        ("quarantine", "of_tomorrow"),
        ("replay", "lab_orders"),
    ],
)
def test_what_is_not_clear_is_refused(world: World, arguments: tuple[str, ...]) -> None:
    assert world(*arguments).exit_code == 3
    assert world.audit() == []


def test_events_are_replayed(world: World) -> None:
    topic = topic_of("lab_orders")

    async def consumed() -> None:
        log = RedisLog(world.redis)
        await log.create(topic)
        for n in range(3):
            await log.append(topic, b"%d" % n, b"{}")
        async with log.consumer(GROUP, [topic]) as consumer:
            while sum(await log.lag(GROUP, topic)):
                await consumer.commit(await consumer.poll(wait_seconds=1))
        await log.close()

    asyncio.run(consumed())
    before = world.json("replay", "lab_orders", "--dry-run")["in_the_log"]
    assert before >= 3
    assert world.json("replay", "lab_orders", "--reason", "x", "--since", "2100-01-01") == {
        "replayed": 0
    }
    assert world.json("replay", "lab_orders", "--reason", "x") == {"replayed": before}
    assert [action for action, _, _ in world.audit()] == ["mirror.replay"] * 2


def test_the_chain_of_what_was_done_holds(world: World) -> None:
    world.json("redrive", "--all", "--reason", "fixed")

    async def verdicts() -> list[Any]:
        connection = await asyncpg.connect(world.dsn)
        try:
            return list(await verify(connection, keyring("a1"), anchors={}))
        finally:
            await connection.close()

    [verdict] = asyncio.run(verdicts())
    assert (verdict.writer, verdict.records, verdict.broken) == ("operators", 1, None)


def test_without_a_control_database_it_fails(world: World) -> None:
    environment = {
        "PROFILE": "sandbox",
        "CONTROL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
    }
    Stack(pid=0, started_at="", environment=environment).write(world.run / "stack.json")
    assert world("status").exit_code == 1
