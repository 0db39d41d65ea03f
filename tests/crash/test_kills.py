"""The rig of random kills, in small: nothing acknowledged is lost or doubled, and both sides end equal."""

import pytest

from benchmarks.size import Size
from benchmarks.writes import kills

pytestmark = pytest.mark.crash


async def test_everything_is_killed_while_clients_write():
    claims = [claim async for claim in kills.run(Size.SMALL)]
    assert [f"{claim.claim}: {claim.how}" for claim in claims if not claim.ok] == []
    assert len(claims) == 5
