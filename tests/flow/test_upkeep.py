"""What has served its time goes, and nothing else; chores keep their rhythm."""

import asyncio

import pytest

from catalog import assets
from catalog.service import Service
from migration.chore import Chore
from migration.outbox import KEPT_SECONDS
from migration.relay import Relay, create_topics
from migration.store import Unavailable
from migration.upkeep import EVENTS_KEPT_SECONDS, MIRROR_KEPT_SECONDS, purge_outboxes, trim
from runtime.eventlog.memory import MemoryLog
from runtime.intent import TOPIC
from runtime.serviceevent import ServiceEvent, topic_of
from tests.fakes.clock import Clock
from tests.fakes.memory_outbox import MemoryOutbox

pytestmark = pytest.mark.flow

ENTITY = "lab_orders"


def event(n: int) -> ServiceEvent:
    return ServiceEvent(
        id=str(n),
        type=f"banyan.{ENTITY}.updated",
        service=Service.DIAGNOSTICS,
        entity=ENTITY,
        key=("1",),
        subject="1",
        updated_at=f"2030-01-01T00:00:0{n}+00:00",
        origin="service",
        row_version=n,
        seen_at=None,
        correlation_id=None,
        time="2030-01-01T00:00:00+00:00",
    )


async def test_entries_go_when_they_are_old_and_consumed() -> None:
    clock = Clock(1_900_000_000.0)
    log = MemoryLog(clock=clock)
    await log.create(TOPIC)
    await create_topics(log)
    topics = [TOPIC, topic_of(ENTITY)]
    async with log.consumer("group", topics) as consumer:
        for topic in topics:
            await log.append(topic, b"k", b"v")
        clock.now += EVENTS_KEPT_SECONDS + 1
        assert await trim(log) == 0, "nobody has consumed them"
        await consumer.commit(await consumer.poll())
        for topic in topics:
            await log.append(topic, b"k", b"v")
        await consumer.commit(await consumer.poll())
        assert await trim(log) == 2
        clock.now += MIRROR_KEPT_SECONDS + 1
        assert await trim(log) == 1


async def test_published_events_go_when_every_group_has_passed_them() -> None:
    clock = Clock(1_900_000_000.0)
    log, outbox = MemoryLog(clock=clock), MemoryOutbox(Service.DIAGNOSTICS, clock)
    await create_topics(log)
    relay = Relay(outbox, log)
    outbox.add(event(1))
    await relay.step()
    clock.now += 2 * KEPT_SECONDS
    assert await purge_outboxes(log, [outbox]) == 0, "there is no group yet"
    async with log.consumer("group", [topic_of(ENTITY)]) as consumer:
        entries = await consumer.poll()
        assert await purge_outboxes(log, [outbox]) == 0, "it has not passed it"
        await consumer.commit(entries)
        outbox.add(event(2))
        await relay.step()
        assert await purge_outboxes(log, [outbox]) == 1
        clock.now += 2 * KEPT_SECONDS
        assert await purge_outboxes(log, [outbox]) == 0


async def test_a_chore_that_fails_is_done_the_next_time() -> None:
    done: list[float] = []
    now = Clock(0.0)
    stopping = asyncio.Event()

    async def sleep(seconds: float) -> None:
        now.now += seconds
        await asyncio.sleep(0)

    async def work() -> None:
        done.append(now.now)
        if len(done) == 3:
            stopping.set()
        raise Unavailable("08006")

    await Chore(name="test", every_seconds=2, work=work, sleep=sleep).run(stopping)
    assert done == [0, 2, 4]
    assert now.now == 4, "a stop does not wait for what is not due"


def test_every_entity_has_its_topic() -> None:
    assert len({topic_of(entity) for entity in assets()}) == 12
