"""The feed of pins over an event log in memory: what it knows before new flags are taken, and what it says of itself."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from catalog.stage import Side
from gateway import pinfeed
from gateway.pinfeed import PinFeed
from gateway.pins import Pins
from runtime.eventlog.errors import LogUnavailable
from runtime.eventlog.memory import MemoryLog
from runtime.eventlog.protocol import Entry, Position
from runtime.intent import TOPIC, Intent, encode, stream_key
from tests.until import until_async

pytestmark = pytest.mark.unit

INTENT = Intent(
    id="1",
    entity="lab_orders",
    key=("k",),
    authority=Side.SERVICE,
    scope="",
    user="u",
    epoch=1,
    correlation_id="c",
    grace_seconds=1,
)


class Troubled(MemoryLog):
    """So many questions for its end fail."""

    troubles = 0

    async def end(self, topic: str) -> list[Position]:
        if self.troubles:
            self.troubles -= 1
            raise LogUnavailable("away")
        return await super().end(topic)


async def nothing_taken() -> Sequence[Intent]:
    return ()


@pytest.fixture
async def log() -> Troubled:
    log = Troubled(partitions=2)
    await log.create(TOPIC)
    await log.append(TOPIC, stream_key(INTENT), encode(INTENT))
    return log


async def test_one_lost_answer_costs_no_pin(log: Troubled) -> None:
    pins = Pins()
    log.troubles = 1
    feed = PinFeed(log, nothing_taken, pins)
    assert await feed.catch_up()
    assert pins.sides("u", "lab_orders") == {Side.SERVICE}
    assert not feed.behind


async def test_a_log_that_stays_away_is_told_and_holds_nothing_up_for_long(
    log: Troubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinfeed, "CATCH_UP_SECONDS", 0.05)
    log.troubles = 1_000_000
    feed = PinFeed(log, nothing_taken, Pins())
    assert not await feed.catch_up()
    assert feed.behind


async def test_who_has_started_knows_what_was_announced_before(log: Troubled) -> None:
    pins = Pins()
    feed = PinFeed(log, nothing_taken, pins)
    await feed.start()
    assert pins.sides("u", "lab_orders") == {Side.SERVICE}
    await feed.stop()


async def test_who_was_behind_is_so_no_more_once_the_stream_is_read(
    log: Troubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinfeed, "CATCH_UP_SECONDS", 0.05)
    log.troubles = 1_000_000
    feed = PinFeed(log, nothing_taken, Pins())
    await feed.start()
    assert feed.behind
    log.troubles = 0

    async def caught_up() -> bool:
        return not feed.behind

    await until_async(caught_up)
    await feed.stop()


class Deaf(MemoryLog):
    """No reader hears that it is cancelled, as may happen in redis-py on Python 3.11."""

    waiting = False

    async def read(
        self,
        topic: str,
        after: Mapping[int, Position],
        *,
        limit: int = 100,
        wait_seconds: float = 0.0,
    ) -> list[Entry]:
        self.waiting = self.waiting or wait_seconds > 0
        try:
            return await super().read(topic, after, limit=limit, wait_seconds=wait_seconds)
        except asyncio.CancelledError:
            return []


async def test_a_cancellation_that_is_swallowed_holds_no_end_up() -> None:
    log = Deaf(partitions=2)
    await log.create(TOPIC)
    feed = PinFeed(log, nothing_taken, Pins())
    await feed.start()

    async def follows() -> bool:
        return log.waiting

    await until_async(follows)
    # Longer than `tasks.stop` waits before it asks again.
    async with asyncio.timeout(10):
        await feed.stop()
