"""What is rung of the event log, over a real control database and a log whose clock and server the test sets."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from migration.log_watch import BEHIND_SECONDS, LogWatch
from migration.relay import create_topics
from runtime.alerts import Alerts
from runtime.control_database import migrate_control
from runtime.eventlog.errors import LogUnavailable, Unsuitable
from runtime.eventlog.memory import MemoryLog
from runtime.intent import TOPIC
from runtime.postgres import create_pool
from runtime.serviceevent import topic_of
from tests.fakes.clock import Clock

pytestmark = pytest.mark.stack

ORDERS = topic_of("lab_orders")


class Log(MemoryLog):
    """Over a server that `trouble` is said of."""

    trouble: Unsuitable | LogUnavailable | None = None

    async def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class World:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.clock = Clock(1_900_000_000.0)
        self.log = Log(clock=self.clock)
        self.alerts = Alerts(pool)
        self.watch = self.another()

    def another(self) -> LogWatch:
        return LogWatch(self.log, self.alerts, clock=self.clock)

    async def consume(self, group: str, topic: str) -> None:
        async with self.log.consumer(group, [topic]) as consumer:
            await consumer.commit(await consumer.poll())

    async def open(self) -> list[tuple[str, str, str, int]]:
        return [(a.alert_class, a.entity, a.detail, a.count) for a in await self.alerts.page()]


@pytest.fixture
async def world(empty_dsn: str) -> AsyncIterator[World]:
    await migrate_control(empty_dsn)
    pool = await create_pool(empty_dsn, name="test", size=1)
    made = World(pool)
    await made.log.create(TOPIC)
    await create_topics(made.log)
    yield made
    await pool.close()


@pytest.mark.parametrize("why", ["not_durable", "evicts"])
async def test_a_server_that_could_lose_entries_rings_once_until_it_is_set_right(
    world: World, why: str
) -> None:
    world.log.trouble = Unsuitable(why, "set it right")
    for _ in range(3):
        await world.watch.step()
    assert await world.open() == [("event_log_unsafe", "", why, 1)]
    world.log.trouble = None
    await world.watch.step()
    assert await world.open() == []


async def test_a_server_that_does_not_answer_says_nothing_of_itself(world: World) -> None:
    world.log.trouble = Unsuitable("evicts", "set it right")
    await world.watch.step()
    world.log.trouble = LogUnavailable("timeout")
    with pytest.raises(LogUnavailable):
        await world.watch.step()
    assert len(await world.open()) == 1


async def test_a_group_that_does_not_consume_rings_once_until_it_has(world: World) -> None:
    for group in ("sync-backfill", "replicate"):
        await world.consume(group, ORDERS)
    await world.log.append(ORDERS, b"k", b"v")
    await world.consume("replicate", ORDERS)
    world.clock.now += BEHIND_SECONDS
    await world.watch.step()
    assert await world.open() == []
    world.clock.now += 1
    for _ in range(3):
        await world.watch.step()
    assert await world.open() == [("event_log_growing", "lab_orders", "group_behind", 1)]
    await world.consume("sync-backfill", ORDERS)
    await world.watch.step()
    assert await world.open() == []


async def test_entries_that_no_group_wants_ring_when_they_have_stood_there(world: World) -> None:
    await world.log.append(TOPIC, b"k", b"v")
    await world.watch.step()
    world.clock.now += BEHIND_SECONDS + 1
    await world.watch.step()
    assert await world.open() == [("event_log_growing", "", "no_group", 1)]
    await world.consume("mirror", TOPIC)
    await world.watch.step()
    assert await world.open() == []


async def test_a_group_in_between_begins_the_count_anew(world: World) -> None:
    await world.log.append(ORDERS, b"k", b"v")
    await world.watch.step()
    await world.consume("sync-backfill", ORDERS)
    await world.watch.step()
    await world.log.forget("sync-backfill", ORDERS)
    world.clock.now += BEHIND_SECONDS + 1
    await world.watch.step()
    assert await world.open() == []


async def test_whoever_follows_takes_an_alert_away_as_well(world: World) -> None:
    world.log.trouble = Unsuitable("evicts", "set it right")
    await world.watch.step()
    world.log.trouble = None
    await world.another().step()
    assert await world.open() == []
