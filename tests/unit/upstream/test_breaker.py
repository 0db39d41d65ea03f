"""When an upstream is left alone, and how it comes back."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.upstream.breaker import Breaker, State
from tests.fakes.clock import Clock

pytestmark = pytest.mark.unit


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock)


def state_of(breaker: Breaker) -> State:
    return breaker.state


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(breaker.allow())


def succeed(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.succeeded(breaker.allow())


def test_it_opens_with_the_twentieth_failure_and_not_before(breaker: Breaker) -> None:
    fail(breaker, 19)
    assert (state_of(breaker), bool(breaker.allow())) == (State.CLOSED, True)
    fail(breaker, 1)
    assert (state_of(breaker), breaker.allow(), breaker.opened) == (State.OPEN, 0, 1)


@pytest.mark.parametrize(("good", "state"), [(20, State.OPEN), (21, State.CLOSED)])
def test_half_of_the_outcomes_must_be_failures(breaker: Breaker, good: int, state: State) -> None:
    succeed(breaker, good)
    fail(breaker, 20)
    assert state_of(breaker) is state


def test_old_failures_do_not_count(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 19)
    clock.now += 10
    fail(breaker, 19)
    assert state_of(breaker) is State.CLOSED


def test_while_open_nothing_passes_and_one_is_told_how_long(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 20)
    assert breaker.retry_after == 1.0
    clock.now += 0.75
    assert (breaker.allow(), breaker.retry_after) == (0, 0.25)
    clock.now += 0.25
    assert (state_of(breaker), breaker.retry_after) == (State.HALF_OPEN, 0.0)


def test_half_open_lets_one_trial_through_at_a_time(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 20)
    clock.now += 1
    trial = breaker.allow()
    assert trial
    assert breaker.allow() == 0
    breaker.gave_up(trial)
    assert breaker.allow()


def test_a_good_trial_closes_it_and_the_past_is_forgotten(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 20)
    clock.now += 1
    succeed(breaker, 1)
    assert state_of(breaker) is State.CLOSED
    fail(breaker, 19)
    assert state_of(breaker) is State.CLOSED
    fail(breaker, 1)
    assert state_of(breaker) is State.OPEN
    assert breaker.retry_after == 1.0


def test_bad_trials_double_the_pause_up_to_its_longest(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 20)
    pauses = []
    for _ in range(7):
        pauses.append(breaker.retry_after)
        clock.now += breaker.retry_after
        fail(breaker, 1)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert breaker.opened == 8


@pytest.mark.parametrize("report", [Breaker.failed, Breaker.succeeded, Breaker.gave_up])
def test_what_comes_back_from_before_it_opened_is_not_the_trial(
    breaker: Breaker, clock: Clock, report: Callable[[Breaker, int], None]
) -> None:
    hanging = [breaker.allow() for _ in range(3)]
    fail(breaker, 20)
    report(breaker, hanging[0])
    assert state_of(breaker) is State.OPEN
    clock.now += 1
    trial = breaker.allow()
    report(breaker, hanging[1])
    assert state_of(breaker) is State.HALF_OPEN
    assert breaker.allow() == 0
    breaker.succeeded(trial)
    report(breaker, hanging[2])
    fail(breaker, 19)
    assert state_of(breaker) is State.CLOSED


def test_a_trial_that_nobody_reports_does_not_keep_it_shut(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 20)
    clock.now += 1
    lost = breaker.allow()
    clock.now += 29.9
    assert breaker.allow() == 0
    clock.now += 0.1
    trial = breaker.allow()
    assert trial
    breaker.failed(lost)
    assert state_of(breaker) is State.HALF_OPEN
    breaker.succeeded(trial)
    assert state_of(breaker) is State.CLOSED


def test_giving_up_says_nothing_about_the_upstream(breaker: Breaker) -> None:
    for _ in range(100):
        breaker.gave_up(breaker.allow())
    fail(breaker, 19)
    assert state_of(breaker) is State.CLOSED


@given(
    st.lists(st.sampled_from(["good", "bad", "left", "wait"]), max_size=200),
    st.integers(1, 8),
)
def test_an_upstream_that_is_well_again_is_used_again(events: list[str], minimum: int) -> None:
    """Whatever happened before: trials at the end of each pause, all good, close it with the first."""
    clock = Clock()
    breaker = Breaker(clock=clock, minimum=minimum)
    for event in events:
        ticket = breaker.allow()
        if event == "wait":
            clock.now += 0.7
        elif ticket:
            report = {"good": breaker.succeeded, "bad": breaker.failed, "left": breaker.gave_up}
            report[event](ticket)
    clock.now += 30
    succeed(breaker, 1)
    assert state_of(breaker) is State.CLOSED
