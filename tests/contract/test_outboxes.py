"""What every outbox promises (migration/outbox.py): one suite over a service's database and the one in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from catalog.service import Service
from migration.outbox import KEPT_DAYS, KEPT_SECONDS, Outbox, PostgresOutbox
from routes.key import write_key
from runtime.serviceevent import ServiceEvent
from tests.fakes.clock import Clock
from tests.fakes.memory_outbox import MemoryOutbox

pytestmark = pytest.mark.contract

STOCK = "partner_stock_levels"
PARTNER = "000000ba-0000-4000-8000-0000000000ff"
DAY = 86_400.0


class Lost(Exception):
    """The log did not take it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    outbox: Outbox
    write: Callable[[str, int], Awaitable[None]]
    """A user's write of a stock level, by its SKU: 1 creates it."""
    pass_time: Callable[[float], Awaitable[None]]
    heard: list[ServiceEvent] = field(default_factory=list)

    async def publish(self, events: Sequence[ServiceEvent]) -> None:
        self.heard.extend(events)

    async def rest(self) -> int:
        """How many are not published."""
        return await self.outbox.hand_over(1000, self.publish)


@pytest.fixture(
    params=[
        pytest.param("", id="memory"),
        pytest.param("own_services", id="postgresql", marks=pytest.mark.stack),
    ]
)
def database(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param) if request.param else None


@pytest.fixture
async def place(database: Any) -> AsyncIterator[Place]:
    if database is None:
        clock = Clock(1_900_000_000.0)
        memory = MemoryOutbox(Service.PARTNER_OPS, clock)

        async def add(sku: str, value: int) -> None:
            clock.now += 0.001
            memory.add(event(sku, value, datetime.fromtimestamp(clock.now, UTC).isoformat()))

        async def move(seconds: float) -> None:
            clock.now += seconds

        yield Place(outbox=memory, write=add, pass_time=move)
        return
    user = await asyncpg.connect(database.owner)

    async def write(sku: str, value: int) -> None:
        await user.execute(
            "insert into partner_ops.stock_level (partner_id, site_code, sku, on_hand, reserved, created_at)"
            " values ($1, 'A', $2, $3, 0, now()) on conflict (partner_id, site_code, sku) do update set on_hand = $3",
            PARTNER,
            sku,
            value,
        )

    async def age(seconds: float) -> None:
        await user.execute(
            "update partner_ops.outbox set published_at = published_at - $1 * interval '1 second'",
            seconds,
        )

    async with asyncpg.create_pool(database.apply, min_size=1, max_size=3) as pool:
        outbox = PostgresOutbox(Service.PARTNER_OPS, pool)
        yield Place(outbox=outbox, write=write, pass_time=age)
    await user.close()


def event(sku: str, value: int, at: str) -> ServiceEvent:
    key = (PARTNER, "A", sku)
    return ServiceEvent(
        id=f"{sku} {value}",
        type=f"banyan.{STOCK}.{'created' if value == 1 else 'updated'}",
        service=Service.PARTNER_OPS,
        entity=STOCK,
        key=key,
        subject=write_key(key),
        updated_at=at,
        origin="service",
        row_version=value,
        seen_at=None,
        correlation_id="c-1",
        time=at,
    )


async def test_an_event_says_key_and_stamps(place: Place) -> None:
    await place.write("x~", 1)
    assert await place.outbox.hand_over(10, place.publish) == 1
    [heard] = place.heard
    assert (heard.entity, heard.key, heard.subject) == (
        STOCK, (PARTNER, "A", "x~"), f"{PARTNER}~A~x%7E",
    )  # fmt: skip
    assert (heard.type, heard.origin, heard.row_version, heard.seen_at) == (
        "banyan.partner_stock_levels.created", "service", 1, None,
    )  # fmt: skip
    for instant in (heard.updated_at, heard.time):
        assert datetime.fromisoformat(instant).utcoffset() is not None
    assert await place.rest() == 0


async def test_within_a_key_they_come_in_the_order_of_the_writes(place: Place) -> None:
    for value in range(1, 6):
        for sku in ("b", "a"):
            await place.write(sku, value)
    while await place.outbox.hand_over(3, place.publish):
        pass
    for sku in ("a", "b"):
        assert [e.row_version for e in place.heard if e.key[2] == sku] == [1, 2, 3, 4, 5]


async def test_what_the_log_did_not_take_comes_again_with_the_same_id(place: Place) -> None:
    await place.write("x", 1)

    async def lost(events: Sequence[ServiceEvent]) -> None:
        place.heard.extend(events)
        raise Lost

    with pytest.raises(Lost):
        await place.outbox.hand_over(10, lost)
    assert await place.outbox.hand_over(10, place.publish) == 1
    assert place.heard[0] == place.heard[1]


async def test_one_at_a_time(place: Place) -> None:
    """Else a later event of a key could be published before an earlier one."""
    await place.write("x", 1)
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def slow(events: Sequence[ServiceEvent]) -> None:
        under_way.set()
        await go_on.wait()
        place.heard.extend(events)

    async with asyncio.TaskGroup() as group:
        first = group.create_task(place.outbox.hand_over(10, slow))
        await under_way.wait()
        await place.write("x", 2)
        assert await place.rest() == 0
        go_on.set()
    assert first.result() == 1
    assert await place.rest() == 1
    assert [e.row_version for e in place.heard] == [1, 2]


async def test_what_every_group_has_passed_is_kept_an_hour(place: Place) -> None:
    await place.write("x", 1)
    await place.rest()
    await place.write("x", 2)
    assert await place.outbox.purge({STOCK: 0.0}) == 0
    await place.pass_time(KEPT_SECONDS + 1)
    assert await place.outbox.purge({"lab_orders": 0.0}) == 0
    assert await place.outbox.purge({STOCK: KEPT_SECONDS + 10}) == 0
    assert await place.outbox.purge({STOCK: 0.0}) == 1
    assert await place.rest() == 1, "what is not published is never deleted"


async def test_what_nobody_consumes_is_kept_a_week(place: Place) -> None:
    await place.write("x", 1)
    await place.rest()
    await place.pass_time(KEPT_DAYS * DAY - 60)
    assert await place.outbox.purge({}) == 0
    await place.pass_time(120)
    assert await place.outbox.purge({}) == 1
