"""Durations in classes add up, and say a quantile to about a fifth of its value."""

from random import Random

import pytest

from shadow.durations import BOUNDS, Durations

pytestmark = pytest.mark.unit


def of(*seconds: float) -> Durations:
    durations = Durations()
    for one in seconds:
        durations.add(one)
    return durations


def test_nothing_has_no_quantile() -> None:
    assert (Durations().quantile(0.5), Durations().count) == (None, 0)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_a_quantile_is_near_the_exact_one(share: float) -> None:
    dice = Random(1)
    seconds = sorted(dice.lognormvariate(-4.5, 1.0) for _ in range(5_000))
    exact = seconds[int(share * len(seconds))]
    assert of(*seconds).quantile(share) == pytest.approx(exact, rel=0.2)


def test_sums_of_two_are_as_if_counted_together() -> None:
    one, two = of(0.001, 0.2), of(0.001, 99.0)
    one.merge(Durations(two.classes))
    assert one.classes == of(0.001, 0.2, 0.001, 99.0).classes
    assert one.quantile(1.0) == BOUNDS[-1]


def test_classes_of_another_release_are_refused() -> None:
    with pytest.raises(ValueError, match="34 classes, not 3"):
        Durations([1, 2, 3])
