"""Numbers of legacy's sequences for the services, over both databases."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
from typing_extensions import override

from catalog import assets
from catalog.asset import Asset
from catalog.column import Column
from catalog.service import Service
from migration.leases import ALARM, BLOCK, LOW, Leases, PostgresNumbers
from migration.store import Unavailable
from runtime.alerts import Alerts
from runtime.control_database import migrate_control
from runtime.postgres import create_pool
from sandbox.legacy.load import Legacy
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

MINTED = [
    (asset, column)
    for asset in assets().values()
    for name in asset.minted
    if isinstance(column := asset.by_target[name], Column)
]
LABELS = assets()["partner_label_queue"]


class Crashing(PostgresNumbers):
    """Dies between the two sides, while `crash`."""

    crash = False

    @override
    async def add(self, asset: Asset, column: Column, first: int, last: int) -> None:
        if self.crash:
            raise Unavailable("08006")
        await super().add(asset, column, first, last)


@dataclass(frozen=True, kw_only=True)
class World:
    numbers: Crashing
    leases: Leases
    user: asyncpg.Connection
    old: asyncpg.Connection
    alerts: Alerts

    async def open(self) -> list[tuple[str, str, str, int]]:
        return [(a.alert_class, a.entity, a.detail, a.count) for a in await self.alerts.page()]

    async def left(self) -> list[int]:
        return [await self.numbers.left(asset, column) for asset, column in MINTED]

    async def take(self, count: int) -> list[int]:
        """As the service does when it numbers labels."""
        statement = "select * from partner_ops.take_ids('partner_label_queue', 'id', $1)"
        row = await self.user.fetchrow(statement, count)
        assert row is not None
        return list(range(row["first_id"], row["last_id"] + 1))

    async def legacy_mints(self) -> int:
        statement = "select nextval(pg_get_serial_sequence('public.partner_label_queue', 'id'))"
        return int(await self.old.fetchval(statement))


@pytest.fixture
async def world(
    legacy: Legacy, own_services: ServicesDatabase, empty_dsn: str
) -> AsyncIterator[World]:
    await migrate_control(empty_dsn)
    books = await create_pool(empty_dsn, name="test", size=1)
    user, old = [await asyncpg.connect(dsn) for dsn in (own_services.owner, legacy.owner)]
    async with (
        asyncpg.create_pool(legacy.control, min_size=1, max_size=1) as control,
        asyncpg.create_pool(own_services.apply, min_size=1, max_size=2) as apply,
    ):
        numbers = Crashing(control, dict.fromkeys(Service, apply))
        alerts = Alerts(books)
        leases = Leases(numbers, alerts)
        yield World(numbers=numbers, leases=leases, user=user, old=old, alerts=alerts)
    await books.close()
    for connection in (user, old):
        await connection.close()


async def test_whoever_has_few_gets_a_block(world: World) -> None:
    assert len(MINTED) == 4
    assert await world.left() == [0] * 4
    assert await world.leases.step() == 4
    assert await world.left() == [BLOCK] * 4
    assert await world.leases.step() == 0
    await world.take(BLOCK - LOW)
    assert await world.leases.step() == 0
    await world.take(1)
    assert await world.leases.step() == 1


async def test_no_number_is_given_twice_on_either_side(world: World) -> None:
    used: list[int] = []
    for _ in range(8):
        used.append(await world.legacy_mints())
        await world.leases.step()
        used += await world.take(400)
        used.append(await world.legacy_mints())
    assert len(set(used)) == len(used)
    highest = await world.old.fetchval("select max(id) from public.partner_label_queue")
    assert min(used) > highest


async def test_a_crash_between_the_sides_is_a_gap(world: World) -> None:
    world.numbers.crash = True
    assert await world.leases.step() == 0
    world.numbers.crash = False
    assert await world.leases.step() == 4
    assert await world.left() == [BLOCK] * 4


async def test_a_column_that_is_refused_holds_up_no_other(world: World) -> None:
    await world.old.execute("drop table public.partner_label_queue cascade")
    assert await world.leases.step() == 3


async def test_somebody_hears_of_numbers_that_will_run_out_once_and_until_there_are_more(
    world: World,
) -> None:
    await world.leases.step()
    # Rows that were written with numbers of their own: one in each of the next blocks.
    last = await world.legacy_mints()
    await world.old.execute(
        "alter table public.partner_label_queue disable trigger user;"
        f" update public.partner_label_queue t set id = {last} + n.n * 500"
        " from (select id, row_number() over (order by id desc) as n from public.partner_label_queue) n"
        " where t.id = n.id"
    )
    await world.take(BLOCK - ALARM)
    assert await world.leases.step() == 0
    assert await world.open() == [], f"{ALARM} are left"
    await world.take(1)
    for _ in range(2):
        assert await world.leases.step() == 0
    assert await world.open() == [
        ("numbers_low", "partner_label_queue", "sequence_behind", 1),
    ]
    await world.old.execute("select banyan.sync_sequences('partner_label_queue')")
    assert await world.leases.step() == 1
    assert await world.open() == []


async def test_somebody_hears_of_a_legacy_that_gives_no_numbers(world: World) -> None:
    await world.old.execute("drop table public.partner_label_queue cascade")
    await world.leases.step()
    assert await world.open() == [("numbers_low", "partner_label_queue", "not_leased", 1)]
