"""What the control database says of one correlation id, row by row."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest

from catalog.stage import Side
from migration.divergence import Failure, State
from migration.intent_store import PostgresIntents
from migration.intents import Announced
from migration.ledger import PostgresLedger
from migration.trace.control import read_control, read_incidents
from migration.trace.database import opened
from migration.trace.timeline import Findings, Line, What
from migration.trace.verdict import LOST, WON
from runtime.auditchain import AuditChain, Event
from runtime.control_database import migrate_control
from runtime.intent import Closed, Intent, Outcome
from runtime.postgres import create_pool
from tests.fakes.keys import keyring

pytestmark = pytest.mark.stack

ID, OTHER = "corr-12345678", "corr-00000000"
KEY = ("6f9619ff-8b86-d011-b42d-00cf4fc964ff",)


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate_control(empty_dsn)
    pool = await create_pool(empty_dsn, name="test", size=2)
    yield pool
    await pool.close()


async def find(dsn: str, correlation_id: str = ID, *named: tuple[str, str]) -> Findings:
    findings = Findings()
    async with opened("control", dsn, findings, seconds=5) as database:
        await read_control(database, correlation_id)
        await read_incidents(database, named)
    assert not [one for one in findings.looked if one.trouble]
    return findings


async def only(dsn: str, what: What) -> Line:
    [line] = (await find(dsn)).lines
    assert line.what is what
    return line


def failure(state: State, correlation_id: str) -> Failure:
    return Failure(state=state, reason="23514", seconds=math.inf, correlation_id=correlation_id)


async def test_an_intent_that_is_open_and_its_number_when_it_has_one(
    empty_dsn: str, pool: asyncpg.Pool
) -> None:
    intents = PostgresIntents(pool)
    mine, other = (
        Intent(
            id=str(uuid4()),
            entity="partner_label_queue",
            key=None,
            authority=Side.LEGACY,
            scope="",
            user="tag",
            epoch=1,
            correlation_id=id_,
            grace_seconds=30,
        )
        for id_ in (ID, OTHER)
    )
    await intents.take([Announced(intent=one, partition=0) for one in (mine, other)], [])
    line = await only(empty_dsn, What.OPEN)
    assert (line.key, line.word, line.intent) == (None, "no outcome yet", mine.id)
    await intents.take([], [Closed(id=mine.id, outcome=Outcome.APPLIED, key=("7",))])
    line = await only(empty_dsn, What.OPEN)
    assert (line.key, line.word, line.origin) == ("7", "applied", Side.LEGACY)


async def test_incidents_of_the_id_and_of_a_row_that_is_named(
    empty_dsn: str, pool: asyncpg.Pool
) -> None:
    ledger = PostgresLedger(pool)
    await ledger.book("lab_orders", Side.LEGACY, {KEY: failure(State.QUARANTINED, OTHER)})
    assert (await find(empty_dsn)).lines == []
    [held] = (await find(empty_dsn, ID, ("lab_orders", KEY[0]))).lines
    assert (held.word, held.key, held.origin) == ("quarantined", KEY[0], Side.LEGACY)
    assert (held.facts["reason"], held.facts["attempts"]) == ("23514", 1)
    await ledger.book("lab_orders", Side.LEGACY, {KEY: failure(State.RETRYING, ID)})
    assert len((await find(empty_dsn, ID, ("lab_orders", KEY[0]))).lines) == 1
    await ledger.solve("lab_orders", Side.LEGACY, [KEY])
    assert (await only(empty_dsn, What.DIVERGED)).word == "solved"
    assert len((await find(empty_dsn, OTHER, ("lab_orders", KEY[0]))).lines) == 0


@pytest.mark.parametrize(("mine", "origin"), [(LOST, Side.LEGACY), (WON, Side.SERVICE)])
async def test_a_conflict_says_which_version_it_was(
    empty_dsn: str, pool: asyncpg.Pool, mine: str, origin: Side
) -> None:
    ids = {LOST: OTHER, WON: OTHER, mine: ID}
    id_ = await pool.fetchval(
        "insert into control.conflicts (source, source_id, recorded_at, entity, key, loser, loser_deleted, winner,"
        " winner_deleted, tags) values ('legacy', 1, now(), 'lab_orders', $1, $2, false, $3, false, '{}') returning id",
        KEY[0],
        orjson.dumps({"origin": "legacy", "correlation_id": ids[LOST]}).decode(),
        orjson.dumps({"origin": "service", "correlation_id": ids[WON]}).decode(),
    )
    line = await only(empty_dsn, What.CONFLICT)
    assert (line.word, line.origin, line.key) == (mine, origin, KEY[0])
    assert "sealed_until" not in line.facts
    await pool.execute(
        "insert into control.quarantine (conflict_id, sealed, kept_until) values ($1, '\\x00', $2)",
        id_,
        datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert (await only(empty_dsn, What.CONFLICT)).facts["sealed_until"].startswith("2026-03-01")  # type: ignore[union-attr]


async def test_an_attempt_is_known_by_its_latest_id(empty_dsn: str, pool: asyncpg.Pool) -> None:
    await pool.execute(
        "insert into control.idempotency (scope, key, fingerprint, authority, correlation_id, lease_until, finished_at,"
        " status, answer) values ('s', 'k1', 'f', 'service', $1, now(), null, null, null),"
        " ('s', 'k2', 'f', 'legacy', $2, now(), now(), 201, '\\x00')",
        ID,
        OTHER,
    )
    assert (await only(empty_dsn, What.TRIED)).word == "running"
    [other] = (await find(empty_dsn, OTHER)).lines
    assert (other.word, other.facts) == ("201", {"authority": "legacy", "attempt": 1})


async def test_audit_records_that_name_it_as_a_whole_word(
    empty_dsn: str, pool: asyncpg.Pool
) -> None:
    chain = AuditChain(keyring("a1"), writer="operators")
    subjects: list[tuple[str, str, dict[str, Any]]] = [
        ("thing.one", "why", {"deep": [{"id": ID}]}),
        ("thing.two", f"because of {ID}.", {}),
        ("thing.three", f"{ID}9", {"id": f"{ID}9"}),
        ("thing.four", "why", {ID: "a name is no value"}),
    ]
    async with pool.acquire() as connection:
        for action, reason, subject in subjects:
            async with connection.transaction():
                event = Event(action=action, actor="Ann Other", reason=reason, subject=subject)
                await chain.append(connection, event)
    lines = (await find(empty_dsn)).lines
    assert sorted(line.word for line in lines) == ["thing.one", "thing.two"]
    assert "Ann" not in repr(lines)


async def test_a_trace_writes_nothing_and_ends_in_its_time(empty_dsn: str) -> None:
    findings = Findings()
    async with opened("control", empty_dsn, findings, seconds=0.2) as database:
        assert await database.fetch("a table", "create table t (n integer)") == []
        assert await database.fetch("a nap", "select pg_sleep(60)") == []
        assert await database.fetch("one", "select 1 as one") != []
    assert [(one.extent, one.trouble) for one in findings.looked] == [
        ("a table", "25006"),
        ("a nap", "57014"),
    ]


async def test_a_database_that_is_away_is_noted_once() -> None:
    findings = Findings()
    dsn = "postgresql://nobody@127.0.0.1:1/x"
    async with opened("control", dsn, findings, seconds=1) as database:
        await read_control(database, ID)
    assert [one.extent for one in findings.looked] == ["database"]
    assert findings.looked[0].trouble
