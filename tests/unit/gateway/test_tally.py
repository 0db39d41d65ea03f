"""Counting on the hot path."""

import pytest

from gateway.tally import SECONDS, Counter, Tally

pytestmark = pytest.mark.unit


def test_a_request_counts_in_its_cell_and_in_one_bucket() -> None:
    tally = Tally()
    for seconds in (0.0002, 0.0004, 0.0004, 20.0):
        tally.count("/v2/lab-orders", "GET", "service", "live", 204, seconds)
    tally.count("/v2/lab-orders", "GET", "service", "live", 404, 0.0)
    cells = tally.read()
    assert set(cells) == {
        ("/v2/lab-orders", "GET", "service", "live", "2xx"),
        ("/v2/lab-orders", "GET", "service", "live", "4xx"),
    }
    seconds, *buckets = cells["/v2/lab-orders", "GET", "service", "live", "2xx"]
    assert seconds == pytest.approx(20.001)
    assert buckets == [1, 2, *([0] * (len(SECONDS) - 2)), 1]


@pytest.mark.parametrize("bound", SECONDS)
def test_a_bound_belongs_to_its_bucket(bound: float) -> None:
    """Prometheus: `le` is "less or equal"."""
    tally = Tally()
    tally.count("r", "GET", "legacy", "", 200, bound)
    (cell,) = tally.read().values()
    assert cell[1 + SECONDS.index(bound)] == 1


def test_what_was_read_does_not_change_afterwards() -> None:
    tally = Tally()
    tally.count("r", "GET", "legacy", "", 200, 1.0)
    (before,) = tally.read().values()
    tally.count("r", "GET", "legacy", "", 200, 1.0)
    assert before[0] == 1.0


def test_a_counter_counts_by_label_values() -> None:
    counter = Counter("refused", "", ("reason",))
    counter.inc("expired")
    counter.inc("expired", by=2)
    counter.inc("missing")
    assert counter.read() == {("expired",): [3.0], ("missing",): [1.0]}


def test_a_counter_without_labels_is_there_from_the_start() -> None:
    assert Counter("dropped", "").read() == {(): [0.0]}


def test_a_counter_follows_a_count_that_another_keeps() -> None:
    dropped = [3]
    counter = Counter("dropped", "")
    counter.follow(lambda: dropped[0])
    dropped[0] = 5
    assert counter.read() == {(): [5.0]}
