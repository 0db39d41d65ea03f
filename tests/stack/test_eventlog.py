"""The event log over a real Valkey keeps the contract, over both wire protocols; and what only Redis can do wrong."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from benchmarks.own_valkey import OwnValkey, own_valkey
from runtime import redis, tasks
from runtime.eventlog.errors import (
    LogUnavailable,
    NotDurable,
    PartitionMismatch,
    PositionLost,
    UnknownTopic,
    Unsuitable,
)
from runtime.eventlog.protocol import BEGINNING, Consumer, EventLog
from runtime.eventlog.redis_consumer import RedisConsumer
from runtime.eventlog.redis_log import RedisLog
from runtime.logs import ALLOWED
from tests.contract.eventlog_contract import (
    GROUP,
    TOPIC,
    EventLogContract,
    messages,
    take,
    values,
)
from tests.until import until_async

pytestmark = pytest.mark.stack

LEASE_SECONDS = 2.0
_prefixes = count(1)


class RedisWorld:
    """One prefix of the shared Valkey."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack
        self.prefix = f"banyan:test:{next(_prefixes)}:"
        self.redis = redis.connect(url)
        stack.push_async_callback(self.redis.aclose)
        self.log: EventLog = self.open()

    def open(
        self, *, partitions: int = 8, prefix: str = "", durable_seconds: float = 3.0
    ) -> RedisLog:
        log = RedisLog(
            self._url,
            prefix=prefix or self.prefix,
            lease_seconds=LEASE_SECONDS,
            durable_seconds=durable_seconds,
            partitions=partitions,
        )
        self._stack.push_async_callback(log.close)
        return log

    async def another(self) -> EventLog:
        return self.open()

    async def moment(self) -> datetime:
        passed = await self._now() + timedelta(milliseconds=2)

        async def reached() -> bool:
            return await self._now() > passed

        await until_async(reached)
        return passed

    async def _now(self) -> datetime:
        seconds, microseconds = await self.redis.time()
        return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(microseconds))

    async def look_after_leases(self, consumer: Consumer) -> None:
        assert isinstance(consumer, RedisConsumer)
        await consumer._tend()

    async def suspend(self, consumer: Consumer) -> None:
        assert isinstance(consumer, RedisConsumer)
        assert consumer._tender is not None
        await tasks.stop(consumer._tender)
        consumer._tender = tasks.spawn(asyncio.sleep(3600), name="suspended")
        consumer._topics = ()

    async def let_leases_run_out(self) -> None:
        """They do so by themselves: whoever needs that waits for it."""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def world(request: pytest.FixtureRequest, redis_url: str, stack: AsyncExitStack) -> RedisWorld:
    return RedisWorld(f"{redis_url}?protocol={request.param}", stack)


class TestRedisLog(EventLogContract):
    """All of it."""


# ---- durability


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    with own_valkey(tmp_path / "valkey") as started:
        yield started


@pytest.fixture
async def own(valkey: OwnValkey, stack: AsyncExitStack) -> RedisWorld:
    """Over a Valkey that a test may treat as it likes."""
    world = RedisWorld(valkey.url, stack)
    await world.log.create(TOPIC)
    return world


async def calls(world: RedisWorld, command: str) -> int:
    statistics = await world.redis.info("commandstats")
    return int(statistics.get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_appends_of_one_turn_share_a_round_trip_and_a_sync(own: RedisWorld) -> None:
    await own.log.append(TOPIC, b"key", b"1")
    await own.redis.config_resetstat()
    await asyncio.gather(*(own.log.append(TOPIC, b"key %d" % n, b"1") for n in range(500)))
    assert [await calls(own, name) for name in ("xadd", "evalsha", "waitaof")] == [500, 1, 1]


async def test_appends_behind_one_under_way_share_the_next(own: RedisWorld) -> None:
    await own.log.append(TOPIC, b"key", b"1")
    await own.redis.config_resetstat()
    await own.redis.config_set("appendfsync", "no")
    first = tasks.spawn(own.log.append(TOPIC, b"key", b"2"), name="first")
    await until_async(lambda: _reached(own, xadd=1))
    later = [tasks.spawn(own.log.append(TOPIC, b"key", b"3"), name="later") for _ in range(100)]
    await asyncio.sleep(0)
    assert not first.done(), "nothing syncs"
    await own.redis.config_set("appendfsync", "always")
    await asyncio.gather(first, *later)
    assert [await calls(own, name) for name in ("xadd", "evalsha", "waitaof")] == [101, 2, 2]


async def _reached(world: RedisWorld, *, xadd: int) -> bool:
    return await calls(world, "xadd") == xadd


async def test_an_append_that_is_not_synced_is_not_durable(own: RedisWorld) -> None:
    """The entry is there all the same: appends are at least once."""
    await own.redis.config_set("appendfsync", "no")
    log = own.open(durable_seconds=0.05)
    with pytest.raises(NotDurable):
        await log.append(TOPIC, b"key", b"1")
    assert (await own.log.backlog(TOPIC)).entries == 1


async def test_a_server_without_a_file_is_found_out(own: RedisWorld) -> None:
    log = own.open()
    await log.check()
    await own.redis.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(Unsuitable, match="noeviction"):
        await log.check()
    await own.redis.config_set("appendonly", "no")
    with pytest.raises(Unsuitable, match="appendonly"):
        await log.check()
    with pytest.raises(NotDurable):
        await log.append(TOPIC, b"key", b"1")


async def test_a_full_server_refuses_and_loses_nothing(own: RedisWorld) -> None:
    async with own.log.consumer(GROUP, [TOPIC]) as consumer:
        await own.log.append(TOPIC, b"key", b"1")
        await own.redis.config_set("maxmemory", "1")
        with pytest.raises(LogUnavailable):
            await own.log.append(TOPIC, b"key", b"2")
        await own.redis.config_set("maxmemory", "0")
        assert values(await take(consumer, 1, commit=True)) == [1]


async def test_leases_that_cannot_be_renewed_are_said_once(
    valkey: OwnValkey, own: RedisWorld
) -> None:
    with capture_logs() as lines:
        async with own.log.consumer(GROUP, [TOPIC]):
            valkey.kill()
            await until_async(lambda: _said(lines, "eventlog.leases_unattended"))
            valkey.start()
            await until_async(lambda: _said(lines, "eventlog.leases_attended"))
    assert [line["event"] for line in lines] == [
        "eventlog.leases_unattended",
        "eventlog.leases_attended",
    ]
    assert all(line.keys() - {"log_level", "exc_info"} <= ALLOWED for line in lines)


async def _said(lines: list[Any], event: str) -> bool:
    return any(line["event"] == event for line in lines)


async def test_a_dead_server_is_unavailable_and_comes_back(
    valkey: OwnValkey, own: RedisWorld
) -> None:
    async with own.log.consumer(GROUP, [TOPIC]) as consumer:
        await own.log.append_many(messages(10))
        entries = await take(consumer, 4)
        await consumer.commit(entries)
        valkey.kill()
        for asked in (
            own.log.append(TOPIC, b"key", b"1"),
            own.log.read(TOPIC, {0: BEGINNING}),
            own.log.lag(GROUP, TOPIC),
            consumer.poll(),
            consumer.commit(entries),
            own.open().check(),
        ):
            with pytest.raises(LogUnavailable):
                await asked
        valkey.start()
        await own.log.append(TOPIC, b"key", b"10")
        assert len(await take(consumer, 7, commit=True)) == 7


async def test_a_server_that_dies_under_a_waiting_poll_ends_it(
    valkey: OwnValkey, own: RedisWorld
) -> None:
    async with own.log.consumer(GROUP, [TOPIC]) as consumer:
        waiting = tasks.spawn(consumer.poll(wait_seconds=3600), name="poll")

        async def blocked() -> bool:
            return bool((await own.redis.info("clients"))["blocked_clients"])

        await until_async(blocked)
        valkey.kill()
        with pytest.raises(LogUnavailable):
            await waiting
        valkey.start()


# ---- a server that lost everything, or its scripts


async def test_an_emptied_server_takes_appends_again_and_no_old_position(
    own: RedisWorld,
) -> None:
    places = await own.log.append_many(messages(10, keys=1))
    reader = own.open()
    partition = places[0].partition
    await reader.read(TOPIC, {partition: BEGINNING})
    await own.redis.flushall()
    with capture_logs() as lines:
        again = await own.log.append_many(messages(20, keys=1))
    assert lines == [{"event": "eventlog.topic_lost", "topic": TOPIC, "log_level": "error"}]
    assert again[0].position > places[-1].position
    with pytest.raises(PositionLost):
        await reader.read(TOPIC, {partition: places[2].position})
    assert values(await reader.read(TOPIC, {partition: BEGINNING})) == list(range(20))
    await own.redis.flushall()
    with pytest.raises(UnknownTopic):
        await reader.append(TOPIC, b"key", b"1")
    with pytest.raises(UnknownTopic):
        await reader.read(TOPIC, {partition: again[0].position})


async def test_a_member_of_an_emptied_log_begins_anew(own: RedisWorld) -> None:
    async with own.log.consumer(GROUP, [TOPIC]) as consumer:
        await own.log.append_many(messages(30))
        await take(consumer, 30, commit=True)
        stale = await own.log.append_many(messages(5))
        old = await take(consumer, 5)
        await own.redis.flushall()
        await own.log.append_many(messages(30))
        assert sorted(values(await take(consumer, 30))) == list(range(30))
        assert sum(await own.log.lag(GROUP, TOPIC)) == 30
        await consumer.commit(old)
        assert sum(await own.log.lag(GROUP, TOPIC)) == 30, "old commits say nothing of the new"
        assert len(stale) == len(old)


async def test_a_member_whose_topic_is_gone_says_so(own: RedisWorld) -> None:
    async with own.log.consumer(GROUP, [TOPIC]) as consumer:
        await own.redis.flushall()

        async def refused() -> bool:
            try:
                await consumer.poll()
            except UnknownTopic:
                return True
            return False

        await until_async(refused)


async def test_another_number_of_partitions_stops_an_old_appender(own: RedisWorld) -> None:
    await own.log.append(TOPIC, b"key", b"1")
    await own.redis.flushall()
    await own.open(partitions=3).create(TOPIC)
    with pytest.raises(PartitionMismatch) as refusal:
        await own.log.append(TOPIC, b"key", b"2")
    assert (refusal.value.held, refusal.value.wanted) == (3, 8)


async def test_a_server_without_our_scripts_is_told(own: RedisWorld) -> None:
    await own.log.append(TOPIC, b"key", b"1")
    await own.redis.script_flush()
    await asyncio.gather(*(own.log.append(TOPIC, b"key", b"%d" % n) for n in (2, 3)))
    async with own.log.consumer(GROUP, [TOPIC]) as consumer:
        assert values(await take(consumer, 3, commit=True)) == [1, 2, 3]


async def test_an_append_that_is_cancelled_takes_nobody_with_it(own: RedisWorld) -> None:
    tossed = tasks.spawn(own.log.append(TOPIC, b"key", b"1"), name="tossed")
    kept = tasks.spawn(own.log.append(TOPIC, b"key", b"2"), name="kept")
    await asyncio.sleep(0)
    await tasks.stop(tossed)
    await kept
    assert 1 <= (await own.log.backlog(TOPIC)).entries <= 2


async def test_two_logs_in_one_server_are_apart(own: RedisWorld) -> None:
    other = own.open(prefix="another:", partitions=2)
    await other.create(TOPIC)
    await own.log.append_many(messages(10))
    await other.append_many(messages(3))
    assert (await own.log.backlog(TOPIC)).entries == 10
    assert (await other.backlog(TOPIC)).entries == 3
    async with own.log.consumer(GROUP, [TOPIC]) as one, other.consumer(GROUP, [TOPIC]) as two:
        assert len(await take(one, 10)) == 10
        assert len(await take(two, 3)) == 3
    keys: Any = await own.redis.keys()
    assert all(key.startswith((own.prefix.encode(), b"another:")) for key in keys)


async def test_more_than_one_step_of_trimming(own: RedisWorld, monkeypatch) -> None:
    monkeypatch.setattr("runtime.eventlog.redis_log._TRIM_AT_ONCE", 7)
    await own.log.append_many(messages(100, keys=3))
    await own.moment()
    assert await own.log.trim(TOPIC, keep_seconds=0, ungrouped=True) == 100


async def test_no_key_or_value_in_an_error(own: RedisWorld) -> None:
    await own.redis.config_set("maxmemory", "1")
    with pytest.raises(LogUnavailable) as refusal:
        await own.log.append(TOPIC, b"planted", b"planted", headers={"planted": b"planted"})
    error: BaseException | None = refusal.value
    while error is not None:
        assert "planted" not in str(error)
        error = error.__cause__ or error.__context__
