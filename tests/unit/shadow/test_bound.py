"""The limits of a rate hold what they promise, by the binomial distribution itself."""

import math

import pytest

from shadow.bound import lower, upper

pytestmark = pytest.mark.unit


def at_most(hits: int, of: int, rate: float) -> float:
    """P(X <= hits)."""
    return math.fsum(
        math.comb(of, k) * rate**k * (1 - rate) ** (of - k) for k in range(hits + 1)
    )  # fmt: skip


@pytest.mark.parametrize(("hits", "of"), [(0, 1), (0, 10), (1, 10), (3, 50), (20, 400), (399, 400), (200, 400)])  # fmt: skip
def test_a_limit_is_where_the_sample_is_as_likely_as_one_in_twenty(hits: int, of: int) -> None:
    assert at_most(hits, of, upper(hits, of)) == pytest.approx(0.05, abs=1e-9)
    if hits:
        assert 1 - at_most(hits - 1, of, lower(hits, of)) == pytest.approx(0.05, abs=1e-9)
    assert lower(hits, of) < hits / of + 1e-12 < upper(hits, of) + 1e-12


@pytest.mark.parametrize("of", [1, 200, 2_994, 3_000, 10**6, 10**9])
def test_without_a_hit_it_is_the_rule_of_three(of: int) -> None:
    assert upper(0, of) == pytest.approx(-math.expm1(math.log(0.05) / of), rel=1e-6)
    assert lower(0, of) == 0.0
    assert lower(of, of) == pytest.approx(0.05 ** (1 / of), rel=1e-6)
    assert upper(of, of) == 1.0


def test_nothing_says_nothing() -> None:
    assert (lower(0, 0), upper(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize("of", [1_000, 10**5, 10**7])
def test_more_hits_mean_more_and_more_pairs_say_more(of: int) -> None:
    hits = [of // 1_000 * k for k in (1, 2, 5, 100, 500)]
    for limit in (lower, upper):
        found = [limit(k, of) for k in hits]
        assert found == sorted(found)
    widths = [upper(n // 1_000, n) - lower(n // 1_000, n) for n in (of, 10 * of)]
    assert widths[1] < widths[0]
