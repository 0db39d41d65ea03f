"""nginx and HAProxy read the corpus as the gateway does, in front of it and behind it."""

import pytest

from benchmarks import differential
from benchmarks.corpus.fronts import FRONTS, NotHere, find
from benchmarks.size import Size

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("name", FRONTS)
async def test_both_read_the_same_requests(name):
    try:
        find(name)
    except NotHere as missing:
        pytest.skip(str(missing))
    claims = [claim async for claim in differential.with_front(name, Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert [claim.n > 50 for claim in claims] == [True, True]
