"""A queue that stays is shed; a burst or one long stall is not."""

import asyncio
import itertools
import time

import pytest

from gateway.overload import Overload, Shedding
from tests.until import until_async

pytestmark = pytest.mark.unit

EVERY = 0.05


def observe(shedding: Shedding, delays: list[float], now: float = 0.0) -> float:
    """The timer fires late by each of these; the time after the last."""
    for delay in delays:
        now += EVERY + delay
        shedding.observe(delay, now)
    return now


def test_nothing_is_shed_while_the_loop_is_in_time() -> None:
    shedding = Shedding()
    observe(shedding, [0.001] * 1000)
    assert not any(shedding.shed() for _ in range(1000))
    assert (shedding.share, shedding.refused) == (0.0, 0)


def test_one_long_stall_sheds_nothing() -> None:
    shedding = Shedding()
    observe(shedding, [0.001, 0.001, 5.0, 0.001, 0.001] * 20)
    assert shedding.share == 0.0


def test_bursts_that_are_worked_off_shed_nothing() -> None:
    shedding = Shedding()
    observe(shedding, [0.2, 0.1, 0.04] * 100)
    assert shedding.share == 0.0


def test_a_standing_queue_sheds_a_growing_share_but_never_everything() -> None:
    shedding = Shedding()
    now, shares = 0.0, []
    for _ in range(60):
        now = observe(shedding, [0.2] * 4, now)
        shares.append(shedding.share)
    assert shares[0] > 0
    assert shares == sorted(shares)
    assert shares[-1] == 0.95
    assert 949 <= sum(shedding.shed() for _ in range(1000)) <= 950


def test_what_is_shed_is_spread_evenly() -> None:
    shedding = Shedding()
    shedding.share = 0.25
    assert [shedding.shed() for _ in range(8)] == [False, False, False, True] * 2
    assert shedding.refused == 2


def test_when_the_queue_is_gone_shedding_ends() -> None:
    shedding = Shedding()
    now = observe(shedding, [0.2] * 100)
    assert shedding.share > 0.5
    observe(shedding, [0.0] * 400, now)
    assert shedding.share == 0.0
    assert not any(shedding.shed() for _ in range(1000))


@pytest.mark.parametrize("load", [1.2, 2.0, 5.0])
def test_under_a_lasting_overload_nobody_waits_long(load: float) -> None:
    """An event loop that can answer 1000 requests a second is asked for more, for two minutes, by clients that do not wait.
    Turn by turn: each takes all that came during the last one. A refusal costs a tenth of an answer."""
    shedding = Shedding()
    now, last, due, answered = 0.0, -0.001, EVERY, 0
    longest = 0.0
    while now < 120:
        if now >= due:
            shedding.observe(now - due, now)
            due = now + EVERY
        began, waiting = now, max(1, int(now * load * 1000) - int(last * load * 1000))
        for _ in range(waiting):
            refused = shedding.shed()
            now += 0.0001 if refused else 0.001
            answered += not refused
        last = began
        if now > 60:
            longest = max(longest, now - began)
    possible = (1 / load - 0.1) / 0.9 * load * 1000 * now  # all the time that refusals leave
    assert longest < 0.5
    assert answered > 0.8 * possible


async def test_the_running_loop_is_watched_between_start_and_stop() -> None:
    ticks = itertools.count()
    overload = Overload(every=0.001, clock=lambda: next(ticks) * 0.5)
    overload.start()
    try:

        async def sheds() -> bool:
            return overload.shedding.share > 0.5

        await until_async(sheds)
        assert sum(overload.shed() for _ in range(1000)) >= 500
    finally:
        overload.stop()
    assert not any(overload.shed() for _ in range(1000))


async def test_a_loop_that_is_kept_busy_is_seen() -> None:
    loop = asyncio.get_running_loop()
    overload = Overload(Shedding(target=0.005, interval=0.05), every=0.001)
    busy = True

    def work() -> None:
        time.sleep(0.02)
        if busy:
            loop.call_soon(work)

    async def sheds() -> bool:
        return overload.shedding.share > 0

    overload.start()
    work()
    try:
        await until_async(sheds)
    finally:
        busy = False
        overload.stop()
