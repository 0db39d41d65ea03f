"""What the versions that are left say about the writes that made them."""

import pytest

from benchmarks.writes.histories import Histories

pytestmark = pytest.mark.unit

ROW = ("lab_orders", ("1",))


@pytest.fixture
def histories() -> Histories:
    """b and c were both built on a; d on c. Before a there was a version of somebody else's."""
    found = Histories()
    for version, built_on in (("a", "seeded"), ("b", "a"), ("c", "a"), ("d", "c")):
        found.wrote(ROW, version, built_on)
    return found


@pytest.mark.parametrize(
    ("final", "losers", "lost"),
    [
        ("d", ["b"], []),
        ("d", [], ["b"]),
        ("b", ["d"], []),
        ("b", ["c"], ["d"]),
        ("b", [], ["c", "d"]),
        (None, [], ["a", "b", "c", "d"]),
        ("seeded", [], ["a", "b", "c", "d"]),
    ],
)
def test_a_write_is_kept_by_what_was_built_on_it(histories: Histories, final, losers, lost) -> None:
    assert histories.lost(ROW, final, losers) == lost


def test_going_back_is_told_from_going_on(histories: Histories) -> None:
    assert histories.holds("d", "a")
    assert not histories.holds("a", "d")
    assert not histories.holds("b", "c")
    assert not histories.holds("a", "a")
    assert not histories.holds(None, "a")
