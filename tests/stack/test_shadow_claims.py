"""The claims about comparisons, in small: that each is measured, and holds."""

import pytest

from benchmarks.shadow import accuracy, cost, isolation, noise, privacy, verdicts
from benchmarks.size import Size
from benchmarks.topics import Run

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(
    ("part", "claims"),
    [(accuracy.run, 4), (noise.run, 4), (privacy.run, 5), (verdicts.run, 6)],
    ids=["accuracy", "noise", "privacy", "verdicts"],
)
async def test_each_claim_is_measured_and_holds(part: Run, claims: int) -> None:
    found = [claim async for claim in part(Size.SMALL)]
    assert [(claim.claim, claim.how) for claim in found if not claim.ok] == []
    assert len(found) == claims


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
