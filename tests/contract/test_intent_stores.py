"""What every store of open intents promises (migration/intents.py): one suite over PostgreSQL and the one in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from catalog.stage import Side
from migration.intent_store import PostgresIntents
from migration.intents import CLAIM_SECONDS, Announced, IntentStore, OpenIntent
from runtime.control_database import migrate_control
from runtime.intent import Closed, Intent, Outcome
from runtime.postgres import create_pool
from tests.fakes.clock import Clock
from tests.fakes.memory_intents import MemoryIntents

pytestmark = pytest.mark.contract

GRACE = 20.0
EVERYWHERE = range(8)


@dataclass(frozen=True, kw_only=True)
class Place:
    store: IntentStore
    pass_time: Callable[[float], Awaitable[None]]

    async def due(self) -> list[str]:
        return [open_.intent.id for open_ in await self.store.due(EVERYWHERE, 100)]


@pytest.fixture(
    params=[
        pytest.param("", id="memory"),
        pytest.param("empty_dsn", id="postgresql", marks=pytest.mark.stack),
    ]
)
def dsn(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param) if request.param else None


@pytest.fixture
async def place(dsn: str | None) -> AsyncIterator[Place]:
    if dsn is None:
        clock = Clock(1000.0)

        async def move(seconds: float) -> None:
            clock.now += seconds

        yield Place(store=MemoryIntents(clock), pass_time=move)
        return
    await migrate_control(dsn)
    pool = await create_pool(dsn, name="test", size=2)

    async def age(seconds: float) -> None:
        columns = ("seen_at", "resolve_at", "next_at", "closed_at")
        sets = ", ".join(f"{c} = {c} - $1 * interval '1 second'" for c in columns)
        await pool.execute(f"update control.intents set {sets}", seconds)

    yield Place(store=PostgresIntents(pool), pass_time=age)
    await pool.close()


def id_of(n: int) -> str:
    return str(UUID(int=n))


def intent(n: int, *, key: tuple[str, ...] | None = ("a~", '"b,')) -> Intent:
    return Intent(
        id=id_of(n),
        entity="partner_stock_levels",
        key=key,
        authority=Side.SERVICE,
        scope="scope",
        user="tag",
        epoch=7,
        correlation_id="c-1",
        grace_seconds=GRACE,
    )


def announced(n: int, partition: int = 3, **how: Any) -> Announced:
    return Announced(intent=intent(n, **how), partition=partition)


def closed(n: int, outcome: Outcome, key: tuple[str, ...] | None = None) -> Closed:
    return Closed(id=id_of(n), outcome=outcome, key=key)


async def test_an_intent_is_not_due_before_its_grace_time_is_over(place: Place) -> None:
    assert list(await place.store.take([announced(1)], [])) == []
    await place.pass_time(GRACE - 1)
    assert await place.due() == []
    await place.pass_time(1.5)
    assert await place.store.due(EVERYWHERE, 100) == [
        OpenIntent(intent=intent(1), partition=3, brought=None, outcome=None, ended=True)
    ]


async def test_what_is_taken_twice_keeps_its_first_time(place: Place) -> None:
    await place.store.take([announced(1)], [])
    await place.pass_time(GRACE - 1)
    await place.store.take([announced(1)], [])
    await place.pass_time(1.5)
    assert await place.due() == [id_of(1)]


@pytest.mark.parametrize("outcome", Outcome)
async def test_an_outcome_gives_the_intent_at_once(place: Place, outcome: Outcome) -> None:
    """In one call with it, too."""
    [open_] = await place.store.take([announced(1)], [closed(1, outcome)])
    assert open_ == OpenIntent(
        intent=intent(1), partition=3, brought=None, outcome=outcome, ended=False
    )
    assert open_.settles is (outcome is not Outcome.UNKNOWN)


async def test_whoever_was_given_it_is_left_alone_for_a_while(place: Place) -> None:
    await place.store.take([announced(1)], [closed(1, Outcome.APPLIED)])
    assert await place.due() == []
    await place.pass_time(CLAIM_SECONDS + 0.5)
    assert await place.due() == [id_of(1)]
    assert await place.due() == []


async def test_the_end_of_an_unknown_intent_is_nothing(place: Place) -> None:
    assert list(await place.store.take([], [closed(9, Outcome.APPLIED)])) == []


async def test_what_is_known_is_not_taken_back(place: Place) -> None:
    await place.store.take([announced(1)], [closed(1, Outcome.APPLIED)])
    [open_] = await place.store.take([], [closed(1, Outcome.UNKNOWN)])
    assert open_.outcome is Outcome.APPLIED
    await place.store.take([announced(2)], [closed(2, Outcome.UNKNOWN)])
    [open_] = await place.store.take([], [closed(2, Outcome.APPLIED)])
    assert open_.outcome is Outcome.APPLIED


async def test_an_outcome_brings_the_key_of_a_numbered_row_and_of_no_other(place: Place) -> None:
    both = [announced(1, key=None), announced(2)]
    ends = [closed(n, Outcome.APPLIED, ("17",)) for n in (1, 2)]
    one, two = sorted(await place.store.take(both, ends), key=lambda open_: open_.intent.id)
    assert (one.intent.key, one.brought, one.key) == (None, ("17",), ("17",))
    assert (two.brought, two.key) == (None, ("a~", '"b,'))


async def test_only_the_partitions_that_are_held(place: Place) -> None:
    await place.store.take([announced(1, 1), announced(2, 2)], [])
    await place.pass_time(GRACE + 1)
    assert [o.intent.id for o in await place.store.due([2, 5], 100)] == [id_of(2)]
    assert list(await place.store.due([], 100)) == []


async def test_no_more_than_asked_for_and_the_oldest_first(place: Place) -> None:
    for n in (3, 1, 2):
        await place.store.take([announced(n)], [])
        await place.pass_time(1)
    await place.pass_time(GRACE)
    assert {o.intent.id for o in await place.store.due(EVERYWHERE, 2)} == {id_of(3), id_of(1)}


async def test_putting_off(place: Place) -> None:
    await place.store.take(
        [announced(1), announced(2)], [closed(1, Outcome.UNKNOWN), closed(2, Outcome.UNKNOWN)]
    )
    await place.store.put_off({id_of(1): 2.0, id_of(2): None, id_of(9): 1.0})
    await place.pass_time(1)
    assert await place.due() == []
    await place.pass_time(1.5)
    assert await place.due() == [id_of(1)]
    await place.store.remove([id_of(1)])
    await place.pass_time(GRACE - 3)
    assert await place.due() == []
    await place.pass_time(1)
    assert await place.due() == [id_of(2)]


async def test_what_is_removed_is_gone(place: Place) -> None:
    await place.store.take([announced(1), announced(2)], [])
    await place.store.remove([id_of(1), id_of(9)])
    await place.pass_time(GRACE + 1)
    assert await place.due() == [id_of(2)]
