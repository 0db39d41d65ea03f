"""What comparisons have found, kept in a real control database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from runtime.control_database import migrate_control
from runtime.flagstore import StoreUnavailable
from runtime.postgres import create_pool, pool_for
from runtime.shadowstore import (
    KEPT_DAYS,
    SLOT_SECONDS,
    Count,
    Example,
    ShadowStore,
    ignore,
    unignore,
)

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC)
SLOT = datetime.fromtimestamp(NOW.timestamp() // SLOT_SECONDS * SLOT_SECONDS, UTC)
MINUTE = timedelta(minutes=1)
COUNT = Count(
    slot=SLOT,
    writer="host.1.2",
    release="r1",
    route="/v2/lab-orders",
    candidate="service",
    noise=False,
    document={"tally": {"pairs": 2**53 + 1}, "primary": [1, 0], "candidate": []},
)
EXAMPLE = Example(
    id=UUID(int=1),
    at=NOW,
    correlation_id="corr-12345678",
    route="/v2/lab-orders",
    entity="lab_orders",
    candidate="service",
    noise=False,
    release="r1",
    flag_version=7,
    kind="value",
    path="items[].currency",
    field="currency",
    decides=True,
    row=f"e1:{'0' * 32}",
    sealed_key=b"\x01sealed\x00",
    left={"type": "text", "length": "1-7", "tag": f"e1:{'a' * 32}", "said": ""},
    right={"type": "null", "length": "", "tag": "", "said": ""},
)


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate_control(empty_dsn)
    pool = await create_pool(empty_dsn, name="test", size=4)
    yield pool
    await pool.close()


@pytest.fixture
def store(pool: asyncpg.Pool) -> ShadowStore:
    return ShadowStore(pool)


async def test_what_is_put_comes_back_as_it_was(store: ShadowStore) -> None:
    await store.put([COUNT], [EXAMPLE])
    assert await store.counts(SLOT) == [COUNT]
    [example] = await store.of_request(EXAMPLE.correlation_id)
    assert example == EXAMPLE
    assert type(example.id) is UUID


async def test_a_repeat_changes_nothing_and_a_later_count_replaces_its_own(
    store: ShadowStore,
) -> None:
    others = [
        replace(COUNT, slot=SLOT - timedelta(seconds=SLOT_SECONDS)),
        replace(COUNT, writer="host.2.2"),
        replace(COUNT, release="r2"),
        replace(COUNT, route="/v2/lab-orders/{key}"),
        replace(COUNT, candidate="legacy"),
        replace(COUNT, noise=True),
    ]
    for _ in range(2):
        await store.put([COUNT, *others], [EXAMPLE])
    later = replace(COUNT, document={"tally": {"pairs": 9}})
    await store.put([later], [])
    found = await store.counts(SLOT - timedelta(hours=1))
    assert len(found) == 1 + len(others)
    assert later in found
    assert COUNT not in found
    assert all(other in found for other in others)
    assert len(await store.of_request(EXAMPLE.correlation_id)) == 1


async def test_all_of_a_put_or_nothing(store: ShadowStore) -> None:
    with pytest.raises(StoreUnavailable):
        await store.put([COUNT], [replace(EXAMPLE, candidate="nobody")])
    assert await store.counts(SLOT) == []


async def test_counts_are_asked_for_by_slot_and_route(store: ShadowStore) -> None:
    item = replace(COUNT, route="/v2/lab-orders/{key}")
    await store.put([COUNT, item], [])
    assert await store.counts(SLOT, route=item.route) == [item]
    assert await store.counts(SLOT + timedelta(microseconds=1)) == []
    assert await store.counts(SLOT - MINUTE, until=SLOT) == []
    assert len(await store.counts(SLOT - MINUTE, until=SLOT + MINUTE)) == 2


async def test_examples_are_asked_for_newest_first_by_route_and_field(store: ShadowStore) -> None:
    named = [
        replace(EXAMPLE, id=uuid4(), at=NOW - 3 * MINUTE, field=""),
        replace(EXAMPLE, id=uuid4(), at=NOW - 2 * MINUTE, route="/v2/lab-orders/{key}"),
        replace(EXAMPLE, id=uuid4(), at=NOW - MINUTE, field="status"),
        EXAMPLE,
    ]
    await store.put([], named)
    hour_ago = NOW - timedelta(hours=1)
    assert await store.examples(hour_ago) == named[::-1]
    assert await store.examples(hour_ago, limit=1) == [EXAMPLE]
    assert await store.examples(NOW - MINUTE) == [EXAMPLE, named[2]]
    assert await store.examples(hour_ago, field="") == [named[0]]
    assert await store.examples(hour_ago, field="status", route="/v2/lab-orders") == [named[2]]
    assert await store.examples(hour_ago, route="/v2/lab-orders/{key}") == [named[1]]
    assert await store.of_request("corr-of-nobody") == []


async def test_what_is_older_than_thirty_days_is_purged_and_nothing_else(
    store: ShadowStore,
) -> None:
    kept, gone = (NOW - timedelta(days=KEPT_DAYS) + timedelta(hours=by) for by in (12, -12))
    await store.put(
        [replace(COUNT, slot=kept), replace(COUNT, slot=gone), replace(COUNT, slot=gone, noise=True)],
        [replace(EXAMPLE, id=uuid4(), at=gone), replace(EXAMPLE, at=kept)],
    )  # fmt: skip
    assert await store.purge() == 3
    assert await store.purge() == 0
    long_ago = NOW - timedelta(days=90)
    assert [one.slot for one in await store.counts(long_ago)] == [kept]
    assert [one.at for one in await store.examples(long_ago)] == [kept]


async def test_an_ignored_column_is_in_force_from_its_entry_until_its_day(
    pool: asyncpg.Pool, store: ShadowStore
) -> None:
    until = NOW + timedelta(days=2)
    async with pool.acquire() as connection, connection.transaction():
        await ignore(connection, "lab_orders.currency", reason="known", until=until, who="a@b")
    later = datetime.now(UTC)
    [one] = await store.ignored(later)
    assert (one.path, one.reason, one.until, one.who) == (
        "lab_orders.currency", "known", until, "a@b",
    )  # fmt: skip
    assert await store.ignored(NOW - MINUTE) == []
    assert len(await store.ignored(until - timedelta(microseconds=1))) == 1
    assert await store.ignored(until) == []


async def test_an_entry_is_replaced_and_taken_back_and_what_was_stays_known(
    pool: asyncpg.Pool, store: ShadowStore
) -> None:
    async def enter(reason: str) -> datetime:
        async with pool.acquire() as connection, connection.transaction():
            until = NOW + timedelta(days=2)
            await ignore(connection, "lab_orders.currency", reason=reason, until=until, who="a@b")
        return datetime.now(UTC)

    first = await enter("one")
    second = await enter("two")
    assert [one.reason for one in await store.ignored(second)] == ["two"]
    assert [one.reason for one in await store.ignored(first)] == ["one"]
    async with pool.acquire() as connection, connection.transaction():
        assert await unignore(connection, "lab_orders.currency")
        assert not await unignore(connection, "lab_orders.currency")
        assert not await unignore(connection, "lab_orders.status")
    assert await store.ignored(datetime.now(UTC)) == []


async def test_two_people_at_once_leave_one_entry(pool: asyncpg.Pool, store: ShadowStore) -> None:
    async def enter(who: str) -> None:
        async with pool.acquire() as connection, connection.transaction():
            until = NOW + timedelta(days=2)
            await ignore(connection, "lab_orders.currency", reason="x", until=until, who=who)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(enter(who) for who in ("a@b", "b@b", "c@b")))
    assert len(await store.ignored(datetime.now(UTC))) == 1


async def test_an_expired_entry_was_not_in_force(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await ignore(connection, "lab_orders.currency", reason="x", until=NOW - MINUTE, who="a@b")
        assert not await unignore(connection, "lab_orders.currency")


async def test_a_database_that_is_away_is_said_to_be(store: ShadowStore) -> None:
    async with pool_for("postgresql://nobody@127.0.0.1:1/x", name="test", size=1) as away:
        gone = ShadowStore(away)
        for call in (gone.put([COUNT], []), gone.counts(NOW), gone.examples(NOW), gone.purge()):
            with pytest.raises(StoreUnavailable):
                await call


@pytest.mark.parametrize(
    "values",
    [{"kind": "Anna"}, {"row": "anna"}, {"entity": "Anna A"}, {"left": {"type": "x" * 1000}}],
)
async def test_what_is_no_word_of_ours_is_not_stored(
    store: ShadowStore, values: dict[str, Any]
) -> None:
    with pytest.raises(StoreUnavailable):
        await store.put([], [replace(EXAMPLE, **values)])
