"""A share of all requests, the same ones wherever it is asked."""

from uuid import uuid4

import pytest

from shadow.sampling import sampled

pytestmark = pytest.mark.unit

IDS = [str(uuid4()) for _ in range(20_000)]


def test_all_and_none() -> None:
    assert all(sampled(id_, 1) for id_ in IDS)
    assert not any(sampled(id_, 0) for id_ in IDS)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_about_the_share_that_was_asked_for(share: float) -> None:
    count = sum(sampled(id_, share) for id_ in IDS)
    spread = 6 * (len(IDS) * share * (1 - share)) ** 0.5
    assert abs(count - share * len(IDS)) < spread


def test_a_greater_share_holds_the_smaller_one() -> None:
    few, more = ({id_ for id_ in IDS if sampled(id_, share)} for share in (0.05, 0.2))
    assert few < more


def test_it_is_the_same_everywhere_and_in_every_release() -> None:
    found = [sampled(f"corr-{number}", 0.5) for number in range(8)]
    assert found == [True, False, True, True, False, True, False, False]
