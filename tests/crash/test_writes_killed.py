"""kill -9 at the crash points of a write (data-rules section 8, N1 to N5 and W1 to W7), with clients that repeat.

Gateways and the service die at a failpoint. Inside legacy there is none of ours: its REST process is halted or killed while
a trigger holds its transaction, so W1 to W3 of legacy are what such a death leaves, of a stand-in over a real PostgreSQL.
N3 is in test_mirror_killed.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import httpx
import pytest

from benchmarks.world import sandbox
from benchmarks.writes.caller import Ask, Caller
from benchmarks.writes.edge_world import edge_world
from benchmarks.writes.troubles import TROUBLES, met
from catalog.stage import Side
from runtime.eventlog.redis_log import RedisLog
from runtime.intent import Intent
from runtime.stack import Stack
from runtime.tasks import spawn
from tests.crash.hold import Hold, hold
from tests.crash.write_world import (
    NOTHING,
    TABLES,
    WHOLE,
    WITHIN,
    WriteWorld,
    died_of_it,
    said,
    start_again,
    write_world,
)
from tests.until import until_async

pytestmark = pytest.mark.crash

NUMBERS = {Side.LEGACY: 5, Side.SERVICE: 6}
"""Redis databases of gateways whose event log is cut off."""

SCALE = 60
AT_ONCE = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
async def killed_world(folder: Path) -> AsyncIterator[WriteWorld]:
    with sandbox(folder, scale=SCALE) as stack:
        async with write_world(stack, folder) as made:
            yield made


@pytest.fixture
async def world(killed_world: WriteWorld) -> AsyncIterator[WriteWorld]:
    """Whatever a test that failed has left behind: the service is alive, and nobody stands still."""
    if killed_world.mortal_service.process.poll() is not None:
        await start_again(killed_world.mortal_service)
    yield killed_world
    for name in ("legacy", "mirror", "relay"):
        await killed_world.signal(name, SIGCONT)


async def on_both_sides(check: Callable[[Side], Coroutine[Any, Any, None]]) -> None:
    """At once: most of the time they wait for leases and grace times."""
    async with asyncio.TaskGroup() as group:
        for side in Side:
            group.create_task(check(side))


async def insisted(edge: Caller, ask: Ask) -> httpx.Response:
    """The answer of a client that repeats until it has one."""
    return (await edge.insist(ask, seconds=WITHIN)).response


# --- the gateway


async def killed_gateway(world: WriteWorld, side: Side, point: str) -> Ask:
    """A write whose gateway was killed at this point."""
    await start_again(world.mortal[side], failpoint=point)
    ask = world.order(side)
    with pytest.raises(httpx.TransportError):
        await world.mortal_edges[side].send(ask)
    assert await died_of_it(world.mortal[side])
    return ask


async def repeated(world: WriteWorld, side: Side, ask: Ask) -> None:
    """The gateway is back, and the client is answered at last."""
    await start_again(world.mortal[side])
    response = await insisted(world.mortal_edges[side], ask)
    assert response.status_code == 201
    assert response.json()["test_name"] == ask.correlation_id
    await world.arrived(ask)


async def test_n1_before_the_intent_nothing_happens(world: WriteWorld) -> None:
    async def check(side: Side) -> None:
        ask = await killed_gateway(world, side, "N1")
        assert await world.rows(ask, side) == []
        assert await world.announced(ask) == 0
        await repeated(world, side, ask)
        assert await world.announced(ask) == 1

    await on_both_sides(check)


async def test_n2_an_intent_whose_write_was_never_sent_is_settled(world: WriteWorld) -> None:
    async def check(side: Side) -> None:
        ask = await killed_gateway(world, side, "N2")

        async def settled() -> bool:
            return await world.settled(ask)

        await until_async(settled, within=WITHIN)
        assert [await world.rows(ask, one) for one in Side] == [[], []]
        await repeated(world, side, ask)
        assert await world.announced(ask) == 2

    await on_both_sides(check)


async def test_n4_a_write_that_nobody_closed_is_mirrored(world: WriteWorld) -> None:
    async def check(side: Side) -> None:
        ask = await killed_gateway(world, side, "N4")
        assert len(await world.rows(ask, side)) == 1
        await world.arrived(ask)
        await repeated(world, side, ask)

    await on_both_sides(check)


async def test_w4_before_the_ack_the_repeat_gets_the_same_answer(world: WriteWorld) -> None:
    async def check(side: Side) -> None:
        ask = await killed_gateway(world, side, "W4")
        (row,) = await world.rows(ask, side)
        response = await world.edges[side].send(ask)
        assert (response.status_code, response.json()["id"]) == (201, str(row[0]))
        assert await world.announced(ask) == 1, "it is the answer that was kept"
        await repeated(world, side, ask)

    await on_both_sides(check)


async def test_w7_no_409_outlives_the_lease_of_a_dead_owner(world: WriteWorld) -> None:
    """Its write is there, so the next one with the key finds it."""

    async def check(side: Side) -> None:
        ask = await killed_gateway(world, side, "N4")
        (row,) = await world.rows(ask, side)
        refused = await world.edges[side].send(ask)
        assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_in_flight")
        assert "retry-after" in refused.headers

        async def lease_is_over() -> bool:
            return bool(
                await world.control.fetchval(
                    "select lease_until < clock_timestamp() from control.idempotency where correlation_id = $1",
                    ask.correlation_id,
                )
            )

        await until_async(lease_is_over)
        response = await world.edges[side].send(ask)
        assert (response.status_code, response.json()["id"]) == (201, str(row[0]))
        await world.arrived(ask)

    await on_both_sides(check)


async def test_w6_one_key_at_two_gateways_is_one_write(world: WriteWorld) -> None:
    async def check(side: Side) -> None:
        await start_again(world.mortal[side])
        ask = world.order(side)
        async with hold(world.users[side], TABLES[side], ask.correlation_id) as held:
            first = spawn(world.edges[side].send(ask), name="first")
            await held.reached()
            second = await world.mortal_edges[side].send(ask)
            await held.let_go()
            answered = await first
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_flight")
        assert answered.status_code == 201
        assert (await insisted(world.mortal_edges[side], ask)).content == answered.content
        await world.arrived(ask)

        ask = world.order(side)
        both = (world.edges[side], world.mortal_edges[side])
        found = await asyncio.gather(*(insisted(both[n % 2], ask) for n in range(AT_ONCE)))
        assert {(one.status_code, one.content) for one in found} == {(201, found[0].content)}
        await world.arrived(ask)

    await on_both_sides(check)


# --- the authority: the service and legacy one after the other, and then both clients at once


async def killed_service(world: WriteWorld, point: str) -> Ask:
    """A write whose service was killed at this point."""
    await start_again(world.mortal_service, failpoint=point)
    ask = world.order(Side.SERVICE)
    answer = await world.edges[Side.SERVICE].send(ask)
    assert (answer.status_code, answer.json()["outcome"]) == (502, "unknown")
    assert await died_of_it(world.mortal_service)
    return ask


def held_at_legacy(
    world: WriteWorld, ask: Ask, *, at_commit: bool = False
) -> AbstractAsyncContextManager[Hold]:
    users, table = world.users[Side.LEGACY], TABLES[Side.LEGACY]
    return hold(users, table, ask.correlation_id, at_commit=at_commit)


async def repeated_at_both(world: WriteWorld, *asks: Ask) -> None:
    """`asks`: by side. The service is back, legacy comes back by itself, and the clients are answered at last."""
    await start_again(world.mortal_service)

    async def check(side: Side) -> None:
        ask = dict(zip(Side, asks, strict=True))[side]
        assert (await insisted(world.edges[side], ask)).status_code == 201
        await world.arrived(ask)

    await on_both_sides(check)


async def test_w1_before_the_transaction_nothing_is_left(world: WriteWorld) -> None:
    """Legacy: killed before it has read the request."""
    others = await world.records()
    at_service = await killed_service(world, "W1")
    assert await world.traces(at_service, besides=others) == NOTHING

    at_legacy = world.order(Side.LEGACY)
    await world.signal("legacy", SIGSTOP)
    first = spawn(world.edges[Side.LEGACY].send(at_legacy), name="first")

    async def announced() -> bool:
        return bool(await world.announced(at_legacy))

    await until_async(announced)
    await world.signal("legacy", SIGKILL)
    assert (await first).status_code >= 500
    assert await world.rows(at_legacy, Side.LEGACY) == []

    await repeated_at_both(world, at_legacy, at_service)
    assert await world.traces(at_service, besides=others) == WHOLE


async def test_w2_in_the_transaction_nothing_is_left(world: WriteWorld) -> None:
    """Legacy: killed while the trigger holds the insert behind its row."""
    others = await world.records()
    at_service = await killed_service(world, "W2")
    assert await world.traces(at_service, besides=others) == NOTHING

    at_legacy = world.order(Side.LEGACY)
    async with held_at_legacy(world, at_legacy) as held:
        first = spawn(world.edges[Side.LEGACY].send(at_legacy), name="first")
        backend = await held.reached()
        await world.signal("legacy", SIGKILL)
        assert (await first).status_code >= 500
        await held.let_go_for_nobody(backend)
    assert await world.rows(at_legacy, Side.LEGACY) == []

    await repeated_at_both(world, at_legacy, at_service)
    assert await world.traces(at_service, besides=others) == WHOLE


async def test_w3_behind_the_commit_the_repeat_finds_the_row(world: WriteWorld) -> None:
    """Legacy: halted while its commit is under way, so it never hears of the end and says nothing; then killed."""
    others = await world.records()
    at_service = await killed_service(world, "W3")
    assert await world.traces(at_service, besides=others) == WHOLE

    at_legacy = world.order(Side.LEGACY)
    async with held_at_legacy(world, at_legacy, at_commit=True) as held:
        first = spawn(world.edges[Side.LEGACY].send(at_legacy), name="first")
        await held.reached()
        await world.signal("legacy", SIGSTOP)
        await held.let_go()

        async def committed() -> bool:
            return len(await world.rows(at_legacy, Side.LEGACY)) == 1

        await until_async(committed)
        await world.signal("legacy", SIGKILL)
        assert (await first).status_code >= 500

    await repeated_at_both(world, at_legacy, at_service)
    assert await world.traces(at_service, besides=others) == WHOLE


# --- behind the ack, and in front of everything


async def test_w5_behind_the_ack_everything_that_carries_it_is_killed(world: WriteWorld) -> None:
    """Mirror and relay stand still from before the write, so nothing can have carried it before all die."""
    for mover in ("mirror", "relay"):
        await world.signal(mover, SIGSTOP)
    asks = {side: world.order(side) for side in Side}
    for side, ask in asks.items():
        assert (await insisted(world.edges[side], ask)).status_code == 201
        assert await world.rows(ask, side.other) == []
    assert await world.unpublished() == WHOLE.events
    world.mortal_service.kill()
    for name in ("legacy", "mirror", "relay"):
        await world.signal(name, SIGKILL)
    await start_again(world.mortal_service)
    for ask in asks.values():
        await world.arrived(ask)


async def test_n5_without_the_stream_it_is_the_spool_and_without_that_503(
    world: WriteWorld, folder: Path
) -> None:
    """And nothing is written that nobody has announced."""
    stack = Stack.read(world.stack_file)
    downs = [trouble for trouble in TROUBLES if "event log" in trouble.name]
    assert [trouble.answer.status for trouble in downs] == [201, 503]

    async def check(side: Side) -> None:
        number, settings = NUMBERS[side], {"WRITE_DEADLINE_SECONDS": "2"}
        async with edge_world(stack, folder, side, redis_number=number, settings=settings) as edge:
            for trouble in downs:
                assert await met(edge, trouble) == []
            log = RedisLog(f"{stack.redis.rpartition('/')[0]}/{number}")
            spoken = [*await said(log), *await said(world.log)]
            await log.close()
        written = await world.users[side].fetch(
            f"select correlation_id from {TABLES[side]} where correlation_id like 'bench-%' and origin = $1",
            side,
        )
        announced = {one.correlation_id for one in spoken if isinstance(one, Intent)}
        assert {row["correlation_id"] for row in written} - announced == set()
        assert len(written) >= len(downs)

    await on_both_sides(check)
