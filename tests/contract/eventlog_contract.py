"""What every event log must do, whatever keeps it: a class of tests for each log's own test module to inherit.

That module has a fixture `world` (LogWorld): one empty log, opened by as many hands as a test likes, and a way to let its time pass.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import pytest

from runtime import tasks
from runtime.eventlog.errors import (
    Fenced,
    GroupInUse,
    PartitionMismatch,
    PositionLost,
    UnknownGroup,
    UnknownTopic,
)
from runtime.eventlog.partitioner import partition_of
from runtime.eventlog.protocol import (
    BEGINNING,
    LARGEST_BYTES,
    MOST_HEADERS,
    Consumer,
    Entry,
    EventLog,
    Message,
    Place,
    Position,
)
from tests.until import until_async

PARTITIONS = 8
TOPIC = "legacy.lab_orders"
GROUP = "replicate"


class LogWorld(Protocol):
    """`log` is one hand on it."""

    log: EventLog

    async def another(self) -> EventLog:
        """Another process's hand on the same log."""
        ...

    async def moment(self) -> datetime:
        """A time later than all that was appended, and not later than what will be."""
        ...

    async def look_after_leases(self, consumer: Consumer) -> None:
        """What a member does by itself, now."""
        ...

    async def suspend(self, consumer: Consumer) -> None:
        """Its process stands still: nothing is renewed any more. Leaving its context gives nothing back."""
        ...

    async def let_leases_run_out(self) -> None:
        """Those that nobody renews are gone."""
        ...


def messages(count: int, *, keys: int = 20, topic: str = TOPIC) -> list[Message]:
    """Values are counted through, each key's in rising order."""
    return [
        Message(topic=topic, key=b"key %d" % (number % keys), value=b"%d" % number)
        for number in range(count)
    ]


async def take(
    consumer: Consumer, count: int, *, at_once: int = 100, commit: bool = False
) -> list[Entry]:
    """So many entries, however many polls it takes; the wait is a limit, not a pause."""
    found: list[Entry] = []

    async def enough() -> bool:
        polled = await consumer.poll(min(at_once, count - len(found)))
        found.extend(polled)
        if commit:
            await consumer.commit(polled)
        return len(found) == count

    await until_async(enough)
    return found


def values(entries: Iterable[Entry]) -> list[int]:
    return [int(entry.value) for entry in entries]


def in_order_by_key(entries: Iterable[Entry]) -> bool:
    last: dict[bytes, int] = {}
    for entry in entries:
        if int(entry.value) <= last.get(entry.key, -1):
            return False
        last[entry.key] = int(entry.value)
    return True


async def holds(world: LogWorld, consumer: Consumer, count: int) -> None:
    """Wait until it holds so many partitions."""

    async def has() -> bool:
        await world.look_after_leases(consumer)
        return len(consumer.partitions) == count

    await until_async(has)


class EventLogContract:
    """Inherit it."""

    @pytest.fixture
    async def log(self, world: LogWorld) -> EventLog:
        await world.log.create(TOPIC, partitions=PARTITIONS)
        return world.log

    # ---- append

    async def test_an_entry_comes_back_as_it_was_appended(self, log: EventLog) -> None:
        key, value = b"\x00\xff:\r\n", bytes(range(256))
        headers = {"traceparent": b"00-\xff", "origin": b""}
        place = await log.append(TOPIC, key, value, headers=headers)
        [entry] = await log.read(TOPIC, {place.partition: BEGINNING})
        assert (entry.topic, entry.partition, entry.position) == (
            TOPIC,
            place.partition,
            place.position,
        )
        assert (entry.key, entry.value, dict(entry.headers)) == (key, value, headers)
        assert entry.at.tzinfo is not None

    async def test_empty_key_and_value(self, log: EventLog) -> None:
        place = await log.append(TOPIC, b"", b"")
        [entry] = await log.read(TOPIC, {place.partition: BEGINNING})
        assert (entry.key, entry.value, dict(entry.headers)) == (b"", b"", {})

    async def test_the_most_headers(self, log: EventLog) -> None:
        headers = {f"name {n}": b"%d" % n for n in range(MOST_HEADERS)}
        place = await log.append(TOPIC, b"", b"", headers=headers)
        [entry] = await log.read(TOPIC, {place.partition: BEGINNING})
        assert dict(entry.headers) == headers

    async def test_a_megabyte(self, log: EventLog) -> None:
        value = bytes(range(250)) * 4_000
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            place = await log.append(TOPIC, b"key", value)
            [entry] = await take(consumer, 1)
        assert (entry.value, entry.position) == (value, place.position)

    async def test_what_is_too_large_is_refused_without_being_shown(self, log: EventLog) -> None:
        with pytest.raises(ValueError, match="1040007 bytes") as refusal:
            await log.append(TOPIC, b"planted", b"x" * LARGEST_BYTES)
        assert "planted" not in str(refusal.value)
        with pytest.raises(ValueError, match="101 headers"):
            await log.append(TOPIC, b"", b"", headers={str(n): b"" for n in range(101)})
        assert await log.end(TOPIC) == [BEGINNING] * PARTITIONS

    async def test_positions_are_in_the_order_of_the_messages(self, log: EventLog) -> None:
        sent = messages(50)
        places = await log.append_many(sent)
        for message, place in zip(sent, places, strict=True):
            assert place.partition == partition_of(message.key, PARTITIONS)
            [entry] = [
                entry
                for entry in await log.read(TOPIC, {place.partition: BEGINNING})
                if entry.position == place.position
            ]
            assert entry.value == message.value
        assert await log.append_many([]) == []

    # ---- topics

    async def test_creating_it_again_changes_nothing(self, world: LogWorld, log: EventLog) -> None:
        await log.append(TOPIC, b"key", b"1")
        assert await (await world.another()).create(TOPIC, partitions=PARTITIONS) == PARTITIONS
        assert sum(end > BEGINNING for end in await log.end(TOPIC)) == 1

    async def test_another_number_of_partitions_is_refused(
        self, world: LogWorld, log: EventLog
    ) -> None:
        with pytest.raises(PartitionMismatch) as refusal:
            await (await world.another()).create(TOPIC, partitions=3)
        assert (refusal.value.held, refusal.value.wanted) == (PARTITIONS, 3)
        assert await log.create("small", partitions=3) == 3
        assert len(await log.end("small")) == 3

    async def test_what_nobody_created_is_unknown(self, log: EventLog) -> None:
        with pytest.raises(UnknownTopic):
            await log.append("other", b"key", b"1")
        with pytest.raises(UnknownTopic):
            async with log.consumer(GROUP, ["other"]):
                raise AssertionError
        for asked in (
            log.read("other", {0: BEGINNING}),
            log.end("other"),
            log.groups("other"),
            log.lag(GROUP, "other"),
            log.seek(GROUP, "other", "start"),
            log.forget(GROUP, "other"),
            log.trim("other", keep_seconds=0),
            log.backlog("other"),
        ):
            with pytest.raises(UnknownTopic):
                await asked

    async def test_who_never_consumed_is_unknown(self, log: EventLog) -> None:
        for asked in (
            log.lag(GROUP, TOPIC),
            log.seek(GROUP, TOPIC, "start"),
            log.forget(GROUP, TOPIC),
        ):
            with pytest.raises(UnknownGroup):
                await asked

    @pytest.mark.parametrize("name", ["", "a:b", "ä", "a b", "a" * 250])
    async def test_names_that_kafka_refuses(self, log: EventLog, name: str) -> None:
        with pytest.raises(ValueError, match="named by letters"):
            await log.create(name)
        with pytest.raises(ValueError, match="named by letters"):
            async with log.consumer(name, [TOPIC]):
                raise AssertionError

    # ---- consuming

    async def test_every_entry_once_and_each_key_in_order(self, log: EventLog) -> None:
        await log.append_many(messages(300))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            entries = await take(consumer, 300, at_once=7, commit=True)
            assert await consumer.poll() == []
        assert in_order_by_key(entries)
        assert sorted(values(entries)) == list(range(300))
        assert await log.lag(GROUP, TOPIC) == [0] * PARTITIONS

    async def test_a_poll_takes_at_most_what_was_asked_for(self, log: EventLog) -> None:
        await log.append_many(messages(100))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            for most in (1, 3, 8, 20):
                assert 1 <= len(await consumer.poll(most)) <= most

    async def test_a_full_partition_does_not_hold_up_the_others(self, log: EventLog) -> None:
        await log.append_many(messages(200, keys=1))
        await log.append_many(messages(40, keys=40))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            seen = {entry.partition for _ in range(PARTITIONS) for entry in await consumer.poll(1)}
        assert len(seen) == PARTITIONS

    async def test_what_was_not_committed_comes_again_in_order(self, log: EventLog) -> None:
        await log.append_many(messages(60))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            done = await take(consumer, 25)
            await consumer.commit(done)
            left = await take(consumer, 35)
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            again = await take(consumer, 35)
            assert await consumer.poll() == []
        assert in_order_by_key(again)
        assert sorted(values(again)) == sorted(values(left))

    async def test_committing_less_again_does_not_move_back(self, log: EventLog) -> None:
        await log.append_many(messages(10, keys=1))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            entries = await take(consumer, 10)
            await consumer.commit(entries[:8])
            await consumer.commit(entries[:2])
            await consumer.commit([])
        assert sum(await log.lag(GROUP, TOPIC)) == 2

    async def test_places_may_be_committed_as_well(self, log: EventLog) -> None:
        places = await log.append_many(messages(3, keys=1))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            await take(consumer, 3)
            await consumer.commit([places[1]])
        assert sum(await log.lag(GROUP, TOPIC)) == 1

    async def test_groups_and_topics_are_apart(self, log: EventLog) -> None:
        await log.create("service.orders", partitions=2)
        await log.append_many(messages(10))
        await log.append_many(messages(6, topic="service.orders"))
        async with (
            log.consumer(GROUP, [TOPIC, "service.orders"]) as both,
            log.consumer("fhir", ["service.orders"]) as one,
        ):
            assert {entry.topic for entry in await take(both, 16, commit=True)} == {
                TOPIC,
                "service.orders",
            }
            assert values(await take(one, 6)) is not None
        assert await log.lag("fhir", "service.orders") != [0, 0]
        assert await log.lag(GROUP, "service.orders") == [0, 0]
        assert await log.groups("service.orders") == {GROUP, "fhir"}
        assert await log.groups(TOPIC) == {GROUP}

    async def test_a_new_group_may_begin_at_the_end(self, log: EventLog) -> None:
        await log.append_many(messages(10))
        async with log.consumer(GROUP, [TOPIC], start="end") as consumer:
            assert await consumer.poll() == []
            await log.append(TOPIC, b"key", b"99")
            assert values(await take(consumer, 1, commit=True)) == [99]
        async with log.consumer(GROUP, [TOPIC], start="start") as consumer:
            assert await consumer.poll() == []

    async def test_a_poll_that_waits_is_woken_by_an_append(self, log: EventLog) -> None:
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            waiting = tasks.spawn(consumer.poll(wait_seconds=3600), name="poll")
            await log.append(TOPIC, b"key", b"1")
            assert values(await waiting) == [1]

    async def test_a_poll_that_waits_in_vain_ends(self, log: EventLog) -> None:
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            assert await consumer.poll(wait_seconds=0.05) == []
            consumer.pause(TOPIC)
            assert await consumer.poll(wait_seconds=0.05) == []

    async def test_pausing_leaves_a_topic_out_and_keeps_the_leases(self, log: EventLog) -> None:
        await log.create("other", partitions=1)
        await log.append_many(messages(10))
        await log.append(topic="other", key=b"key", value=b"77")
        async with log.consumer(GROUP, [TOPIC, "other"]) as consumer:
            held = consumer.partitions
            consumer.pause(TOPIC)
            assert values(await take(consumer, 1)) == [77]
            assert await consumer.poll() == []
            assert consumer.partitions == held
            consumer.resume(TOPIC)
            assert sorted(values(await take(consumer, 10))) == list(range(10))

    # ---- sharing

    async def test_members_share_and_the_rest_takes_over_at_once(
        self, world: LogWorld, log: EventLog
    ) -> None:
        other = await world.another()
        async with log.consumer(GROUP, [TOPIC], member="one") as one:
            assert len(one.partitions) == PARTITIONS
            async with other.consumer(GROUP, [TOPIC], member="two") as two:
                await holds(world, one, 4)
                await holds(world, two, 4)
                assert not one.partitions & two.partitions
                async with other.consumer(GROUP, [TOPIC], member="three") as three:
                    await holds(world, one, 3)
                    await holds(world, two, 3)
                    await holds(world, three, 2)
                await holds(world, two, 4)
            assert two.partitions == frozenset()
            await holds(world, one, PARTITIONS)
        async with other.consumer(GROUP, [TOPIC], member="four") as four:
            assert len(four.partitions) == PARTITIONS, "at once, not when the leases run out"

    async def test_every_entry_reaches_one_of_two_members(
        self, world: LogWorld, log: EventLog
    ) -> None:
        other = await world.another()
        async with log.consumer(GROUP, [TOPIC]) as one, other.consumer(GROUP, [TOPIC]) as two:
            await holds(world, one, 4)
            await holds(world, two, 4)
            await log.append_many(messages(200))
            lags = await log.lag(GROUP, TOPIC)
            mine = await take(one, sum(lags[number] for _, number in one.partitions), commit=True)
            theirs = await take(two, sum(lags[number] for _, number in two.partitions), commit=True)
        assert sorted(values(mine + theirs)) == list(range(200))
        assert in_order_by_key(mine)
        assert in_order_by_key(theirs)

    async def test_a_partition_is_given_back_behind_its_commit(
        self, world: LogWorld, log: EventLog
    ) -> None:
        """Else every member that joins would cause repetitions."""
        await log.append_many(messages(100, keys=50))
        async with log.consumer(GROUP, [TOPIC]) as one:
            entries = await take(one, 100)
            assert len({entry.partition for entry in entries}) == PARTITIONS
            async with log.consumer(GROUP, [TOPIC]) as two:
                await world.look_after_leases(one)
                await world.look_after_leases(two)
                assert two.partitions == frozenset()
                await one.commit(entries)
                await holds(world, one, 4)
                await holds(world, two, 4)
                assert await two.poll() == []

    async def test_what_a_dead_member_held_goes_on_behind_its_commits(
        self, world: LogWorld, log: EventLog
    ) -> None:
        await log.append_many(messages(100))
        other = await world.another()
        async with other.consumer(GROUP, [TOPIC]) as dead:
            await dead.commit(await take(dead, 30))
            await take(dead, 20)
            await world.suspend(dead)
            async with log.consumer(GROUP, [TOPIC]) as heir:
                assert heir.partitions == frozenset()
                await world.let_leases_run_out()
                await holds(world, heir, PARTITIONS)
                entries = await take(heir, 70, commit=True)
                assert await heir.poll() == []
        assert in_order_by_key(entries)
        assert sum(await log.lag(GROUP, TOPIC)) == 0

    async def test_a_member_that_stood_still_is_fenced(
        self, world: LogWorld, log: EventLog
    ) -> None:
        await log.append_many(messages(40, keys=1))
        other = await world.another()
        async with other.consumer(GROUP, [TOPIC]) as zombie:
            stale = await take(zombie, 30)
            await world.suspend(zombie)
            async with log.consumer(GROUP, [TOPIC]) as heir:
                await world.let_leases_run_out()
                await holds(world, heir, PARTITIONS)
                await heir.commit(await take(heir, 5))
                with pytest.raises(Fenced) as refusal:
                    await zombie.commit(stale)
                assert refusal.value.partitions == {(TOPIC, stale[0].partition)}
                assert sum(await log.lag(GROUP, TOPIC)) == 35
                assert values(await take(heir, 35)) == list(range(5, 40))

    async def test_a_member_that_stood_still_polls_nothing_that_others_hold(
        self, world: LogWorld, log: EventLog
    ) -> None:
        other = await world.another()
        async with other.consumer(GROUP, [TOPIC]) as zombie:
            await world.suspend(zombie)
            async with log.consumer(GROUP, [TOPIC]) as heir:
                await world.let_leases_run_out()
                await holds(world, heir, PARTITIONS)
                await log.append_many(messages(40))
                assert zombie.partitions == heir.partitions, "it has not heard of it"
                assert await zombie.poll() == []
                assert await heir.poll() != []

    async def test_what_was_not_polled_cannot_be_committed(self, log: EventLog) -> None:
        sent = messages(20)
        places = await log.append_many(sent)
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            with pytest.raises(Fenced):
                await consumer.commit(places)
            assert sum(await log.lag(GROUP, TOPIC)) == 20
            entries = await take(consumer, 20)
            last = entries[-1]
            invented = Place(
                topic=TOPIC, partition=last.partition, position=Position(last.position + 1)
            )
            others = [entry for entry in entries if entry.partition != last.partition]
            with pytest.raises(Fenced) as refusal:
                await consumer.commit([*others, invented])
            assert refusal.value.partitions == {(TOPIC, last.partition)}
        assert sum(await log.lag(GROUP, TOPIC)) == 20 - len(others)

    # ---- lag, seek, forget

    async def test_lag_counts_what_is_not_committed(self, log: EventLog) -> None:
        places = await log.append_many(messages(50))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            expected = [
                sum(place.partition == number for place in places) for number in range(PARTITIONS)
            ]
            assert await log.lag(GROUP, TOPIC) == expected
            entries = await take(consumer, 50)
            assert await log.lag(GROUP, TOPIC) == expected
            await consumer.commit(entries[:1])
            assert sum(await log.lag(GROUP, TOPIC)) == 49

    async def test_seek_to_start_and_end_while_nobody_consumes(self, log: EventLog) -> None:
        await log.append_many(messages(30))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            await take(consumer, 30, commit=True)
        await log.seek(GROUP, TOPIC, "start")
        assert sum(await log.lag(GROUP, TOPIC)) == 30
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            assert len(await take(consumer, 30)) == 30
        await log.seek(GROUP, TOPIC, "end")
        assert sum(await log.lag(GROUP, TOPIC)) == 0
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            assert await consumer.poll() == []

    async def test_seek_to_a_moment(self, world: LogWorld, log: EventLog) -> None:
        before = await world.moment()
        await log.append_many(messages(20))
        moment = await world.moment()
        await log.append_many(messages(17))
        after = await world.moment()
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            await take(consumer, 37, commit=True)
        for to, behind in ((moment, 17), (before, 37), (after, 0)):
            await log.seek(GROUP, TOPIC, to)
            assert sum(await log.lag(GROUP, TOPIC)) == behind
        await log.seek(GROUP, TOPIC, moment)
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            assert sorted(values(await take(consumer, 17))) == list(range(17))

    async def test_seek_to_positions_moves_the_named_partitions(self, log: EventLog) -> None:
        places = await log.append_many(messages(10, keys=1))
        partition = places[0].partition
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            await take(consumer, 10, commit=True)
        await log.seek(GROUP, TOPIC, {partition: places[5].position})
        assert sum(await log.lag(GROUP, TOPIC)) == 4
        await log.seek(GROUP, TOPIC, {partition: Position(places[9].position + 1000)})
        await log.append(TOPIC, b"key 0", b"10")
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            assert values(await take(consumer, 1)) == [10]
        with pytest.raises(ValueError, match="8 partitions"):
            await log.seek(GROUP, TOPIC, {PARTITIONS: BEGINNING})

    async def test_a_running_member_follows_a_seek(self, world: LogWorld, log: EventLog) -> None:
        await log.append_many(messages(30))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            await consumer.commit(await take(consumer, 20))
            stale = await take(consumer, 5)
            await (await world.another()).seek(GROUP, TOPIC, "start")
            with pytest.raises(Fenced):
                await consumer.commit(stale)
            assert sum(await log.lag(GROUP, TOPIC)) == 30
            entries = await take(consumer, 30, commit=True)
        assert sorted(values(entries)) == list(range(30))
        assert in_order_by_key(entries)

    async def test_an_old_commit_does_not_undo_a_seek(self, world: LogWorld, log: EventLog) -> None:
        """Also when the member holds the partition again: it has not seen the entries between."""
        await log.append_many(messages(30, keys=1))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            stale = await take(consumer, 30)
            await log.seek(GROUP, TOPIC, "start")
            await consumer.poll(1)
            await holds(world, consumer, PARTITIONS)
            with pytest.raises(Fenced):
                await consumer.commit(stale)
        assert sum(await log.lag(GROUP, TOPIC)) == 30

    async def test_a_forgotten_group_is_new_again(self, log: EventLog) -> None:
        await log.append_many(messages(10))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            await take(consumer, 10, commit=True)
            with pytest.raises(GroupInUse):
                await log.forget(GROUP, TOPIC)
        await log.forget(GROUP, TOPIC)
        assert await log.groups(TOPIC) == frozenset()
        with pytest.raises(UnknownGroup):
            await log.lag(GROUP, TOPIC)
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            assert len(await take(consumer, 10)) == 10

    # ---- trim

    async def test_trim_leaves_what_any_group_has_not_committed(
        self, world: LogWorld, log: EventLog
    ) -> None:
        await log.append_many(messages(40))
        async with (
            log.consumer(GROUP, [TOPIC]) as fast,
            log.consumer("slow", [TOPIC]) as slow,
        ):
            await take(fast, 40, commit=True)
            await slow.commit(await take(slow, 15))
            await world.moment()
            assert await log.trim(TOPIC, keep_seconds=0) == 15
            assert (await log.backlog(TOPIC)).entries == 25
            assert await log.trim(TOPIC, keep_seconds=0) == 0
            assert len(await take(slow, 25, commit=True)) == 25
            assert await log.trim(TOPIC, keep_seconds=0) == 25
            await log.append_many(messages(5))
            assert len(await take(fast, 5)) == 5
            assert sum(await log.lag("slow", TOPIC)) == 5
        async with log.consumer("slow", [TOPIC]) as slow:
            assert len(await take(slow, 5)) == 5

    async def test_trim_leaves_what_is_young(self, world: LogWorld, log: EventLog) -> None:
        await log.append_many(messages(40))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            await take(consumer, 40, commit=True)
        await world.moment()
        assert await log.trim(TOPIC, keep_seconds=3600) == 0
        assert await log.trim(TOPIC, keep_seconds=0) == 40

    async def test_trim_without_groups_is_by_word_only(
        self, world: LogWorld, log: EventLog
    ) -> None:
        await log.append_many(messages(40))
        await world.moment()
        assert await log.trim(TOPIC, keep_seconds=0) == 0
        assert await log.trim(TOPIC, keep_seconds=0, ungrouped=True) == 40
        assert await log.trim(TOPIC, keep_seconds=0, ungrouped=True) == 0

    async def test_a_group_sent_back_to_the_start_gets_what_is_left(
        self, world: LogWorld, log: EventLog
    ) -> None:
        await log.append_many(messages(10, keys=1))
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            await consumer.commit(await take(consumer, 4))
        await world.moment()
        assert await log.trim(TOPIC, keep_seconds=0) == 4
        await log.seek(GROUP, TOPIC, "start")
        assert sum(await log.lag(GROUP, TOPIC)) == 6
        async with log.consumer(GROUP, [TOPIC]) as consumer:
            assert values(await take(consumer, 6)) == list(range(4, 10))

    async def test_backlog_says_how_much_waits_and_for_how_long(
        self, world: LogWorld, log: EventLog
    ) -> None:
        empty = await log.backlog(TOPIC)
        assert (empty.entries, empty.unconsumed, empty.oldest_seconds) == (0, 0, None)
        await log.append_many(messages(10))
        assert (await log.backlog(TOPIC)).unconsumed == 0, "nobody is to consume it"
        async with (
            log.consumer(GROUP, [TOPIC]) as fast,
            log.consumer("slow", [TOPIC]) as slow,
        ):
            await take(fast, 10, commit=True)
            entries = await take(slow, 10)
            await world.moment()
            waiting = await log.backlog(TOPIC)
            assert (waiting.entries, waiting.unconsumed) == (10, 10)
            assert waiting.oldest_seconds is not None
            assert 0 < waiting.oldest_seconds < 3600
            await slow.commit(entries)
        done = await log.backlog(TOPIC)
        assert (done.entries, done.unconsumed, done.oldest_seconds) == (10, 0, None)

    # ---- reading without a group

    async def test_read_page_by_page_to_the_tail(self, log: EventLog) -> None:
        places = await log.append_many(messages(25, keys=1))
        partition = places[0].partition
        end = (await log.end(TOPIC))[partition]
        assert end == places[-1].position
        found: list[Entry] = []
        while not found or found[-1].position < end:
            after = found[-1].position if found else BEGINNING
            found += await log.read(TOPIC, {partition: after}, limit=10)
        assert values(found) == list(range(25))
        assert await log.read(TOPIC, {partition: end}) == []
        with pytest.raises(ValueError, match="no partition 8"):
            await log.read(TOPIC, {PARTITIONS: BEGINNING})

    @pytest.mark.parametrize("held", [0, 3])
    async def test_a_read_that_waits_is_woken_by_an_append(self, log: EventLog, held: int) -> None:
        await log.append_many(messages(held, keys=1))
        partition = partition_of(b"key 0", PARTITIONS)
        after = (await log.end(TOPIC))[partition]
        waiting = tasks.spawn(log.read(TOPIC, {partition: after}, wait_seconds=3600), name="read")
        await log.append(TOPIC, b"key 0", b"9")
        assert values(await waiting) == [9]
        end = (await log.end(TOPIC))[partition]
        assert await log.read(TOPIC, {partition: end}, wait_seconds=0.05) == []

    async def test_several_partitions_are_read_at_once(self, log: EventLog) -> None:
        await log.append_many(messages(40))
        ends = dict(enumerate(await log.end(TOPIC)))
        after = dict.fromkeys(ends, BEGINNING)
        found: list[Entry] = []
        while page := await log.read(TOPIC, after, limit=2):
            counts = Counter(entry.partition for entry in page)
            assert max(counts.values()) <= 2
            assert all(entry.position > after[entry.partition] for entry in page)
            found += page
            after |= {entry.partition: entry.position for entry in page}
        assert after == ends
        assert sorted(values(found)) == list(range(40))
        waiting = tasks.spawn(log.read(TOPIC, after, wait_seconds=3600), name="read")
        place = await log.append(TOPIC, b"key 3", b"40")
        [entry] = await waiting
        assert (entry.partition, entry.position) == (place.partition, place.position)

    async def test_a_reader_hears_of_what_it_has_missed(
        self, world: LogWorld, log: EventLog
    ) -> None:
        places = await log.append_many(messages(10, keys=1))
        partition = places[0].partition
        await world.moment()
        await log.trim(TOPIC, keep_seconds=0, ungrouped=True)
        for place in places[:-1]:
            with pytest.raises(PositionLost):
                await log.read(TOPIC, {partition: place.position})
        assert await log.read(TOPIC, {partition: places[-1].position}) == []
        await log.append(TOPIC, b"key 0", b"10")
        with pytest.raises(PositionLost):
            await log.read(TOPIC, {partition: places[3].position})
        with pytest.raises(PositionLost):
            await log.read(TOPIC, {partition: Position(places[-1].position + 1000)})
        assert values(await log.read(TOPIC, {partition: places[-1].position})) == [10]
        assert values(await log.read(TOPIC, {partition: BEGINNING})) == [10]

    async def test_read_back_page_by_page_to_the_front(self, log: EventLog) -> None:
        places = await log.append_many(messages(25, keys=1))
        partition = places[0].partition
        found: list[Entry] = []
        before: Position | None = None
        while page := await log.read_back(TOPIC, partition, before=before, limit=10):
            found += page
            before = page[-1].position
        assert values(found) == list(reversed(range(25)))
        assert await log.read_back(TOPIC, partition, before=BEGINNING) == []
        behind_all = Position(places[-1].position + 1000)
        [newest] = await log.read_back(TOPIC, partition, before=behind_all, limit=1)
        assert newest == found[0]
        assert await log.read_back(TOPIC, (partition + 1) % PARTITIONS) == []
        with pytest.raises(ValueError, match="no partition"):
            await log.read_back(TOPIC, PARTITIONS)
        with pytest.raises(UnknownTopic):
            await log.read_back("of.tomorrow", 0)

    async def test_what_was_trimmed_is_not_read_back(self, log: EventLog, world: LogWorld) -> None:
        places = await log.append_many(messages(4, keys=1))
        await world.moment()
        assert await log.trim(TOPIC, keep_seconds=0, ungrouped=True) == 4
        kept = await log.append(TOPIC, b"key 0", b"4")
        assert values(await log.read_back(TOPIC, kept.partition)) == [4]
        assert await log.read_back(TOPIC, kept.partition, before=places[2].position) == []
