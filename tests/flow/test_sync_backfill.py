"""From a service's outbox through the log into legacy, all of it in memory, by a clock that only the test moves."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from typing_extensions import override

from catalog import assets
from catalog.asset import Asset
from catalog.service import Service
from catalog.stage import Side
from migration.converge import Converge
from migration.delivery import CLOSED, Delivery
from migration.divergence import State
from migration.guard import Verdict
from migration.relay import Relay, create_topics
from migration.retries import Retries
from migration.store import Answer, Change
from migration.sync_backfill import GROUP, SyncBackfill
from routes.key import Key, write_key
from runtime.eventlog.errors import LogUnavailable
from runtime.eventlog.memory import MemoryLog
from runtime.eventlog.protocol import BEGINNING, Message, Place
from runtime.flagstore import StoreUnavailable
from runtime.serviceevent import NotAnEvent, ServiceEvent, decode, encode, topic_of
from tests.fakes.memory_ledger import MemoryLedger
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_store import MemoryStore
from tests.until import until_async

pytestmark = pytest.mark.flow

STOCK = assets()["partner_stock_levels"]
TOPIC = topic_of(STOCK.entity)
PARTNER = "000000ba-0000-4000-8000-0000000000ff"


class Nobody:
    async def tell(self, changes: Sequence[Change], *, to: Side) -> None:
        raise AssertionError


class Legacy(MemoryStore):
    """Answers every apply as told, if it is told."""

    says: Answer | None = None

    @override
    async def apply(
        self, asset: Asset, changes: Sequence[Change], *, epoch: int | None, together: bool = False
    ) -> Sequence[Answer]:
        if self.says:
            return [self.says] * len(changes)
        return await super().apply(asset, changes, epoch=epoch, together=together)


class Flaky(MemoryLog):
    """Takes some of a batch and fails, while `half`."""

    half = False

    @override
    async def append_many(self, messages: Sequence[Message]) -> list[Place]:
        if self.half:
            await super().append_many(messages[: len(messages) // 2])
            raise LogUnavailable("test")
        return await super().append_many(messages)


class Ledger(MemoryLedger):
    down = False

    @override
    async def holds(self, *given: Any) -> Any:
        if self.down:
            raise StoreUnavailable("postgresql")
        return await super().holds(*given)


@dataclass(kw_only=True)
class World:
    now: float = 1_900_000_000.0
    closed: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = Flaky(clock=lambda: self.now, sleep=self.sleep, partitions=2)
        self.outbox = MemoryOutbox(Service.PARTNER_OPS, lambda: self.now)
        self.legacy = Legacy(Side.LEGACY, clock=self.instant)
        self.service = MemoryStore(Side.SERVICE, clock=self.instant)
        stores = {Side.LEGACY: self.legacy, Side.SERVICE: self.service}
        self.ledger = Ledger(lambda: self.now)
        delivery = Delivery(
            Converge(stores, Nobody()),
            stores,
            self.ledger,
            closed=lambda entity, count: self.closed.append((entity, count)),
        )
        self.relay = Relay(self.outbox, self.log, sleep=self.sleep)
        self.worker = SyncBackfill(events=self.log, delivery=delivery, sleep=self.sleep)
        self.retries = Retries(self.ledger, delivery, sleep=self.sleep)

    def instant(self) -> datetime:
        self.now += 0.001
        return datetime.fromtimestamp(self.now, UTC)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def write(self, sku: str, value: int | None = 1) -> None:
        """A user's write at the service, with its event in the same transaction."""
        key = (PARTNER, "A", sku)
        row = {c.target: None for c in STOCK.kept} | dict(
            zip(STOCK.key, key, strict=True), on_hand=value
        )
        version = self.service.write(STOCK, key, None if value is None else row, f"c-{value}")
        event = ServiceEvent(
            id=f"{sku} {version.row_version}",
            type=f"banyan.{STOCK.entity}.updated",
            service=Service.PARTNER_OPS,
            entity=STOCK.entity,
            key=key,
            subject=write_key(key),
            updated_at=version.updated_at.isoformat(),
            origin=version.origin,
            row_version=version.row_version,
            seen_at=None,
            correlation_id=version.correlation_id,
            time=version.updated_at.isoformat(),
        )
        self.outbox.add(event)

    async def publish(self) -> None:
        await create_topics(self.log)
        while await self.relay.step():
            pass

    async def consume(self) -> None:
        await create_topics(self.log)
        async with self.log.consumer(GROUP, [TOPIC]) as consumer:
            for _ in range(3):
                await self.worker.step(consumer)
        await self.retries.step()

    async def heard(self) -> list[ServiceEvent]:
        return [
            decode(entry.value)
            for partition in range(2)
            for entry in await self.log.read(TOPIC, {partition: BEGINNING}, limit=1000)
        ]

    async def equal(self, sku: str) -> bool:
        key: Key = (PARTNER, "A", sku)
        held = [(await s.read(STOCK, [key]))[key] for s in (self.legacy, self.service)]
        return (held[0].row, held[0].tombstone) == (held[1].row, held[1].tombstone)

    async def lag(self) -> int:
        return sum(await self.log.lag(GROUP, TOPIC))


@pytest.fixture
def world() -> World:
    return World()


async def test_a_write_a_change_and_a_delete_arrive(world: World) -> None:
    for value in (1, 2, None):
        world.write("x", value)
        await world.publish()
        await world.consume()
        assert await world.equal("x")
    assert await world.lag() == 0
    assert (world.legacy.conflicts, world.ledger.incidents) == ([], [])


async def test_an_event_is_a_cloud_event_without_values(world: World) -> None:
    world.write("x", 41)
    await world.publish()
    [entry] = [e for n in range(2) for e in await world.log.read(TOPIC, {n: BEGINNING})]
    assert b'"specversion":"1.0"' in entry.value
    assert b"on_hand" not in entry.value
    assert entry.key == f"{STOCK.entity}:{PARTNER}~A~x".encode()
    with pytest.raises(NotAnEvent):
        decode(entry.value.replace(b'"1.0"', b'"0.3"'))
    [event] = await world.heard()
    assert decode(encode(event)) == event


async def test_o4_half_a_batch_published_is_a_prefix_of_each_key(world: World) -> None:
    for value in range(1, 7):
        for sku in ("x", "y"):
            world.write(sku, value)
    await create_topics(world.log)
    world.log.half = True
    with pytest.raises(LogUnavailable):
        await world.relay.step()
    for sku in ("x", "y"):
        assert [e.row_version for e in await world.heard() if e.key[2] == sku] == [1, 2, 3]
    world.log.half = False
    await world.publish()
    for sku in ("x", "y"):
        versions = [e.row_version for e in await world.heard() if e.key[2] == sku]
        assert versions == [1, 2, 3, 1, 2, 3, 4, 5, 6], (
            "at least once, each time from its beginning"
        )
    await world.consume()
    assert await world.equal("x")
    assert await world.equal("y")


async def test_what_cannot_be_booked_is_not_acknowledged(world: World) -> None:
    world.write("x")
    await world.publish()
    world.ledger.down = True
    with pytest.raises(StoreUnavailable):
        await world.consume()
    world.ledger.down = False
    world.write("y")
    await world.publish()
    await world.consume()
    assert await world.equal("x")
    assert await world.equal("y")
    assert await world.lag() == 0


async def test_what_does_not_arrive_is_in_the_ledger_and_comes_later(world: World) -> None:
    world.legacy.says = Answer(verdict=Verdict.ERROR, code="40001")
    world.write("x")
    await world.publish()
    await world.consume()
    assert await world.lag() == 0
    assert [one.state for one in world.ledger.incidents] == [State.RETRYING]
    world.legacy.says = None
    world.now += 60
    await world.retries.step()
    assert await world.equal("x")
    assert [one.state for one in world.ledger.incidents] == [State.SOLVED]


async def test_what_a_closed_legacy_does_not_take_is_counted_and_no_incident(world: World) -> None:
    world.legacy.says = Answer(verdict=Verdict.ERROR, code=CLOSED)
    world.write("x")
    await world.publish()
    await world.consume()
    assert (await world.lag(), world.ledger.incidents) == (0, [])
    assert world.closed == [(STOCK.entity, 1)]


async def test_strange_entries_stop_nothing(world: World) -> None:
    await create_topics(world.log)
    await world.log.append(TOPIC, b"x", b"{}")
    world.write("x")
    await world.publish()
    async with world.log.consumer(GROUP, [TOPIC]) as consumer:
        for _ in range(3):
            await world.worker.step(consumer)
    assert await world.equal("x")


async def test_it_ends_when_told_behind_what_is_under_way(world: World) -> None:
    world.write("x")
    await world.publish()
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(world.worker.run(stopping))
        group.create_task(world.relay.run(stopping))
        await until_async(lambda: world.equal("x"))
        stopping.set()
    assert await world.lag() == 0
