"""Who of the movers is at work, over a real control database, in steps that the test makes."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from migration.attendance import (
    ABSENT_SECONDS,
    BEAT_SECONDS,
    LAGGING_SECONDS,
    Attendance,
    PostgresRegister,
)
from runtime.alertclass import WORKER_MISMATCH
from runtime.alerts import Alert, Alerts
from runtime.control_database import migrate_control
from runtime.eventlog.memory import MemoryLog
from runtime.intent import TOPIC
from runtime.postgres import create_pool
from tests.fakes.clock import Clock

pytestmark = pytest.mark.stack

WARMING_UP = int(ABSENT_SECONDS / BEAT_SECONDS)


class World:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.clock = Clock(1_900_000_000.0)
        self.log = MemoryLog(clock=self.clock)
        self.alerts = Alerts(pool)
        self.register = PostgresRegister(pool)

    def process(self, name: str) -> Attendance:
        return Attendance(
            self.register,
            self.alerts,
            self.log,
            name=name,
            instance=f"host.{name}",
            names=("mirror", "relay"),
        )

    async def dies(self, name: str) -> None:
        """And nobody of that name follows for a while."""
        await self.pool.execute(
            "update control.workers set beat_at = beat_at - $2::float8 * interval '1 second' where name = $1",
            name,
            ABSENT_SECONDS + 1,
        )

    async def open(self) -> list[tuple[str, str, int]]:
        found: list[Alert] = list(await self.alerts.page())
        return [(alert.alert_class, alert.detail, alert.count) for alert in found]


@pytest.fixture
async def world(empty_dsn: str) -> AsyncIterator[World]:
    await migrate_control(empty_dsn)
    pool = await create_pool(empty_dsn, name="test", size=2)
    made = World(pool)
    await made.log.create(TOPIC)
    yield made
    await pool.close()


async def test_whoever_is_left_rings_once_and_says_when_it_is_over(world: World) -> None:
    mirror, relay = world.process("mirror"), world.process("relay")
    await mirror.step()
    for _ in range(WARMING_UP):
        await relay.step()
        assert await world.open() == []
    await world.dies("mirror")
    for _ in range(3):
        await relay.step()
        assert await world.open() == [("mirror_stopped", "no_worker", 1)]
    await mirror.step()
    await relay.step()
    assert await world.open() == []


async def test_a_process_that_has_just_begun_rings_nothing(world: World) -> None:
    relay = world.process("relay")
    for _ in range(WARMING_UP):
        await relay.step()
        assert await world.open() == []
    await relay.step()
    assert await world.open() == [("mirror_stopped", "no_worker", 1)]


async def test_entries_that_wait_too_long_ring(world: World) -> None:
    mirror, relay = world.process("mirror"), world.process("relay")
    async with world.log.consumer("mirror", [TOPIC]) as consumer:
        await world.log.append(TOPIC, b"k", b"v")
        world.clock.now += LAGGING_SECONDS - 1
        for _ in range(WARMING_UP + 1):
            await mirror.step()
            await relay.step()
        assert await world.open() == []
        world.clock.now += 2
        await relay.step()
        assert await world.open() == [("mirror_stopped", "lagging", 1)]
        await consumer.commit(await consumer.poll())
        await relay.step()
        assert await world.open() == []


async def test_one_of_this_machine_is_found_by_its_name(world: World) -> None:
    await world.process("mirror").step()
    assert await world.register.alive("mirror", "host.", ABSENT_SECONDS)
    assert not await world.register.alive("relay", "host.", ABSENT_SECONDS)
    assert not await world.register.alive("mirror", "hos_.", ABSENT_SECONDS)
    await world.dies("mirror")
    assert not await world.register.alive("mirror", "host.", ABSENT_SECONDS)


async def test_what_a_process_died_of_is_over_when_the_next_one_has_lived_for_a_while(
    world: World,
) -> None:
    for name in ("sync_backfill", "relay"):
        await world.alerts.ring(WORKER_MISMATCH, entity=name)
    process = world.process("sync-backfill")
    for name in ("mirror", "relay"):
        await world.register.beat(name, "host")
    for _ in range(WARMING_UP):
        await process.step()
    assert len(await world.open()) == 2
    await process.step()
    assert [alert.entity for alert in await world.alerts.page()] == ["relay"]
