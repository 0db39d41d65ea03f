"""`banyan mirror restamp`: a row stamped ten minutes ahead, from parked to equal on both sides, over real databases."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from catalog import assets
from catalog.service import Service
from catalog.stage import Side
from cli.main import app
from migration.converge import Converge
from migration.delivery import Delivery
from migration.divergence_clock import DivergenceClock
from migration.ledger import PostgresLedger
from migration.postgres_store import legacy_store, service_store
from migration.restamp import RestampRefused, look, restamp
from migration.retries import Retries
from migration.subjects import ServiceSubjects
from routes.key import write_key
from runtime.alerts import Alerts
from runtime.control_database import migrate_control
from runtime.postgres import create_pool
from runtime.stack import Stack
from runtime.tagger import Tagger
from sandbox.legacy.load import Legacy
from tests.fakes.keys import key_setting, keyring
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

ENTITY = "partner_stock_levels"
ASSET = assets()[ENTITY]
KEY = ("000000ba-0000-4000-8000-0000000000ff", "A b", "S")
TABLE = {Side.LEGACY: "public.partner_stock_levels", Side.SERVICE: "partner_ops.stock_level"}
BOOKS = {Side.LEGACY: "banyan", Side.SERVICE: "partner_ops"}
AT = f"where partner_id = '{KEY[0]}'"
MINUTES = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class World:
    run: Path
    users: Mapping[Side, asyncpg.Connection]
    pools: Mapping[Side, asyncpg.Pool]
    curers: Mapping[Side, asyncpg.Pool]
    control: asyncpg.Pool
    delivery: Delivery

    async def write(self, side: Side, on_hand: int) -> None:
        """As a user."""
        user = self.users[side]
        if not await self.row(side):
            await user.execute(
                f"insert into {TABLE[side]} (partner_id, site_code, sku, on_hand, reserved, created_at)"
                f" values ($1::text::uuid, $2, $3, {on_hand}, 0, now())",
                *KEY,
            )
        else:
            await user.execute(f"update {TABLE[side]} set on_hand = {on_hand} {AT}")

    async def stamp_ahead(self, side: Side) -> datetime:
        """As a clock that is ten minutes fast would have stamped it."""
        set_ = f"update {TABLE[side]} set updated_at = updated_at + interval '10 minutes' {AT} returning updated_at"
        if side is Side.SERVICE:
            return await self.pools[side].fetchval(set_)  # type: ignore[no-any-return]
        user = self.users[side]
        await user.execute(f"alter table {TABLE[side]} disable trigger user")
        stamp = await user.fetchval(set_)
        await user.execute(f"alter table {TABLE[side]} enable trigger user")
        return stamp  # type: ignore[no-any-return]

    async def delete(self, side: Side) -> None:
        """As a user; the tombstone is above the row, whose stamp is ahead."""
        await self.users[side].execute(f"delete from {TABLE[side]} {AT}")

    async def row(self, side: Side) -> dict[str, Any]:
        names = "on_hand, updated_at, origin, row_version, correlation_id, seen_at"
        found = await self.users[side].fetchrow(f"select {names} from {TABLE[side]} {AT}")
        return dict(found) if found else {}

    async def tombstone(self, side: Side) -> dict[str, Any]:
        names = "updated_at, origin, row_version, correlation_id, seen_at"
        found = await self.users[side].fetchrow(
            f"select {names} from {BOOKS[side]}.tombstones where entity = $1 and key::text like $2",
            ENTITY,
            f"%{KEY[0]}%",
        )
        return dict(found) if found else {}

    async def bring(self, side: Side) -> None:
        await self.delivery.run(ENTITY, [KEY], side)

    async def quarantine(self) -> None:
        """Fifteen minutes later."""
        await self.control.execute(
            "update control.divergences set first_seen = clock_timestamp() - interval '15 minutes 1 second'"
        )
        ledger, tagger = PostgresLedger(self.control), Tagger(keyring("e1"))
        await DivergenceClock(ledger, self.control, Alerts(self.control), tagger).step()

    async def retry(self) -> None:
        await Retries(PostgresLedger(self.control), self.delivery).step()

    async def states(self) -> list[str]:
        rows = await self.control.fetch("select state from control.divergences order by id")
        return [row["state"] for row in rows]

    async def audit(self) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.control.fetch("select action, subject from control.audit order by n")
        return [(row["action"], json.loads(row["subject"])) for row in rows]

    async def command(self, side: Side, *words: str) -> Result:
        arguments = ("mirror", "restamp", ENTITY, write_key(KEY), "--side", side, *words)
        run = ("--run", str(self.run))
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *run])

    async def restamp(self, side: Side) -> dict[str, Any]:
        answer = await self.command(side, "--reason", "clock was fast", "--json")
        assert answer.exit_code == 0, answer.output
        found: dict[str, Any] = json.loads(answer.stdout)
        return found


@pytest.fixture
async def world(
    legacy: Legacy, own_services: ServicesDatabase, empty_dsn: str, tmp_path: Path
) -> AsyncIterator[World]:
    await migrate_control(empty_dsn)
    services_control = own_services.cluster.dsn(own_services.database, "banyan_control")
    environment = {
        "PROFILE": "sandbox",
        "CONTROL_DATABASE_URL": empty_dsn,
        "AUDIT_KEYS": key_setting("a1"),
        "LEGACY_DATABASE_URL": legacy.worker,
        "LEGACY_CONTROL_DATABASE_URL": legacy.control,
        "SERVICES_APPLY_DATABASE_URL": own_services.apply,
        "SERVICES_CONTROL_DATABASE_URL": services_control,
    }
    Stack(pid=0, started_at="", environment=environment).write(tmp_path / "stack.json")
    users = {
        Side.LEGACY: await asyncpg.connect(legacy.owner),
        Side.SERVICE: await asyncpg.connect(own_services.owner),
    }
    control = await create_pool(empty_dsn, name="test", size=2)
    async with (
        asyncpg.create_pool(legacy.worker, min_size=1, max_size=2) as old,
        asyncpg.create_pool(own_services.apply, min_size=1, max_size=2) as new,
        asyncpg.create_pool(legacy.control, min_size=1, max_size=1) as old_control,
        asyncpg.create_pool(services_control, min_size=1, max_size=1) as new_control,
    ):
        pools = dict.fromkeys(Service, new)
        stores = {Side.LEGACY: legacy_store(old), Side.SERVICE: service_store(pools)}
        converge = Converge(stores, ServiceSubjects(pools))
        yield World(
            run=tmp_path,
            users=users,
            pools={Side.LEGACY: old, Side.SERVICE: new},
            curers={Side.LEGACY: old_control, Side.SERVICE: new_control},
            control=control,
            delivery=Delivery(converge, stores, PostgresLedger(control)),
        )
    await control.close()
    for user in users.values():
        await user.close()


@pytest.mark.parametrize("side", Side)
async def test_a_row_stamped_ahead_is_parked_quarantined_restamped_and_arrives(
    world: World, side: Side
) -> None:
    await world.write(side, 1)
    await world.bring(side)
    await world.write(side, 2)
    ahead = await world.stamp_ahead(side)
    await world.bring(side)
    assert await world.states() == ["parked"]
    await world.quarantine()
    await world.retry()
    assert await world.states() == ["quarantined"]
    assert (await world.row(side.other))["on_hand"] == 1

    dry = await world.command(side, "--dry-run", "--json")
    assert json.loads(dry.stdout)["restamped"] == 0
    assert (await world.row(side))["updated_at"] == ahead
    before = await world.row(side)
    answer = await world.restamp(side)
    assert (answer["restamped"], answer["redriven"]) == (1, 1)
    assert 500 < answer["ahead_seconds"] <= 600
    after = await world.row(side)
    assert after["updated_at"] < datetime.now(UTC) + timedelta(seconds=1)
    assert (after["on_hand"], after["origin"]) == (2, side)
    assert after["row_version"] == before["row_version"] + 1
    assert after["correlation_id"] != before["correlation_id"]

    await world.retry()
    assert await world.states() == ["solved"]
    assert await world.row(side.other) == after
    [(first, seen), (second, done)] = await world.audit()
    assert (first, second) == ("mirror.restamp", "mirror.restamped")
    assert seen["row_version"] == before["row_version"]
    assert (done["correlation_id"], done["redriven"]) == (after["correlation_id"], 1)
    assert KEY[0] not in json.dumps([seen, done])


@pytest.mark.parametrize("side", Side)
async def test_a_delete_stamped_ahead_is_cured_as_well(world: World, side: Side) -> None:
    await world.write(side, 1)
    await world.bring(side)
    await world.stamp_ahead(side)
    await world.delete(side)
    await world.bring(side)
    assert await world.states() == ["parked"]
    assert await world.restamp(side)
    # It was not in quarantine yet: it is tried when its time comes.
    await world.control.execute("update control.divergences set next_at = clock_timestamp()")
    await world.retry()
    assert await world.states() == ["solved"]
    assert await world.row(side.other) == {}
    assert await world.tombstone(side.other) == await world.tombstone(side) != {}


@pytest.mark.parametrize("side", Side)
async def test_the_new_stamp_lies_above_what_the_other_side_holds(world: World, side: Side) -> None:
    await world.write(side, 1)
    await world.bring(side)
    await world.stamp_ahead(side)
    await world.bring(side)
    # Ahead by less than a minute, so that it goes over: no fault of this side's.
    await world.write(side.other, 3)
    user = world.users[side.other]
    await user.execute(f"alter table {TABLE[side.other]} disable trigger user")
    floor = await user.fetchval(
        f"update {TABLE[side.other]} set updated_at = clock_timestamp() + interval '30 seconds' {AT} returning updated_at"
    )
    await world.restamp(side)
    assert (await world.row(side))["updated_at"] == floor + timedelta(microseconds=1)


@pytest.mark.parametrize("side", Side)
async def test_a_row_that_changed_meanwhile_is_refused(world: World, side: Side) -> None:
    await world.write(side, 1)
    await world.stamp_ahead(side)
    seen = (await look(world.pools[side], ASSET, KEY, side)).newest
    assert seen is not None
    await world.write(side, 2)
    before = await world.row(side)
    with pytest.raises(RestampRefused, match="changed"):
        await restamp(world.curers[side], ASSET, KEY, side, expected=seen, floor=None)
    assert await world.row(side) == before


@pytest.mark.parametrize("side", Side)
async def test_what_is_not_parked_is_refused_and_leaves_no_record(world: World, side: Side) -> None:
    await world.write(side, 1)
    await world.stamp_ahead(side)
    unheard = await world.command(side, "--reason", "x")
    assert (unheard.exit_code, "Nothing of that waits" in unheard.output) == (3, True)
    await world.bring(side)
    assert (await world.command(side)).exit_code == 3, "without a reason"
    wrong = await world.command(side.other, "--reason", "x")
    assert (wrong.exit_code, "Nothing of that waits" in wrong.output) == (3, True)
    await world.restamp(side)
    again = await world.command(side, "--reason", "x")
    assert (again.exit_code, "not ahead" in again.output) == (3, True)
    assert len(await world.audit()) == 2
