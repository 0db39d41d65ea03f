"""However much fails, an upstream gets at most a fifth more."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.upstream.retry_budget import RetryBudget
from tests.fakes.clock import Clock

pytestmark = pytest.mark.unit

SHARE, LEAST, WINDOW = 0.2, 3, 10.0


def test_a_few_retries_are_always_allowed() -> None:
    budget = RetryBudget(clock=Clock())
    budget.request()
    assert [budget.allow() for _ in range(4)] == [True, True, True, False]


def test_retries_come_back_with_time() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    assert [budget.allow() for _ in range(4)] == [True, True, True, False]
    clock.now = WINDOW
    assert [budget.allow() for _ in range(4)] == [True, True, True, False]


def test_a_fifth_of_the_first_attempts_is_repeated() -> None:
    budget = RetryBudget(clock=Clock())
    for _ in range(100):
        budget.request()
    assert sum(budget.allow() for _ in range(100)) == 20


def test_what_clients_repeat_by_themselves_is_spent() -> None:
    budget = RetryBudget(clock=Clock())
    for _ in range(100):
        budget.request()
    for _ in range(19):
        budget.repeated()
    assert [budget.allow(), budget.allow()] == [True, False]


Steps = st.lists(st.tuples(st.floats(0, 4), st.integers(0, 60)), min_size=1, max_size=60)
"""Seconds that pass, then first attempts at once, which all fail; each asks for a retry, which fails as well."""


def play(steps: list[tuple[float, int]]) -> tuple[list[float], list[float]]:
    """The moments of the first attempts and of the retries."""
    clock = Clock()
    budget = RetryBudget(clock=clock)
    requests: list[float] = []
    retries: list[float] = []
    for seconds, attempts in steps:
        clock.now += seconds
        for _ in range(attempts):
            budget.request()
            requests.append(clock.now)
            if budget.allow():
                retries.append(clock.now)
    return requests, retries


@given(Steps)
def test_in_no_window_are_more_than_a_fifth_repeated(steps: list[tuple[float, int]]) -> None:
    requests, retries = play(steps)
    for end in retries:
        tenth = math.floor(end) - WINDOW + 1
        repeated = sum(tenth <= moment <= end for moment in retries)
        asked = sum(tenth <= moment <= end for moment in requests)
        assert repeated <= max(LEAST, SHARE * asked)


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 0.99), st.integers(0, 40)), max_size=6),
        min_size=1,
        max_size=40,
    ),
    st.integers(2, 20),
)
def test_amplification_of_a_load_above_the_minimum(
    seconds: list[list[tuple[float, int]]], base: int
) -> None:
    """At least two failing requests in every second, bursts on top: 100 % failures cost at most 1.2 times the load."""
    steps: list[tuple[float, int]] = [(0.0, 15)]
    at = 0.0
    for second, bursts in enumerate(seconds):
        for offset, attempts in [(0.0, base), *sorted(bursts)]:
            steps.append((max(0.0, second + offset - at), attempts))
            at = max(at, second + offset)
    requests, retries = play(steps)
    assert len(requests) + len(retries) <= 1.2 * len(requests)
