"""The claims about comparisons, in small: that each is measured, and holds."""

import pytest

from benchmarks.shadow import accuracy, cost, isolation
from benchmarks.size import Size

pytestmark = pytest.mark.stack


async def test_real_changes_are_found_and_nothing_else():
    claims = [claim async for claim in accuracy.run(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 4


async def test_the_cost_is_measured():
    """What it is, is the benchmark's business, not a test's."""
    claims = [claim async for claim in cost.run(Size.SMALL)]
    assert [claim.n for claim in claims] == [1, 1], claims


async def test_no_trouble_of_a_candidate_reaches_a_caller():
    claims = {claim.claim: claim async for claim in isolation.run(Size.SMALL)}
    for what in (
        "reads that fail",
        "reads of which nobody can say what became of their pair",
        "shadow reads in flight",
    ):
        assert claims[f"isolation: {what}"].ok, claims
