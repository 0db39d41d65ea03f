"""The claims about writes, in small: that each is measured, and holds."""

import pytest

from benchmarks.size import Size
from benchmarks.writes import bookings, failures, redelivery, skew

pytestmark = pytest.mark.stack


async def test_what_is_brought_over_five_times_takes_effect_once():
    claims = [claim async for claim in redelivery.run(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 1


async def test_a_wrong_clock_loses_nothing_without_a_record():
    claims = [claim async for claim in skew.run(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 4


async def test_of_many_bookings_at_once_one_gets_each_slot():
    claims = [claim async for claim in bookings.run(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert [claim.n for claim in claims] == [100]


async def test_every_failure_has_its_answer_on_both_sides():
    claims = [claim async for claim in failures.run(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 4
