"""Who may call how often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.ratelimit import Budget, RateLimit
from tests.fakes.clock import Clock

pytestmark = pytest.mark.unit


def test_a_burst_passes_then_the_rate_holds() -> None:
    clock = Clock(1000.0)
    limit = RateLimit(per_second=10, burst=5, clock=clock)
    assert [limit.take("a") for _ in range(5)] == [0.0] * 5
    assert limit.take("a") == pytest.approx(0.1)
    clock.now += 0.1
    assert limit.take("a") == 0.0
    assert limit.take("a") > 0


def test_keys_have_nothing_to_do_with_each_other() -> None:
    limit = RateLimit(per_second=1, burst=1, clock=Clock())
    assert limit.take("a") == 0.0
    assert limit.take("a") == 1.0
    assert limit.take("b") == 0.0


def test_a_refused_call_costs_nothing() -> None:
    clock = Clock()
    limit = RateLimit(per_second=1, burst=1, clock=clock)
    limit.take("a")
    assert [limit.take("a") for _ in range(100)] == [1.0] * 100
    clock.now = 1.0
    assert limit.take("a") == 0.0


def test_after_a_rest_it_is_one_burst_again_and_no_more() -> None:
    clock = Clock()
    limit = RateLimit(per_second=100, burst=5, clock=clock)
    clock.now = 3600.0
    assert sum(limit.take("a") == 0.0 for _ in range(50)) == 5


def test_memory_is_bounded_and_whoever_is_active_is_not_forgotten() -> None:
    limit = RateLimit(per_second=0.001, burst=1, clock=Clock(), most_keys=100)
    assert limit.take("active") == 0.0
    for number in range(10_000):
        assert limit.take(f"other {number}") == 0.0
        if number % 40 == 0:
            assert limit.take("active") > 0
        assert len(limit) <= 100


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (-1, 1), (1, 0.5), (float("nan"), 1)])
def test_a_limit_that_allows_nothing_is_a_mistake(per_second: float, burst: float) -> None:
    with pytest.raises(ValueError, match="per_second above 0"):
        RateLimit(per_second=per_second, burst=burst)
    with pytest.raises(ValueError, match="per_second above 0"):
        Budget(per_second=per_second, burst=burst)


Rates = st.floats(0.1, 5000)
Bursts = st.integers(1, 500)
Pauses = st.lists(st.floats(0, 3), min_size=1, max_size=300)


@given(Rates, Bursts, Pauses)
def test_no_stretch_of_time_has_more_than_its_burst_and_rate(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock(50.0)
    limit = RateLimit(per_second=per_second, burst=burst, clock=clock)
    taken: list[float] = []
    for pause in pauses:
        clock.now += pause
        if limit.take("a") == 0.0:
            taken.append(clock.now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            most = burst + per_second * (taken[last] - taken[first])
            assert last - first + 1 <= most + 1e-3


@given(Rates, Bursts, Pauses)
def test_whoever_waits_as_long_as_told_passes(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock(50.0)
    limit = RateLimit(per_second=per_second, burst=burst, clock=clock)
    for pause in pauses:
        clock.now += pause
        wait = limit.take("a")
        if wait:
            clock.now += wait
            assert limit.take("a") == 0.0


@given(Rates, Bursts, Pauses)
def test_a_budget_is_a_limit_with_one_key(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock(50.0)
    limit = RateLimit(per_second=per_second, burst=burst, clock=clock)
    budget = Budget(per_second=per_second, burst=burst, clock=clock)
    for pause in pauses:
        clock.now += pause
        assert budget.take() == limit.take("a")
