"""The claims about writes, in small: that each is measured, and holds."""

import pytest

from benchmarks.size import Size
from benchmarks.writes import redelivery, skew

pytestmark = pytest.mark.stack


async def test_what_is_brought_over_five_times_takes_effect_once():
    claims = [claim async for claim in redelivery.run(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 1


async def test_a_wrong_clock_loses_nothing_without_a_record():
    claims = [claim async for claim in skew.run(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 4
