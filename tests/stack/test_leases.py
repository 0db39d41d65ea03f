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
from migration.leases import BLOCK, LOW, Leases, PostgresNumbers
from migration.store import Unavailable
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
async def world(legacy: Legacy, own_services: ServicesDatabase) -> AsyncIterator[World]:
    user, old = [await asyncpg.connect(dsn) for dsn in (own_services.owner, legacy.owner)]
    async with (
        asyncpg.create_pool(legacy.control, min_size=1, max_size=1) as control,
        asyncpg.create_pool(own_services.apply, min_size=1, max_size=2) as apply,
    ):
        numbers = Crashing(control, dict.fromkeys(Service, apply))
        yield World(numbers=numbers, leases=Leases(numbers), user=user, old=old)
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
