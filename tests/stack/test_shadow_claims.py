"""The claims about comparisons, in small: that each is measured, and holds."""

import pytest

from benchmarks.shadow import accuracy
from benchmarks.size import Size

pytestmark = pytest.mark.stack


async def test_real_changes_are_found_and_nothing_else():
    claims = [claim async for claim in accuracy.run(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 4
