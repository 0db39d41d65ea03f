"""What every ledger promises (migration/ledger.py): one suite over PostgreSQL and the one in memory."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from catalog.stage import Side
from migration.divergence import CLAIM_SECONDS, Claimed, Failure, Hold, State
from migration.ledger import Ledger, PostgresLedger
from runtime.control_database import migrate_control
from runtime.postgres import create_pool
from tests.fakes.clock import Clock
from tests.fakes.memory_ledger import MemoryLedger

pytestmark = pytest.mark.contract

STOCK, LABELS = "partner_stock_levels", "partner_label_queue"
KEY, OTHER = ("p", "A~ /", "ü"), ("p", "A", "")
WAIT = 8.0


@dataclass(frozen=True, kw_only=True)
class Place:
    ledger: Ledger
    pass_time: Callable[[float], Awaitable[None]]
    follows: Callable[[], Awaitable[list[bool]]]
    """For each incident, in the order of their beginnings, whether it follows one."""

    async def hold(self, key: tuple[str, ...] = KEY) -> Hold | None:
        return (await self.ledger.holds(STOCK, Side.LEGACY, [key])).get(key)

    async def book(self, state: State = State.RETRYING, seconds: float = WAIT) -> None:
        failure = Failure(state=state, reason="40001", seconds=seconds, correlation_id="c-1")
        await self.ledger.book(STOCK, Side.LEGACY, {KEY: failure})


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
        memory = MemoryLedger(clock)

        async def move(seconds: float) -> None:
            clock.now += seconds

        async def told() -> list[bool]:
            return [one.follows is not None for one in memory.incidents]

        yield Place(ledger=memory, pass_time=move, follows=told)
        return
    await migrate_control(dsn)
    pool = await create_pool(dsn, name="test", size=2)

    async def age(seconds: float) -> None:
        await pool.execute(
            "update control.divergences set next_at = next_at - $1::float8 * interval '1 second',"
            " first_seen = first_seen - $1::float8 * interval '1 second',"
            " redriven_at = redriven_at - $1::float8 * interval '1 second'",
            seconds,
        )

    async def follows() -> list[bool]:
        rows = await pool.fetch("select follows from control.divergences order by id")
        return [row["follows"] is not None for row in rows]

    yield Place(ledger=PostgresLedger(pool), pass_time=age, follows=follows)
    await pool.close()


async def test_nothing_holds_an_unknown_key(place: Place) -> None:
    assert await place.hold() is None
    assert list(await place.ledger.claim(10)) == []


async def test_a_failure_holds_its_key_of_its_side_alone(place: Place) -> None:
    await place.book()
    hold = await place.hold()
    assert hold is not None
    assert hold.attempts == 1
    assert WAIT - 2 < hold.seconds <= WAIT
    assert await place.hold(OTHER) is None
    assert await place.ledger.holds(STOCK, Side.SERVICE, [KEY]) == {}
    assert await place.ledger.holds(LABELS, Side.LEGACY, [KEY]) == {}


async def test_a_claim_is_for_what_is_due_and_for_one(place: Place) -> None:
    await place.book()
    assert list(await place.ledger.claim(10)) == []
    await place.pass_time(WAIT)
    claimed = Claimed(entity=STOCK, key=KEY, side=Side.LEGACY, attempts=1)
    assert list(await place.ledger.claim(10)) == [claimed]
    assert list(await place.ledger.claim(10)) == []
    await place.pass_time(CLAIM_SECONDS)
    assert list(await place.ledger.claim(10)) == [claimed]


async def test_one_more_try_is_the_same_incident(place: Place) -> None:
    for _ in range(3):
        await place.book()
    hold = await place.hold()
    assert hold is not None
    assert hold.attempts == 3
    assert await place.follows() == [False]


async def test_what_is_in_quarantine_stays_there_until_it_is_solved(place: Place) -> None:
    await place.book()
    await place.book(State.QUARANTINED, math.inf)
    await place.book(State.RETRYING)
    hold = await place.hold()
    assert hold is not None
    assert hold.seconds == math.inf
    await place.pass_time(10 * WAIT)
    assert list(await place.ledger.claim(10)) == []
    assert await place.ledger.redrive(STOCK, [KEY]) == 1, "it was still there"
    await place.ledger.solve(STOCK, Side.LEGACY, [KEY])
    assert await place.hold() is None


async def test_what_comes_back_is_a_new_incident_that_names_the_old_one(place: Place) -> None:
    await place.ledger.solve(STOCK, Side.LEGACY, [KEY])
    await place.book()
    await place.ledger.solve(STOCK, Side.LEGACY, [OTHER])
    assert await place.hold() is not None
    await place.ledger.solve(STOCK, Side.LEGACY, [KEY])
    assert await place.hold() is None
    await place.book()
    hold = await place.hold()
    assert hold is not None
    assert hold.attempts == 1
    assert await place.follows() == [False, True]


async def test_after_fifteen_minutes_it_is_in_quarantine_however_often_it_was_seen(
    place: Place,
) -> None:
    await place.book()
    await place.pass_time(14 * 60 + 58)
    await place.book()
    assert await place.ledger.expire() == 0
    await place.pass_time(2.5)
    assert await place.ledger.expire() == 1
    assert await place.ledger.expire() == 0
    hold = await place.hold()
    assert hold is not None
    assert hold.seconds == math.inf


async def test_what_is_solved_in_time_is_never_overdue(place: Place) -> None:
    await place.book()
    await place.ledger.solve(STOCK, Side.LEGACY, [KEY])
    await place.pass_time(3600)
    assert await place.ledger.expire() == 0


async def test_what_is_redriven_is_due_at_once_and_has_its_time_again(place: Place) -> None:
    await place.book(State.QUARANTINED, math.inf)
    await place.pass_time(3600)
    for entity, keys in ((LABELS, None), (STOCK, [OTHER])):
        assert await place.ledger.redrive(entity, keys) == 0
    assert await place.ledger.redrive(STOCK, [KEY]) == 1
    assert await place.ledger.redrive(None, None) == 0
    [claimed] = await place.ledger.claim(10)
    assert claimed.attempts == 0
    assert await place.ledger.expire() == 0
    await place.pass_time(15 * 60 + 1)
    assert await place.ledger.expire() == 1
