"""What counts as lately."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.upstream.sliding import SlidingCount
from tests.fakes.clock import Clock

pytestmark = pytest.mark.unit


def test_an_event_counts_for_its_window_and_no_longer() -> None:
    clock = Clock(1000.0)
    count = SlidingCount(seconds=10.0, clock=clock)
    count.add()
    clock.now = 1008.9
    count.add()
    assert count.total() == 2
    clock.now = 1010.0
    assert count.total() == 1
    clock.now = 1018.9
    assert count.total() == 0


def test_cleared_it_begins_afresh() -> None:
    clock = Clock(5.0)
    count = SlidingCount(seconds=10.0, clock=clock)
    count.add()
    count.clear()
    assert count.total() == 0
    count.add()
    clock.now = 14.9
    assert count.total() == 1


@given(
    steps=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=60),
    start=st.integers(0, 99),
)
def test_it_counts_what_a_list_of_all_events_counts(
    steps: list[tuple[int, bool]], start: int
) -> None:
    """Steps are half seconds. An event is forgotten with the tenth (a second) that it came in."""
    clock = Clock(start / 2)
    count = SlidingCount(seconds=10.0, clock=clock)
    seen: list[int] = []
    for halves, happens in steps:
        clock.now += halves / 2
        second = int(clock.now)
        if happens:
            count.add()
            seen.append(second)
        assert count.total() == sum(second - 10 < then for then in seen)
