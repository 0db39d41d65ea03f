"""When the pairs that were counted are enough to say pass or fail."""

from random import Random

import pytest

from shadow.verdict import (
    WHOLE,
    Counts,
    Outcome,
    RouteTally,
    Why,
    judged,
    overall,
    route_verdict,
)

pytestmark = pytest.mark.unit

THRESHOLD = 0.001


def tally(pairs: int, visibility: int = 0, **wrong: int) -> RouteTally:
    fields = {name: Counts(pairs=pairs, wrong=count) for name, count in wrong.items()}
    whole = Counts(pairs=pairs, wrong=max(wrong.values(), default=0))
    return RouteTally(pairs=whole, fields=fields, visibility=visibility)


@pytest.mark.parametrize(
    ("pairs", "wrong", "outcome", "why"),
    [
        (0, 0, Outcome.INSUFFICIENT, Why.NO_TRAFFIC),
        (200, 0, Outcome.INSUFFICIENT, Why.TOO_FEW),
        (2_994, 0, Outcome.INSUFFICIENT, Why.TOO_FEW),
        (2_995, 0, Outcome.PASS, Why.RATE),
        (3_000, 0, Outcome.PASS, Why.RATE),
        (3_000, 1, Outcome.INSUFFICIENT, Why.TOO_FEW),
        (100_000, 50, Outcome.PASS, Why.RATE),
        (100_000, 99, Outcome.INSUFFICIENT, Why.TOO_FEW),
        (100_000, 200, Outcome.FAIL, Why.RATE),
        (2, 2, Outcome.FAIL, Why.RATE),
        (1, 1, Outcome.FAIL, Why.RATE),
    ],
)
def test_one_rate(pairs: int, wrong: int, outcome: Outcome, why: Why) -> None:
    found = judged(Counts(pairs=pairs, wrong=wrong), THRESHOLD)
    assert (found.outcome, found.why) == (outcome, why)


def test_one_field_that_is_always_wrong_fails_however_many_are_right() -> None:
    fields = {f"f{n}": Counts(pairs=3_000, wrong=0) for n in range(1_999)}
    fields["bad"] = Counts(pairs=3_000, wrong=3_000)
    values = sum(one.pairs for one in fields.values())
    assert fields["bad"].wrong / values == pytest.approx(0.0005)
    found = route_verdict(RouteTally(pairs=Counts(pairs=3_000, wrong=3_000), fields=fields))
    assert (found.outcome, found.why) == (Outcome.FAIL, Why.RATE)
    assert [n for n, one in found.fields.items() if one.outcome is Outcome.FAIL] == ["bad"]


def test_a_row_that_one_side_alone_shows_is_enough() -> None:
    found = route_verdict(tally(1_000_000, visibility=1, status=0))
    assert (found.outcome, found.why) == (Outcome.FAIL, Why.VISIBILITY)


def test_without_traffic_and_with_errors_alone_nothing_passes() -> None:
    only_errors = RouteTally(inconclusive={"candidate_failed": 10_000})
    for found in (route_verdict(RouteTally()), route_verdict(only_errors)):
        assert (found.outcome, found.why) == (Outcome.INSUFFICIENT, Why.NO_TRAFFIC)
    assert overall([]) is Outcome.INSUFFICIENT


def test_a_route_on_which_no_column_was_compared_does_not_pass() -> None:
    """Equal refusals, and lists without rows, are matches of the answer as a whole."""
    alike = RouteTally(pairs=Counts(pairs=5_000), fields={WHOLE: Counts(pairs=5_000)})
    found = route_verdict(alike)
    assert (found.outcome, found.why) == (Outcome.INSUFFICIENT, Why.NO_ROWS)
    refused = RouteTally(
        pairs=Counts(pairs=5_000, wrong=5_000), fields={WHOLE: Counts(pairs=5_000, wrong=5_000)}
    )
    assert route_verdict(refused).outcome is Outcome.FAIL


def test_a_route_that_nobody_used_holds_back_the_whole() -> None:
    good, bad = route_verdict(tally(5_000, status=0)), route_verdict(tally(5_000, status=5_000))
    unused = route_verdict(RouteTally())
    assert overall([good, good]) is Outcome.PASS
    assert overall([good, unused]) is Outcome.INSUFFICIENT
    assert overall([good, unused, bad]) is Outcome.FAIL


# --- noise


def test_noise_is_taken_off_and_no_more() -> None:
    loud = Counts(pairs=50_000, wrong=500, noise_pairs=50_000, noise_wrong=500)
    assert judged(loud, THRESHOLD).outcome is Outcome.INSUFFICIENT
    assert judged(loud, THRESHOLD).why is Why.NOISE
    worse = Counts(pairs=50_000, wrong=900, noise_pairs=50_000, noise_wrong=500)
    assert judged(worse, THRESHOLD).outcome is Outcome.FAIL
    quiet = Counts(pairs=100_000, wrong=30, noise_pairs=100_000, noise_wrong=30)
    assert judged(quiet, THRESHOLD).outcome is Outcome.PASS


def test_noise_of_a_field_never_hides_more_than_it_was_seen_to_be() -> None:
    few = Counts(pairs=10_000, wrong=10_000, noise_pairs=20, noise_wrong=1)
    assert judged(few, THRESHOLD).outcome is Outcome.FAIL


def test_it_is_wrong_no_more_often_than_it_says() -> None:
    """A rate just above the threshold passes in at most one of twenty samples."""
    dice, passed, samples = Random(7), 0, 2_000
    for _ in range(samples):
        # Poisson of mean n * rate, by its own waiting times.
        at, wrong = dice.expovariate(1), 0
        while at < 5_000 * 0.00101:
            wrong, at = wrong + 1, at + dice.expovariate(1)
        passed += judged(Counts(pairs=5_000, wrong=wrong), THRESHOLD).outcome is Outcome.PASS
    assert passed / samples < 0.06
