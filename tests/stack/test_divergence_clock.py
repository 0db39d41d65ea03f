"""The 15 minutes of a divergence, over a real control database whose columns the test moves."""

import math
from collections.abc import AsyncIterator

import asyncpg
import pytest

from catalog.stage import Side
from migration.divergence import Failure, State
from migration.divergence_clock import DivergenceClock
from migration.ledger import PostgresLedger
from runtime.alerts import Alerts
from runtime.control_database import migrate_control
from runtime.postgres import create_pool
from runtime.tagger import Tagger
from tests.fakes.keys import keyring

pytestmark = pytest.mark.stack

ENTITY, KEY = "lab_orders", ("00000000-0000-4000-8000-000000000001",)
LATE = Failure(state=State.RETRYING, reason="08006", seconds=1.0)
POISON = Failure(state=State.QUARANTINED, reason="23514", seconds=math.inf)


class World:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.ledger = PostgresLedger(pool)
        self.alerts = Alerts(pool)
        self.clock = DivergenceClock(self.ledger, pool, self.alerts, Tagger(keyring("e1")))

    async def book(self, failure: Failure, side: Side = Side.LEGACY) -> None:
        await self.ledger.book(ENTITY, side, {KEY: failure})

    async def age(self, seconds: float) -> None:
        await self.pool.execute(
            "update control.divergences set first_seen = clock_timestamp() - $1::float8 * interval '1 second'",
            seconds,
        )

    async def open(self) -> list[tuple[str, str, int]]:
        return [(a.alert_class, a.detail, a.count) for a in await self.alerts.page()]


@pytest.fixture
async def world(empty_dsn: str) -> AsyncIterator[World]:
    await migrate_control(empty_dsn)
    pool = await create_pool(empty_dsn, name="test", size=2)
    yield World(pool)
    await pool.close()


async def test_fourteen_fifty_nine_is_none_and_fifteen_one_is_exactly_one(world: World) -> None:
    await world.book(LATE)
    await world.age(14 * 60 + 59 - 1)  # the step below takes its time
    await world.clock.step()
    assert await world.open() == []
    await world.book(LATE)
    await world.age(15 * 60 + 1)
    for _ in range(3):
        await world.clock.step()
        assert await world.open() == [("divergence", "", 1)]
    assert await world.pool.fetchval("select state from control.divergences") == "quarantined"


async def test_poison_rings_at_once(world: World) -> None:
    await world.book(POISON)
    await world.clock.step()
    await world.clock.step()
    assert await world.open() == [("quarantine", "refused", 1)]


async def test_an_alert_is_over_when_its_incident_is_and_the_next_one_follows_it(
    world: World,
) -> None:
    await world.book(POISON)
    await world.clock.step()
    await world.ledger.redrive(None, None)
    await world.clock.step()
    assert await world.open() == [("quarantine", "refused", 1)], "it is not over yet"
    await world.ledger.solve(ENTITY, Side.LEGACY, [KEY])
    await world.clock.step()
    assert await world.open() == []
    await world.book(POISON)
    await world.clock.step()
    [first, second] = reversed(await world.alerts.page(resolved=True))
    assert second.follows == first.id
    rows = await world.pool.fetch("select id, follows from control.divergences order by id")
    assert rows[1]["follows"] == rows[0]["id"]


async def test_an_incident_that_comes_back_into_quarantine_is_rung_once(world: World) -> None:
    await world.book(POISON)
    await world.clock.step()
    await world.ledger.redrive(None, None)
    await world.book(POISON)
    await world.clock.step()
    assert await world.open() == [("quarantine", "refused", 1)]


async def test_each_side_s_incident_is_a_thing_of_its_own_and_no_alert_shows_a_key(
    world: World,
) -> None:
    for side in Side:
        await world.book(POISON, side)
    await world.clock.step()
    alerts = await world.alerts.page()
    assert len({alert.subject for alert in alerts}) == 2
    assert not any(KEY[0] in repr(alert) for alert in alerts)
