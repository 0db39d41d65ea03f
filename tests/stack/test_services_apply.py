"""The guarded apply of the services: what it refuses, what it checks with each item and what behind the last, and its races.

Outcomes of single versions are held against the pure guard in test_guard_differential.py.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from runtime.tasks import spawn
from tests.blocked import until_blocked
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

PARTNER = "000000ba-0000-4000-8000-0000000000ff"
STOCK_KEY = {"partner_id": PARTNER, "site_code": "A", "sku": "S"}
NEW_STOCK = (
    "insert into partner_ops.stock_level (partner_id, site_code, sku, on_hand, reserved)"
    f" values ('{PARTNER}', 'A', 'S', 1, 0) returning updated_at"
)
STOCK = f"partner_ops.stock_level where partner_id = '{PARTNER}'"
CREATED = "2026-01-01T00:00:00+00:00"


@pytest.fixture
async def applier(own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_services.apply)
    yield connection
    await connection.close()


@pytest.fixture
async def owner(own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Connection]:
    """Whose direct writes count as a user's."""
    connection = await asyncpg.connect(own_services.owner)
    yield connection
    await connection.close()


@pytest.fixture
async def watcher(own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_services.owner)
    yield connection
    await connection.close()


def item(entity: str, key: Any, row: Any = None, **stamps: Any) -> dict[str, Any]:
    """A version of now, written in legacy, that has seen nothing; without a row it is a delete."""
    return {
        "entity": entity,
        "op": "delete" if row is None else "upsert",
        "key": key,
        "row": row,
        "updated_at": datetime.now(UTC).isoformat(),
        "origin": "legacy",
        "row_version": 5,
        "seen_at": None,
        "correlation_id": "c",
        **stamps,
    }


def stock(on_hand: int | None, **stamps: Any) -> dict[str, Any]:
    row = {"on_hand": on_hand, "reserved": 0, "created_at": CREATED}
    return item("partner_stock_levels", STOCK_KEY, None if on_hand is None else row, **stamps)


async def apply(
    connection: asyncpg.Connection, schema: str, *items: dict[str, Any], together: bool = False
) -> list[str]:
    """The outcomes; of an error its SQLSTATE."""
    answers = json.loads(
        await connection.fetchval(
            f"select {schema}.apply_batch($1, $2)", json.dumps(items), together
        )
    )
    return [answer.get("code", answer["outcome"]) for answer in answers]


# --- refusals


@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [
        ({"entity": "stock"}, "22023"),
        ({"op": "replace"}, "22023"),
        ({"origin": "elsewhere"}, "22023"),
        ({"row_version": 0}, "22023"),
        ({"updated_at": "infinity"}, "22023"),
        ({"seen_at": "infinity"}, "22023"),
        ({"key": {"partner_id": PARTNER, "site_code": "A"}}, "22023"),
        ({"row": {"on_hand": "many"}}, "22P02"),
        ({"row": {"on_hand": 1, "reserved": -1, "created_at": CREATED}}, "23514"),
        ({"row": {"on_hand": 1}}, "23502"),
        ({"row": {"colour": 1}}, "42703"),
    ],
)
async def test_an_item_that_is_not_valid_is_refused_alone(
    applier: asyncpg.Connection, owner: asyncpg.Connection, change: Any, sqlstate: str
) -> None:
    bad = {**stock(1), **change}
    assert await apply(applier, "partner_ops", bad, stock(2)) == [sqlstate, "applied"]
    assert await owner.fetchval(f"select on_hand from {STOCK}") == 2


async def test_a_sender_that_forgets_seen_at_is_refused(applier: asyncpg.Connection) -> None:
    forgetful = stock(1)
    del forgetful["seen_at"]
    assert await apply(applier, "partner_ops", forgetful) == ["22023"]


async def test_who_is_out_of_date_is_fenced_and_a_closed_table_takes_applies(
    applier: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "select partner_ops.set_write_mode('partner_stock_levels', 'closed', 5, 'test', 'test')"
    )
    fenced, applied = stock(1, epoch=4), stock(2, epoch=5)
    assert await apply(applier, "partner_ops", fenced, applied) == ["fenced", "applied"]


async def test_an_apply_leaves_no_event_and_its_mark_ends_with_it(
    applier: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    async with owner.transaction():
        assert await apply(owner, "partner_ops", stock(1)) == ["applied"]
        assert await owner.fetch("select from partner_ops.outbox") == []
        await owner.execute(f"update {STOCK.replace(' where', ' set on_hand = 3 where')}")
    [row] = await owner.fetch(f"select * from {STOCK}")
    assert (row["origin"], row["row_version"]) == ("service", 6)
    assert await owner.fetchval("select count(*) from partner_ops.outbox") == 1


async def test_an_append_only_row_is_there_once_and_never_changes(
    applier: asyncpg.Connection,
) -> None:
    row = {
        **{"partner_id": PARTNER, "site_code": "A", "device_id": "D", "measured_at": CREATED},
        **{"temperature_c": 4.10, "is_excursion": False, "created_at": CREATED},
    }
    first, other = (
        item("partner_temperature_logs", {"id": -1}, {**row, "temperature_c": degrees})
        for degrees in (4.10, 4.2)
    )
    gone = item("partner_temperature_logs", {"id": -1})
    taken = item("partner_temperature_logs", {"id": -2}, row)
    found = await apply(applier, "compliance", first, first, other, gone, taken)
    assert found == ["applied", "same", "differs", "22023", "23505"]


async def test_only_banyan_apply_may(own_services: ServicesDatabase) -> None:
    connection = await asyncpg.connect(own_services.service)
    await connection.execute("set role banyan_partner_ops")
    for statement in (
        "select partner_ops.apply_batch('[]')",
        f"select partner_ops.apply_item('{json.dumps(stock(1))}')",
        "select * from partner_ops.conflicts",
        "select partner_ops.purge_tombstones('30 days')",
        "select partner_ops.restamp('partner_stock_levels', '{}', now(), 'service', null)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_a_batch_is_bounded_and_needs_read_committed(applier: asyncpg.Connection) -> None:
    for items in (json.dumps([stock(1)] * 501), "{}"):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await applier.fetchval("select partner_ops.apply_batch($1)", items)
        assert refused.value.sqlstate == "22023"
    async with applier.transaction(isolation="repeatable_read"):
        assert await apply(applier, "partner_ops", stock(1)) == ["25001"]


# --- parents, and values that change hands


async def test_a_child_without_its_parent_is_told_apart(applier: asyncpg.Connection) -> None:
    event = {
        **{"kind": "noted", "lab_order_id": str(UUID(int=1)), "actor_type": "user"},
        **{"payload": {}, "occurred_at": CREATED, "created_at": CREATED},
    }
    assert await apply(applier, "diagnostics", item("lab_order_events", {"id": -1}, event)) == [
        "23503"
    ]


PAYOUT = {
    **{"partner_id": PARTNER, "gross_minor": 1, "fee_minor": 0, "currency": "GBP"},
    **{"status": "failed", "lines": [], "created_at": CREATED},
}


def payout(n: int, reference: str | None) -> dict[str, Any]:
    """Payout `n` of day `n`."""
    day = f"2031-01-{n:02}"
    row = {**PAYOUT, "period_start": day, "period_end": day, "remittance_reference": reference}
    return item("partner_payouts", {"id": str(UUID(int=n))}, row)


async def test_each_item_that_breaks_uniqueness_is_told_apart(applier: asyncpg.Connection) -> None:
    items = (payout(1, "R1"), payout(2, "R1"), payout(3, "R3"))
    assert await apply(applier, "finance", *items) == ["applied", "23505", "applied"]


async def test_values_change_hands_together_or_not_at_all(
    applier: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    async def references() -> list[str]:
        rows = await owner.fetch(
            f"select remittance_reference from finance.payout where partner_id = '{PARTNER}' order by id"
        )
        return [row[0] for row in rows]

    await apply(applier, "finance", payout(1, "R1"), payout(2, "R2"))
    assert await apply(applier, "finance", payout(1, "R2"), payout(2, "R1")) == ["23505"] * 2
    # What fails behind the last item fails them all, and what fails before it as well.
    wrong = (payout(1, "R2"), payout(3, "R2"))
    assert await apply(applier, "finance", *wrong, together=True) == ["23505"] * 2
    bad = (payout(1, "R3"), {**payout(3, "R4"), "row": {}})
    assert await apply(applier, "finance", *bad, together=True) == ["23502"] * 2
    assert await references() == ["R1", "R2"]

    swap = (payout(1, "R2"), payout(2, "R1"))
    assert await apply(applier, "finance", *swap, together=True) == ["applied"] * 2
    assert await references() == ["R2", "R1"]


# --- a stamp in the future


async def test_a_restamp_lowers_the_stamp_and_is_announced(
    applier: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    await owner.execute(NEW_STOCK)
    ahead = await applier.fetchval(
        f"update {STOCK.replace(' where', ' set updated_at = now() + interval $$1 hour$$ where')} returning updated_at"
    )
    floor = datetime.now(UTC) + timedelta(seconds=30)
    restamp = "select partner_ops.restamp('partner_stock_levels', $1, $2, 'service', $3)"
    key = json.dumps(STOCK_KEY)
    assert json.loads(await owner.fetchval(restamp, key, floor, floor)) == {"outcome": "changed"}
    answer = json.loads(await owner.fetchval(restamp, key, ahead, floor))
    [row] = await owner.fetch(f"select * from {STOCK}")
    assert answer["outcome"] == "restamped"
    assert row["updated_at"] == floor + timedelta(microseconds=1)
    assert (row["row_version"], row["origin"], row["on_hand"]) == (2, "service", 1)
    [_, updated] = await owner.fetch("select * from partner_ops.outbox order by id")
    assert updated["event_type"] == "banyan.partner_stock_levels.updated"
    assert (updated["updated_at"], updated["row_version"]) == (row["updated_at"], 2)


async def test_a_delete_in_the_future_is_restamped_too(
    applier: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await applier.execute(
        "insert into partner_ops.tombstones (entity, key, updated_at, origin, row_version)"
        " values ('partner_stock_levels', $1, $2, 'legacy', 3)",
        json.dumps(STOCK_KEY),
        ahead,
    )
    await owner.execute(
        "select partner_ops.restamp('partner_stock_levels', $1, $2, 'legacy', null)",
        json.dumps(STOCK_KEY),
        ahead,
    )
    [grave] = await owner.fetch("select * from partner_ops.tombstones")
    assert (grave["origin"], grave["row_version"], grave["seen_at"]) == ("service", 4, ahead)
    assert grave["updated_at"] < ahead
    [event] = await owner.fetch("select event_type, updated_at from partner_ops.outbox")
    assert tuple(event) == ("banyan.partner_stock_levels.deleted", grave["updated_at"])


async def test_tombstones_outlive_the_longest_replay(
    applier: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    await applier.execute(
        "insert into partner_ops.tombstones (entity, key, updated_at, origin, row_version, recorded_at)"
        " select 'partner_stock_levels', to_jsonb(days), now(), 'legacy', 1, now() - make_interval(days => days)"
        " from unnest(array[1, 29, 31, 90]) days"
    )
    with pytest.raises(asyncpg.PostgresError):
        await owner.execute("select partner_ops.purge_tombstones('29 days')")
    assert await owner.fetchval("select partner_ops.purge_tombstones('30 days')") == 2


# --- races of two sessions over one key


async def test_a_delete_that_commits_while_an_older_row_waits_stays(
    applier: asyncpg.Connection, owner: asyncpg.Connection, watcher: asyncpg.Connection
) -> None:
    await owner.execute(NEW_STOCK)
    late = stock(7)
    async with owner.transaction():
        await owner.execute(f"delete from {STOCK}")
        waiting = spawn(apply(applier, "partner_ops", late), name="apply")
        await until_blocked(watcher, applier)
    assert await waiting == ["stale"]
    assert await watcher.fetch(f"select from {STOCK}") == []
    assert await watcher.fetchval("select count(*) from partner_ops.tombstones") == 1


async def test_a_delete_that_commits_while_a_newer_row_waits_is_a_recorded_loser(
    applier: asyncpg.Connection, owner: asyncpg.Connection, watcher: asyncpg.Connection
) -> None:
    await owner.execute(NEW_STOCK)
    newer = stock(7, updated_at=(datetime.now(UTC) + timedelta(seconds=40)).isoformat())
    async with owner.transaction():
        await owner.execute(f"delete from {STOCK}")
        waiting = spawn(apply(applier, "partner_ops", newer), name="apply")
        await until_blocked(watcher, applier)
    assert await waiting == ["applied+conflict"]
    assert await watcher.fetchval(f"select on_hand from {STOCK}") == 7
    assert await watcher.fetch("select from partner_ops.tombstones") == []
    [conflict] = await watcher.fetch("select * from partner_ops.conflicts")
    assert (conflict["loser_row"], conflict["loser_row_version"]) == (None, 2)


@pytest.mark.parametrize("ahead", [-40, 40])
async def test_a_row_that_commits_while_another_waits_is_compared_and_recorded(
    applier: asyncpg.Connection, owner: asyncpg.Connection, watcher: asyncpg.Connection, ahead: int
) -> None:
    """Neither sees the other at first: the apply's insert waits for the user's."""
    theirs = stock(7, updated_at=(datetime.now(UTC) + timedelta(seconds=ahead)).isoformat())
    async with owner.transaction():
        await owner.execute(NEW_STOCK)
        waiting = spawn(apply(applier, "partner_ops", theirs), name="apply")
        await until_blocked(watcher, applier)
    assert await waiting == ["applied+conflict" if ahead > 0 else "stale"]
    assert await watcher.fetchval(f"select on_hand from {STOCK}") == (7 if ahead > 0 else 1)
    rows = await watcher.fetch("select loser_row from partner_ops.conflicts")
    assert [json.loads(row["loser_row"])["on_hand"] for row in rows] == ([1] if ahead > 0 else [])


@pytest.mark.parametrize("ahead", [-40, 40])
async def test_a_delete_and_a_row_that_miss_each_other_are_told_apart_later(
    applier: asyncpg.Connection, owner: asyncpg.Connection, watcher: asyncpg.Connection, ahead: int
) -> None:
    """The user's row is not visible yet when the delete is applied. Whoever comes next puts it right."""
    theirs = stock(None, updated_at=(datetime.now(UTC) + timedelta(seconds=ahead)).isoformat())
    async with owner.transaction():
        await owner.execute(NEW_STOCK)
        assert await apply(applier, "partner_ops", theirs) == ["applied"]
    assert await watcher.fetchval(f"select count(*) from {STOCK}") == 1
    assert await apply(applier, "partner_ops", theirs) == (
        ["same+conflict"] if ahead > 0 else ["stale"]
    )
    assert await watcher.fetchval(f"select count(*) from {STOCK}") == (0 if ahead > 0 else 1)
    graves = await watcher.fetchval("select count(*) from partner_ops.tombstones")
    assert graves == (1 if ahead > 0 else 0)


async def test_a_user_s_row_that_waited_on_a_user_s_delete_is_never_lost_unrecorded(
    applier: asyncpg.Connection,
    owner: asyncpg.Connection,
    watcher: asyncpg.Connection,
    own_services: ServicesDatabase,
) -> None:
    """The row got its stamps before the delete was visible; whichever is the greater, the other is put away in the open."""
    other = await asyncpg.connect(own_services.owner)
    await owner.execute(NEW_STOCK)
    async with owner.transaction():
        await owner.execute(f"delete from {STOCK}")
        waiting = spawn(other.execute(NEW_STOCK), name="insert")
        await until_blocked(watcher, other)
    await waiting
    await other.close()
    row = await watcher.fetchrow(f"select updated_at from {STOCK}")
    grave = await watcher.fetchrow("select * from partner_ops.tombstones")
    assert row is not None
    assert grave is not None
    stamps = ("updated_at", "origin", "row_version", "correlation_id")
    tidy = stock(None, **{s: str(grave[s]) for s in stamps})
    outcome = await apply(applier, "partner_ops", tidy)
    rows = await watcher.fetchval(f"select count(*) from {STOCK}")
    recorded = await watcher.fetchval("select count(*) from partner_ops.conflicts")
    if row["updated_at"] > grave["updated_at"]:
        assert (outcome, rows, recorded) == (["stale"], 1, 0)
    else:
        assert (outcome, rows, recorded) == (["same+conflict"], 0, 1)
