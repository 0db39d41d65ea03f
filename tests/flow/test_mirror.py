"""The worker of intents over a log, stores and tables in memory, by a clock that only the test moves."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from typing_extensions import override

from catalog import assets
from catalog.asset import Asset
from catalog.stage import Side
from migration.converge import Converge
from migration.delivery import Delivery
from migration.divergence import POISON_TRIES, State
from migration.guard import Verdict
from migration.intents import Announced
from migration.mirror import GROUP, Mirror
from migration.retries import Retries
from migration.store import Answer, Change, Unavailable
from routes.key import Key
from runtime.eventlog.memory import MemoryConsumer, MemoryLog
from runtime.eventlog.protocol import BEGINNING
from runtime.flagstore import StoreUnavailable
from runtime.intent import TOPIC, Closed, Intent, Outcome, Said, Settled, decode, encode, stream_key
from tests.fakes.memory_intents import MemoryIntents
from tests.fakes.memory_ledger import MemoryLedger
from tests.fakes.memory_store import MemoryStore

pytestmark = pytest.mark.flow

STOCK = assets()["partner_stock_levels"]
ORDERS, EVENTS = assets()["lab_orders"], assets()["lab_order_events"]
LOGS = assets()["partner_temperature_logs"]
PARTNER = "000000ba-0000-4000-8000-0000000000ff"
KEY: Key = (PARTNER, "A", "S")
GRACE = 20.0
NOT_OURS = b"nothing of ours"


class Nobody:
    async def tell(self, changes: Sequence[Change], *, to: Side) -> None:
        raise AssertionError


class Refusing(MemoryStore):
    """Answers every apply of the keys in `ill` as told, or fails while `down`."""

    def __init__(self, side: Side, **how: Any) -> None:
        super().__init__(side, **how)
        self.ill: dict[Key, Answer] = {}
        self.down = False
        self.tried: list[Key] = []

    @override
    async def apply(
        self, asset: Asset, changes: Sequence[Change], *, epoch: int | None, together: bool = False
    ) -> Sequence[Answer]:
        if self.down:
            raise Unavailable("08006")
        self.tried += [change.key for change in changes]
        well = [change for change in changes if change.key not in self.ill]
        found = await super().apply(asset, well, epoch=epoch, together=together)
        answers = dict(zip([c.key for c in well], found, strict=True)) | self.ill
        return [answers[change.key] for change in changes]


class Unreliable(MemoryIntents):
    """Its database is away while `down`."""

    down = False

    @override
    async def take(self, *given: Any) -> Any:
        if self.down:
            raise StoreUnavailable("postgresql")
        return await super().take(*given)


@dataclass(kw_only=True)
class World:
    now: float = 1_900_000_000.0

    def __post_init__(self) -> None:
        self.log = MemoryLog(clock=lambda: self.now, sleep=self.sleep, partitions=4)
        self.stores = {side: Refusing(side, clock=self.instant) for side in Side}
        self.ledger = MemoryLedger(lambda: self.now)
        self.intents = Unreliable(lambda: self.now)
        delivery = Delivery(Converge(self.stores, Nobody()), self.stores, self.ledger)
        self.mirror = Mirror(
            events=self.log,
            intents=self.intents,
            delivery=delivery,
            stores=self.stores,
            sleep=self.sleep,
        )
        self.retries = Retries(self.ledger, delivery, sleep=self.sleep)
        self.made = 0

    def instant(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    async def work(self, consumer: MemoryConsumer, *, seconds: float = 0.0) -> None:
        """Everything that can be done now, and what becomes due within so many seconds."""
        until = self.now + seconds
        while True:
            await self.mirror.step(consumer)
            await self.mirror.rest()
            await self.retries.step()
            if self.now >= until:
                return

    # --- what a gateway does

    async def announce(
        self, asset: Asset, key: Key | None, side: Side, correlation_id: str = "c-1"
    ) -> Intent:
        self.made += 1
        intent = Intent(
            id=str(UUID(int=self.made)),
            entity=asset.entity,
            key=key,
            authority=side,
            scope="",
            user="tag",
            epoch=0,
            correlation_id=correlation_id,
            grace_seconds=GRACE,
        )
        await self.say(intent, intent)
        return intent

    async def close(
        self, intent: Intent, outcome: Outcome = Outcome.APPLIED, key: Key | None = None
    ) -> None:
        await self.say(intent, Closed(id=intent.id, outcome=outcome, key=key))

    async def say(self, intent: Intent, said: Said) -> None:
        await self.log.append(TOPIC, stream_key(intent), encode(said))

    def write(self, asset: Asset, key: Key, row: Any, side: Side = Side.LEGACY) -> None:
        self.stores[side].write(asset, key, row, "c-1")

    async def written(self, key: Key = KEY, value: int = 1, side: Side = Side.LEGACY) -> Intent:
        intent = await self.announce(STOCK, key, side)
        self.write(STOCK, key, stock(key, value), side)
        await self.close(intent)
        return intent

    # --- what came of it

    async def settled(self) -> list[str]:
        found = [
            decode(entry.value)
            for partition in range(4)
            for entry in await self.log.read(TOPIC, {partition: BEGINNING}, limit=1000)
            if entry.value != NOT_OURS
        ]
        return [said.id for said in found if isinstance(said, Settled)]

    async def equal(self, asset: Asset = STOCK, key: Key = KEY) -> bool:
        held = [(await self.stores[side].read(asset, [key]))[key] for side in Side]
        return (held[0].row, held[0].tombstone) == (held[1].row, held[1].tombstone)


def stock(key: Key, value: int) -> dict[str, Any]:
    names = dict(zip(("partner_id", "site_code", "sku"), key, strict=True))
    other = {"reserved": 0, "reorder_point": None, "last_counted_at": None}
    row = {**names, **other, "on_hand": value, "created_at": "x", "updated_at": "x"}
    return {c.sources[0]: row.get(c.sources[0]) for c in STOCK.kept}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def consumer(world: World) -> Any:
    await world.log.create(TOPIC)
    async with world.log.consumer(GROUP, [TOPIC]) as consumer:
        yield consumer


# --- when an intent is settled


@pytest.mark.parametrize("side", Side)
async def test_a_write_arrives_and_is_settled(
    world: World, consumer: MemoryConsumer, side: Side
) -> None:
    intent = await world.written(side=side)
    await world.work(consumer)
    assert await world.equal()
    assert await world.settled() == [intent.id]
    assert len(world.intents) == 0
    assert await world.log.lag(GROUP, TOPIC) != [0] * 4, "its own word comes back to it"
    await world.work(consumer)
    assert await world.log.lag(GROUP, TOPIC) == [0] * 4


async def test_the_word_lies_beside_its_intent(world: World, consumer: MemoryConsumer) -> None:
    """Under the same key, so that a reader sees the beginning before the end; also of a numbered row."""
    intents = [await world.written((PARTNER, "A", f"{n}")) for n in range(8)]
    for n in range(8):
        intents.append(await world.announce(LOGS, None, Side.LEGACY, f"c{n}"))
        await world.close(intents[-1], key=(str(n),))
    await world.work(consumer)
    where: dict[str, set[int]] = {}
    for partition in range(4):
        for entry in await world.log.read(TOPIC, {partition: BEGINNING}, limit=1000):
            where.setdefault(decode(entry.value).id, set()).add(partition)
    assert len(await world.settled()) == 16
    assert [where[intent.id] for intent in intents if len(where[intent.id]) > 1] == []


async def test_n3_a_converge_before_the_commit_settles_nothing(
    world: World, consumer: MemoryConsumer
) -> None:
    """The outcome is unknown, the write commits five seconds later, and the mirror still gets it."""
    intent = await world.announce(STOCK, KEY, Side.LEGACY)
    await world.close(intent, Outcome.UNKNOWN)
    await world.work(consumer, seconds=5)
    assert (await world.settled(), len(world.intents)) == ([], 1)
    world.write(STOCK, KEY, stock(KEY, 1))
    await world.work(consumer, seconds=GRACE - 6)
    assert await world.settled() == []
    await world.work(consumer, seconds=2)
    assert await world.equal()
    assert await world.settled() == [intent.id]


async def test_n2_an_intent_whose_write_was_never_sent_is_settled_after_its_time(
    world: World, consumer: MemoryConsumer
) -> None:
    intent = await world.announce(STOCK, KEY, Side.LEGACY)
    await world.work(consumer, seconds=GRACE - 1)
    assert await world.settled() == []
    await world.work(consumer, seconds=2)
    assert await world.settled() == [intent.id]
    assert await world.equal()


async def test_n4_a_write_whose_end_nobody_said_is_mirrored(
    world: World, consumer: MemoryConsumer
) -> None:
    intent = await world.announce(STOCK, KEY, Side.SERVICE)
    world.write(STOCK, KEY, stock(KEY, 3), Side.SERVICE)
    await world.work(consumer, seconds=GRACE + 1)
    assert await world.settled() == [intent.id]
    assert await world.equal()


async def test_what_was_not_applied_is_settled_at_once(
    world: World, consumer: MemoryConsumer
) -> None:
    intents = [
        await world.announce(STOCK, KEY, Side.LEGACY),
        await world.announce(LOGS, None, Side.LEGACY),
    ]
    for intent in intents:
        await world.close(intent, Outcome.NOT_APPLIED)
    await world.work(consumer)
    assert sorted(await world.settled()) == sorted(intent.id for intent in intents)


async def test_an_echo_dies_after_one_hop(world: World, consumer: MemoryConsumer) -> None:
    await world.written()
    await world.work(consumer)
    echo = await world.announce(STOCK, KEY, Side.SERVICE)
    await world.close(echo)
    before = (await world.stores[Side.LEGACY].read(STOCK, [KEY]))[KEY]
    await world.work(consumer)
    assert (await world.stores[Side.LEGACY].read(STOCK, [KEY]))[KEY] == before
    assert [world.stores[side].conflicts for side in Side] == [[], []]


async def test_delete_and_create_again(world: World, consumer: MemoryConsumer) -> None:
    for value in (1, None, 2):
        intent = await world.announce(STOCK, KEY, Side.LEGACY)
        world.write(STOCK, KEY, None if value is None else stock(KEY, value))
        await world.close(intent)
        await world.work(consumer)
        assert await world.equal()
    assert len(await world.settled()) == 3


# --- rows that the authority numbers


def reading(n: int) -> dict[str, Any]:
    row = {"id": n, "partner_id": PARTNER, "site_code": "A", "device_id": "D", "excursion": False}
    return {c.sources[0]: row.get(c.sources[0]) for c in LOGS.kept}


async def test_a_number_comes_with_the_outcome(world: World, consumer: MemoryConsumer) -> None:
    intent = await world.announce(LOGS, None, Side.LEGACY)
    world.write(LOGS, ("17",), reading(17))
    await world.close(intent, key=("17",))
    await world.work(consumer)
    assert await world.settled() == [intent.id]
    assert (await world.stores[Side.SERVICE].read(LOGS, [("17",)]))[("17",)].row


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, None])
@pytest.mark.parametrize("there", [True, False])
async def test_a_number_that_nobody_heard_is_looked_up_after_the_grace_time(
    world: World, consumer: MemoryConsumer, *, there: bool, outcome: Outcome | None
) -> None:
    intent = await world.announce(LOGS, None, Side.LEGACY)
    if outcome:
        await world.close(intent, outcome)
    await world.work(consumer, seconds=5)
    if there:
        world.write(LOGS, ("17",), reading(17))
    await world.work(consumer, seconds=GRACE - 6)
    assert await world.settled() == []
    await world.work(consumer, seconds=2)
    assert await world.settled() == [intent.id]
    held = (await world.stores[Side.SERVICE].read(LOGS, [("17",)]))[("17",)]
    assert bool(held.row) is there


# --- what legacy derives


def order(key: Key) -> dict[str, Any]:
    row = {"id": key[0], "status": "ordered", "tags": [], "priority": 1, "currency": "GBP"}
    return {s: row.get(s) for c in ORDERS.kept for s in c.sources}


def event(n: int, key: Key) -> dict[str, Any]:
    row = {"id": n, "lab_order_id": key[0], "event_type": "created", "payload": "{}"}
    return {s: row.get(s) for c in EVENTS.kept for s in c.sources}


async def test_an_order_s_events_arrive_before_its_intent_is_settled(
    world: World, consumer: MemoryConsumer
) -> None:
    key = (str(UUID(int=5)),)
    intent = await world.announce(ORDERS, key, Side.LEGACY)
    world.write(ORDERS, key, order(key))
    world.write(EVENTS, ("1",), event(1, key))
    world.write(EVENTS, ("2",), event(2, key))
    world.stores[Side.SERVICE].ill[("2",)] = Answer(verdict=Verdict.ERROR, code="40001")
    await world.close(intent)
    await world.work(consumer)
    held = await world.stores[Side.SERVICE].read(EVENTS, [("1",), ("2",)])
    assert (bool(held["1",].row), bool(held["2",].row)) == (True, False)
    assert await world.settled() == []
    world.stores[Side.SERVICE].ill.clear()
    await world.work(consumer, seconds=2)
    assert (await world.stores[Side.SERVICE].read(EVENTS, [("2",)]))["2",].row
    assert await world.settled() == [intent.id]


# --- trouble


async def test_m3_a_side_that_is_down_holds_up_its_own_rows_alone(
    world: World, consumer: MemoryConsumer
) -> None:
    world.stores[Side.LEGACY].down = True
    stuck = await world.written((PARTNER, "A", "stuck"), side=Side.SERVICE)
    flows = await world.written(KEY, side=Side.LEGACY)
    await world.work(consumer, seconds=3)
    assert await world.settled() == [flows.id]
    [incident] = world.ledger.incidents
    assert (incident.state, incident.reason) == (State.RETRYING, "08006")
    world.stores[Side.LEGACY].down = False
    await world.work(consumer, seconds=60)
    assert sorted(await world.settled()) == sorted([stuck.id, flows.id])
    assert [one.state for one in world.ledger.incidents] == [State.SOLVED]
    assert await world.equal(key=(PARTNER, "A", "stuck"))


async def test_m4_poison_parks_its_key_and_no_other(world: World, consumer: MemoryConsumer) -> None:
    ill, well = (PARTNER, "A", "ill"), (PARTNER, "A", "well")
    target = world.stores[Side.SERVICE]
    target.ill[ill] = Answer(verdict=Verdict.ERROR, code="23514")
    await world.written(ill, 1)
    await world.work(consumer, seconds=30)
    assert target.tried.count(ill) == POISON_TRIES
    [incident] = world.ledger.incidents
    assert (incident.state, incident.reason) == (State.QUARANTINED, "23514")
    await world.written(ill, 2)
    later = await world.written(well, 1)
    await world.work(consumer, seconds=120)
    assert target.tried.count(ill) == POISON_TRIES, "what is in quarantine is not tried"
    assert await world.settled() == [later.id]
    assert world.ledger.incidents[0].last_seen > incident.last_seen
    assert world.ledger.incidents[0].first_seen == incident.first_seen


async def test_m5_a_child_waits_for_its_parent_and_is_no_poison(
    world: World, consumer: MemoryConsumer
) -> None:
    target = world.stores[Side.SERVICE]
    target.ill[KEY] = Answer(verdict=Verdict.ERROR, code="23503")
    intent = await world.written()
    await world.work(consumer, seconds=120)
    [incident] = world.ledger.incidents
    assert incident.state is State.WAITING
    assert incident.attempts > POISON_TRIES
    tries = target.tried.count(KEY)
    again = await world.written(value=2)
    await world.work(consumer)
    assert target.tried.count(KEY) == tries, "its time has not come"
    target.ill.clear()
    await world.work(consumer, seconds=60)
    assert sorted(await world.settled()) == sorted([intent.id, again.id])


async def test_what_the_catalog_refuses_is_in_quarantine_at_once(
    world: World, consumer: MemoryConsumer
) -> None:
    key = (str(UUID(int=5)),)
    intent = await world.announce(ORDERS, key, Side.LEGACY)
    world.write(ORDERS, key, {**order(key), "status": "lost"})
    await world.close(intent)
    await world.work(consumer)
    [incident] = world.ledger.incidents
    assert (incident.state, incident.attempts) == (State.QUARANTINED, 1)
    assert incident.reason == "status: a word outside the vocabulary"


async def test_a_stamp_ahead_of_the_clock_is_parked_until_the_clock_is_there(
    world: World, consumer: MemoryConsumer
) -> None:
    intent = await world.announce(STOCK, KEY, Side.LEGACY)
    world.now += 300
    world.write(STOCK, KEY, stock(KEY, 1))
    world.now -= 300
    await world.close(intent)
    await world.work(consumer, seconds=200)
    assert [one.state for one in world.ledger.incidents] == [State.PARKED]
    await world.work(consumer, seconds=100)
    assert await world.settled() == [intent.id]


async def test_m6_a_late_word_of_an_old_version_brings_no_row_back(
    world: World, consumer: MemoryConsumer
) -> None:
    intents = []
    for value in (1, None):
        intents.append(await world.announce(STOCK, KEY, Side.LEGACY))
        world.write(STOCK, KEY, None if value is None else stock(KEY, value))
    for intent in reversed(intents):
        await world.close(intent)
        await world.work(consumer)
    held = (await world.stores[Side.SERVICE].read(STOCK, [KEY]))[KEY]
    assert (held.row, bool(held.tombstone)) == (None, True)


# --- crashes


async def test_m1_what_was_not_acknowledged_comes_again_and_changes_nothing(world: World) -> None:
    await world.log.create(TOPIC)
    intent = await world.written()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(world.log.consumer(GROUP, [TOPIC]))
        entries = await first.poll(100)
        await world.intents.take(*_split(entries))
        first.crash()
    assert len(world.intents) == 1
    await world.sleep(world.log.lease_seconds + 1)
    async with world.log.consumer(GROUP, [TOPIC]) as second:
        await world.work(second, seconds=1)
    assert await world.settled() == [intent.id]
    assert await world.equal()


def _split(entries: Any) -> Any:
    said = [(e.partition, decode(e.value)) for e in entries]
    return (
        [Announced(intent=s, partition=p) for p, s in said if isinstance(s, Intent)],
        [s for _, s in said if isinstance(s, Closed)],
    )


async def test_entries_that_could_not_be_kept_are_not_acknowledged(world: World) -> None:
    """The worker joins anew, and what it had polled comes again."""
    await world.log.create(TOPIC)
    intent = await world.written()
    world.intents.down = True
    async with world.log.consumer(GROUP, [TOPIC]) as consumer:
        with pytest.raises(StoreUnavailable):
            await world.work(consumer)
    world.intents.down = False
    later = await world.written((PARTNER, "B", "S"))
    async with world.log.consumer(GROUP, [TOPIC]) as consumer:
        await world.work(consumer, seconds=1)
    assert sorted(await world.settled()) == sorted([intent.id, later.id])


async def test_a_crash_between_the_word_and_the_removal_says_it_again(
    world: World, consumer: MemoryConsumer
) -> None:
    intent = await world.written()
    kept: list[str] = []

    async def crash(ids: Sequence[str]) -> None:
        kept.extend(ids)
        raise StoreUnavailable("postgresql")

    remove, world.intents.remove = world.intents.remove, crash  # type: ignore[method-assign]
    await world.work(consumer)
    assert kept == [intent.id]
    world.intents.remove = remove  # type: ignore[method-assign]
    await world.work(consumer, seconds=6)
    assert await world.settled() == [intent.id] * 2
    assert len(world.intents) == 0


async def test_m2_two_workers_share_the_partitions(world: World) -> None:
    await world.log.create(TOPIC)
    intents = [await world.written((PARTNER, "A", f"{n}"), n) for n in range(40)]
    async with (
        world.log.consumer(GROUP, [TOPIC]) as one,
        world.log.consumer(GROUP, [TOPIC]) as two,
    ):
        for _ in range(60):
            for consumer in (one, two):
                await world.work(consumer)
    assert sorted(await world.settled()) == sorted(intent.id for intent in intents)
    for n in range(40):
        assert await world.equal(key=(PARTNER, "A", f"{n}"))


async def test_entries_of_another_form_and_unknown_entities_stop_nothing(
    world: World, consumer: MemoryConsumer
) -> None:
    await world.log.append(TOPIC, b"x", NOT_OURS)
    stranger = replace(await world.announce(STOCK, KEY, Side.LEGACY), entity="of_tomorrow")
    stranger = replace(stranger, id=str(UUID(int=99)))
    await world.say(stranger, stranger)
    await world.close(stranger)
    intent = await world.written((PARTNER, "C", "S"))
    await world.work(consumer, seconds=10)
    assert await world.settled() == [intent.id]
    assert len(world.intents) == 2
