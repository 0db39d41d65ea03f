"""A converge between a seeded legacy database and the services that were copied from it, both ways."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest

from catalog import assets
from catalog.asset import Asset
from catalog.service import Service
from catalog.stage import Side
from migration.converge import Converge, Outcome, Result
from migration.postgres_store import legacy_store, service_store
from migration.store import Refused
from migration.subjects import SERVICES, ServiceSubjects
from routes.key import Key
from sandbox.legacy.load import Legacy
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

ENTITIES = tuple(assets())
DONE = Result(outcome=Outcome.DONE)
PARTNER = "000000ba-0000-4000-8000-0000000000ff"
NEW_STOCK = (
    "insert into {} (partner_id, site_code, sku, on_hand, reserved, created_at)"
    f" values ('{PARTNER}', 'A', 'S', 1, 0, now())"
)
STOCK_KEY = (PARTNER, "A", "S")
STOCK = {Side.LEGACY: "public.partner_stock_levels", Side.SERVICE: "partner_ops.stock_level"}
BOOKS = {Side.LEGACY: "banyan", Side.SERVICE: "partner_ops"}


@dataclass(frozen=True, kw_only=True)
class World:
    """Both sides, each with a session whose writes count as a user's."""

    users: Mapping[Side, asyncpg.Connection]
    converge: Converge
    pools: Mapping[Side, asyncpg.Pool]

    async def run(self, entity: str, key: Key, side: Side) -> Result:
        return (await self.converge.run(entity, [key], side))[key]


@pytest.fixture
async def world(legacy: Legacy, own_services: ServicesDatabase) -> AsyncIterator[World]:
    users = {
        Side.LEGACY: await asyncpg.connect(legacy.owner),
        Side.SERVICE: await asyncpg.connect(own_services.owner),
    }
    async with (
        asyncpg.create_pool(legacy.worker, min_size=1, max_size=2) as old,
        asyncpg.create_pool(own_services.apply, min_size=1, max_size=2) as new,
    ):
        pools = dict.fromkeys(Service, new)
        stores = {Side.LEGACY: legacy_store(old), Side.SERVICE: service_store(pools)}
        converge = Converge(stores, ServiceSubjects(pools))
        yield World(users=users, converge=converge, pools={Side.LEGACY: old, Side.SERVICE: new})
    for user in users.values():
        await user.close()


def table(asset: Asset, side: Side) -> str:
    return asset.source if side is Side.LEGACY else f"{asset.service}.{asset.target}"


async def everything(connection: asyncpg.Connection, name: str) -> list[str]:
    """A table's rows as PostgreSQL prints them."""
    return [row[0] for row in await connection.fetch(f"select t::text from {name} t order by 1")]


async def tables(world: World, side: Side) -> dict[str, list[str]]:
    return {
        entity: await everything(world.users[side], table(asset, side))
        for entity, asset in assets().items()
    }


# --- whole tables, both ways


@pytest.mark.parametrize("side", Side)
async def test_every_seeded_row_goes_over_byte_by_byte(world: World, side: Side) -> None:
    """What a copy has put into the services goes back into an empty legacy as it was; and the other way round."""
    target = world.users[side.other]
    before = await tables(world, side.other)
    spoke = await tables(world, side)
    subjects = [f"{service}.subject_access" for service in SERVICES]
    known = [await everything(world.users[Side.SERVICE], name) for name in subjects]
    await target.execute(
        f"truncate {', '.join(table(asset, side.other) for asset in assets().values())} cascade"
    )
    await world.users[Side.SERVICE].execute(f"truncate {', '.join(subjects)}")

    for entity, asset in assets().items():
        columns = [c.source if side is Side.LEGACY else c.target for c in asset.key_columns]
        texts = ", ".join(f"{column}::text" for column in columns)
        rows = await world.users[side].fetch(f"select {texts} from {table(asset, side)}")
        results = await world.converge.run(entity, [tuple(row) for row in rows], side)
        assert {replace(result, version=None) for result in results.values()} == {DONE}, entity
        assert len(results) == len(before[entity]) > 20

    assert await tables(world, side.other) == before
    assert await tables(world, side) == spoke
    assert [await everything(world.users[Side.SERVICE], name) for name in subjects] == known


# --- one key


@pytest.mark.parametrize("side", Side)
async def test_a_user_s_writes_arrive_in_any_order_and_twice(world: World, side: Side) -> None:
    user, other = world.users[side], world.users[side.other]
    entity = "partner_stock_levels"

    async def arrived() -> Any:
        return await other.fetchval(
            f"select on_hand from {STOCK[side.other]} where partner_id = '{PARTNER}'"
        )

    assert await world.run(entity, STOCK_KEY, side) == DONE
    assert await arrived() is None
    at = f"where partner_id = '{PARTNER}'"
    await user.execute(NEW_STOCK.format(STOCK[side]))
    for _ in range(2):
        assert (await world.run(entity, STOCK_KEY, side)).outcome is Outcome.DONE
    assert await arrived() == 1
    await user.execute(f"update {STOCK[side]} set on_hand = 2 {at}")
    found = await world.run(entity, STOCK_KEY, side)
    assert found.version is not None
    assert (found.outcome, found.conflict, found.version.row_version) == (Outcome.DONE, False, 2)
    assert await arrived() == 2
    await user.execute(f"delete from {STOCK[side]} {at}")
    await world.run(entity, STOCK_KEY, side)
    assert await arrived() is None
    # The echo finds its own version.
    back = await world.run(entity, STOCK_KEY, side.other)
    assert (back.outcome, back.conflict) == (Outcome.DONE, False)
    graves = [
        await world.users[one].fetchrow(
            f"select updated_at, origin, row_version, correlation_id from {BOOKS[one]}.tombstones"
        )
        for one in Side
    ]
    assert graves[0] == graves[1] is not None


async def test_writes_on_both_sides_meet_and_the_loser_is_recorded_once(world: World) -> None:
    entity = "compliance_tasks"
    asset = assets()[entity]
    key = (str(await world.users[Side.LEGACY].fetchval(f"select id from {asset.source} limit 1")),)
    for side in Side:
        await world.users[side].execute(
            f"update {table(asset, side)} set title = $2 where id = $1::text::uuid", *key, side
        )
    results = [await world.run(entity, key, side) for side in (*Side, *Side)]
    assert [result.outcome for result in results] == [Outcome.DONE] * 4
    assert [result.conflict for result in results].count(True) == 1
    titles = {
        await world.users[side].fetchval(
            f"select title from {table(asset, side)} where id = $1::text::uuid", *key
        )
        for side in Side
    }
    assert titles == {"service"}


async def test_a_submission_s_people_are_told_to_the_services_from_either_side(
    world: World,
) -> None:
    key = (
        str(await world.users[Side.LEGACY].fetchval("select id from public.submissions limit 1")),
    )
    known = (
        "select user_id, clinician_id from {}.subject_access where submission_id = $1::text::uuid"
    )

    async def everywhere() -> set[tuple[Any, ...]]:
        rows = [
            await world.users[Side.SERVICE].fetchrow(known.format(service), *key)
            for service in SERVICES
        ]
        return {tuple(map(str, row)) for row in rows if row}

    people = await world.users[Side.LEGACY].fetch(
        "select id::text from auth.users order by 1 limit 3"
    )
    first, second, third = (person["id"] for person in people)
    await world.users[Side.LEGACY].execute(
        "update public.submissions set user_id = $2::text::uuid, assigned_clinician_id = $3::text::uuid where id = $1::text::uuid",
        *(*key, first, second),
    )
    assert (await world.run("submissions", key, Side.LEGACY)).outcome is Outcome.DONE
    assert await everywhere() == {(first, second)}
    await world.users[Side.SERVICE].execute(
        "update intake.submission set patient_user_id = $2::text::uuid where id = $1::text::uuid",
        *key,
        third,
    )
    assert (await world.run("submissions", key, Side.SERVICE)).outcome is Outcome.DONE
    assert await everywhere() == {(third, second)}
    await world.users[Side.SERVICE].execute(
        "delete from intake.submission where id = $1::text::uuid", *key
    )
    await world.run("submissions", key, Side.SERVICE)
    assert await everywhere() == {("None", "None")}


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("row_is_newer", [True, False])
async def test_of_row_and_tombstone_the_lesser_is_put_away_where_it_stands(
    world: World, side: Side, *, row_is_newer: bool
) -> None:
    user = world.users[side]
    await user.execute(NEW_STOCK.format(STOCK[side]))
    await user.execute(
        f"insert into {BOOKS[side]}.tombstones (entity, key, updated_at, origin, row_version, correlation_id)"
        f" select 'partner_stock_levels', jsonb_build_object('partner_id', partner_id, 'site_code', site_code, 'sku', sku),"
        f" updated_at + $1::text::interval, '{side}', 1, 'x' from {STOCK[side]} where partner_id = '{PARTNER}'",
        "-1 second" if row_is_newer else "1 second",
    )
    result = await world.run("partner_stock_levels", STOCK_KEY, side)
    # A row that a user wrote and nobody saw is kept in the record.
    assert (result.outcome, result.conflict) == (Outcome.DONE, not row_is_newer)
    for at in Side:
        rows = await world.users[at].fetch(
            f"select from {STOCK[at]} where partner_id = '{PARTNER}'"
        )
        graves = await world.users[at].fetch(f"select from {BOOKS[at]}.tombstones")
        assert (len(rows), len(graves)) == ((1, 0) if row_is_newer else (0, 1))


# --- what does not go over


async def test_a_word_without_counterpart_spoils_its_own_key_alone(world: World) -> None:
    legacy = world.users[Side.LEGACY]
    await legacy.execute("alter table public.lab_orders drop constraint lab_orders_status_check")
    rows = await legacy.fetch("select id::text from public.lab_orders order by 1 limit 3")
    keys = [(row["id"],) for row in rows]
    await legacy.execute(
        "update public.lab_orders set status = 'lost' where id = $1::text::uuid", *keys[1]
    )
    await legacy.execute(
        "update public.lab_orders set vendor_payload = 'null' where id = $1::text::uuid", *keys[2]
    )
    results = await world.converge.run("lab_orders", [*keys, ("no uuid",)], Side.LEGACY)
    assert results[keys[0]].outcome is Outcome.DONE
    assert [(results[k].outcome, results[k].detail) for k in (*keys[1:], ("no uuid",))] == [
        (Outcome.POISON, "status: a word outside the vocabulary"),
        (
            Outcome.POISON,
            "vendor_payload: the JSON value null, which an apply cannot tell from no value",
        ),
        (Outcome.POISON, "22P02"),
    ]


async def test_what_the_other_side_s_rules_refuse_is_poison_by_its_sqlstate(world: World) -> None:
    legacy = world.users[Side.LEGACY]
    await legacy.execute(
        "alter table public.partner_checkins drop constraint partner_checkins_quantity_check"
    )
    key = (
        await legacy.fetchval(
            "update public.partner_checkins set quantity = -1 where id = (select id from public.partner_checkins limit 1) returning id::text"
        ),
    )
    result = await world.run("partner_checkins", key, Side.LEGACY)
    assert (result.outcome, result.detail) == (Outcome.POISON, "23514")


async def test_a_child_waits_for_its_parent(world: World) -> None:
    legacy = world.users[Side.LEGACY]
    order = await legacy.fetchval(
        "insert into public.lab_orders (submission_id, test_code) select id, 'X' from public.submissions limit 1 returning id::text"
    )
    event = await legacy.fetchval(
        "select id::text from public.lab_order_events where lab_order_id = $1::text::uuid", order
    )
    waiting = await world.run("lab_order_events", (event,), Side.LEGACY)
    assert (waiting.outcome, waiting.detail) == (Outcome.WAITING, "23503")
    assert (await world.run("lab_orders", (order,), Side.LEGACY)).outcome is Outcome.DONE
    assert (await world.run("lab_order_events", (event,), Side.LEGACY)).outcome is Outcome.DONE


async def test_a_stamp_ahead_of_the_clock_is_parked_and_tells_nobody(world: World) -> None:
    legacy = world.users[Side.LEGACY]
    await legacy.execute("alter table public.submissions disable trigger user")
    key = (
        await legacy.fetchval(
            "update public.submissions set updated_at = now() + interval '1 hour', user_id = null"
            " where id = (select id from public.submissions where user_id is not null limit 1) returning id::text"
        ),
    )
    assert (await world.run("submissions", key, Side.LEGACY)).outcome is Outcome.PARKED
    known = "select user_id from scheduling.subject_access where submission_id = $1::text::uuid"
    assert await world.users[Side.SERVICE].fetchval(known, *key) is not None


async def test_an_epoch_that_rose_is_taken_up(world: World) -> None:
    entity = "partner_stock_levels"
    new = NEW_STOCK.format(STOCK[Side.LEGACY])
    assert (await world.run(entity, STOCK_KEY, Side.LEGACY)).outcome is Outcome.DONE
    await world.users[Side.LEGACY].execute(new)
    for mode, epoch in (("closed", 1), ("read_write", 2)):
        await world.users[Side.SERVICE].execute(
            f"select partner_ops.set_write_mode('{entity}', '{mode}', {epoch}, 'test', 'test')"
        )
        assert (await world.run(entity, STOCK_KEY, Side.LEGACY)).outcome is Outcome.DONE
    rows = await world.users[Side.SERVICE].fetch(
        f"select from {STOCK[Side.SERVICE]} where partner_id = '{PARTNER}'"
    )
    assert len(rows) == 1


async def test_a_lost_connection_is_for_later(world: World) -> None:
    key = STOCK_KEY
    await world.pools[Side.SERVICE].close()
    await world.users[Side.LEGACY].execute(NEW_STOCK.format(STOCK[Side.LEGACY]))
    result = await world.run("partner_stock_levels", key, Side.LEGACY)
    assert (result.outcome, result.detail) == (Outcome.RETRY, "InterfaceError")


async def test_a_lock_that_is_held_too_long_is_for_later(world: World) -> None:
    await world.users[Side.LEGACY].execute(NEW_STOCK.format(STOCK[Side.LEGACY]))
    service = world.users[Side.SERVICE]
    await service.execute(
        "do $$ begin execute format('alter role banyan_apply in database %I set lock_timeout = 50', current_database()); end $$"
    )
    await world.pools[Side.SERVICE].expire_connections()
    async with service.transaction():
        await service.execute("lock table partner_ops.stock_level in exclusive mode")
        result = await world.run("partner_stock_levels", STOCK_KEY, Side.LEGACY)
    assert (result.outcome, result.detail) == (Outcome.RETRY, "55P03")


async def test_a_database_that_refuses_every_call_is_not_the_keys_fault(world: World) -> None:
    await world.users[Side.SERVICE].execute("drop function partner_ops.apply_batch")
    await world.users[Side.LEGACY].execute(NEW_STOCK.format(STOCK[Side.LEGACY]))
    with pytest.raises(Refused) as refused:
        await world.run("partner_stock_levels", STOCK_KEY, Side.LEGACY)
    assert str(refused.value) == "42883"


# --- unique values that change hands


async def references(world: World, side: Side) -> dict[str, str]:
    name = table(assets()["partner_payouts"], side)
    rows = await world.users[side].fetch(
        f"select id::text, remittance_reference from {name} where remittance_reference is not null"
    )
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize("side", Side)
async def test_a_value_that_moved_on_down_a_chain_arrives_from_its_last_holder_on(
    world: World, side: Side
) -> None:
    """A took what B had, B what C had. Only A's change has been heard of."""
    name = table(assets()["partner_payouts"], side)
    change = f"update {name} set remittance_reference = $2 where id = $1::text::uuid"
    (a, _), (b, of_b), (c, of_c) = list((await references(world, side)).items())[:3]
    user = world.users[side]
    for key, value in ((c, None), (a, None), (b, of_c), (a, of_b)):
        await user.execute(change, key, value)
    assert (await world.run("partner_payouts", (a,), side)).outcome is Outcome.DONE
    expected = await references(world, side)
    assert await references(world, side.other) == expected
    assert (expected[a], expected[b]) == (of_b, of_c)


@pytest.mark.parametrize("side", Side)
async def test_a_value_of_a_deleted_row_arrives_whichever_is_heard_of_first(
    world: World, side: Side
) -> None:
    name = table(assets()["partner_payouts"], side)
    (a, of_a), (b, _) = list((await references(world, side)).items())[:2]
    await world.users[side].execute(f"delete from {name} where id = $1::text::uuid", a)
    await world.users[side].execute(
        f"update {name} set remittance_reference = $2 where id = $1::text::uuid", b, of_a
    )
    assert (await world.run("partner_payouts", (b,), side)).outcome is Outcome.DONE
    assert await references(world, side.other) == await references(world, side)


@pytest.mark.parametrize("side", Side)
async def test_two_rows_that_swapped_a_value_go_together(world: World, side: Side) -> None:
    name = table(assets()["partner_payouts"], side)
    change = f"update {name} set remittance_reference = $2 where id = $1::text::uuid"
    (a, of_a), (b, of_b) = list((await references(world, side)).items())[:2]
    for key, value in ((a, None), (b, of_a), (a, of_b)):
        await world.users[side].execute(change, key, value)
    result = await world.run("partner_payouts", (a,), side)
    there = await references(world, side.other)
    if side is Side.LEGACY:
        assert result.outcome is Outcome.DONE
        assert (there[a], there[b]) == (of_b, of_a)
    else:
        # Legacy's unique constraints are checked row by row: a ring needs a hand.
        assert (result.outcome, result.detail) == (Outcome.POISON, "23505")
        assert (there[a], there[b]) == (of_a, of_b)
