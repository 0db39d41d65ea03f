"""The claims about identity, in small: that each is measured and holds. Times are the benchmark's business, not a test's."""

import pytest

from benchmarks import auth
from benchmarks.size import Size

pytestmark = pytest.mark.stack


async def test_a_gateway_takes_no_bad_token_and_every_good_one() -> None:
    claims = [claim async for claim in auth.over_http(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 5
    assert claims[0].n >= 300


async def test_an_hour_without_the_issuer_hurts_nobody() -> None:
    claims = [claim async for claim in auth.an_hour_without_the_issuer(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []


async def test_a_revocation_reaches_every_process() -> None:
    assert [claim.n async for claim in auth.revocation(Size.SMALL)] == [4]


async def test_the_cost_is_measured() -> None:
    assert [claim.n async for claim in auth.cost(Size.SMALL)] == [500]
