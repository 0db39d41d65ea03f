"""The claims about faults, in small: that each is measured, and those that are no matter of time hold."""

import pytest

from benchmarks import faults
from benchmarks.size import Size

pytestmark = pytest.mark.stack


async def test_a_failing_upstream_is_not_asked_more_often_than_promised():
    claims = [claim async for claim in faults.amplification(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 2


async def test_clients_that_leave_leave_nothing_behind():
    claims = [claim async for claim in faults.aborts(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 4


async def test_a_hanging_service_and_a_full_pool_are_measured():
    claims = [claim async for claim in faults.isolation(Size.SMALL)]
    claims += [claim async for claim in faults.full_pool(Size.SMALL)]
    assert [claim.n for claim in claims] == [2, 12]
    assert "0 reads failed" in claims[0].how
    assert "12 were 503 with Retry-After" in claims[1].how
