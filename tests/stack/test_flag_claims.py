"""The claims about flags, in small: that each is measured and holds. Times are the benchmark's business, not a test's."""

import pytest

from benchmarks import flags
from benchmarks.size import Size

pytestmark = pytest.mark.stack


async def test_shares_hold():
    claims = [claim async for claim in flags.shares(Size.SMALL)]
    assert [claim.claim for claim in claims if not claim.ok] == []
    assert len(claims) == 3


async def test_every_change_reaches_every_process_also_after_redis_was_killed():
    claims = [claim async for claim in flags.push(Size.SMALL)]
    assert [claim.n for claim in claims] == [8, 2]


async def test_without_redis_nothing_changes_and_a_cold_start_serves(world, tmp_path):
    claims = [claim async for claim in flags.without_redis_in(world, tmp_path, Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 3
