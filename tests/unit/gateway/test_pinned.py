"""A user's own writes are read where they are; where no single side has them all, the read waits."""

import pytest

from catalog.stage import Side
from gateway.pinned import pinned_item, pinned_list
from gateway.plan import Read, SplitRead
from routes import resources

pytestmark = pytest.mark.unit

BY_PATH = {resource.path: resource for resource in resources()}
ORDERS, APPOINTMENTS = BY_PATH["/lab-orders"], BY_PATH["/appointments"]
LEGACY = Read(side=Side.LEGACY, compared_with=Side.SERVICE)
LIVE = Read(side=Side.SERVICE, falls_back=True, federated=True)
RAMP_DOWN = Read(side=Side.SERVICE)
SPLIT = SplitRead(sides={"a": Side.LEGACY, "b": Side.SERVICE}, service=LIVE)
AT_LEGACY, AT_SERVICE = frozenset({Side.LEGACY}), frozenset({Side.SERVICE})


@pytest.mark.parametrize(
    ("plan", "sides", "expected"),
    [
        (LEGACY, AT_LEGACY, LEGACY),
        (RAMP_DOWN, AT_SERVICE, Read(side=Side.SERVICE, pinned=True)),
        (LIVE, AT_LEGACY, Read(side=Side.LEGACY)),
        (RAMP_DOWN, AT_LEGACY, Read(side=Side.LEGACY)),
        (LIVE, AT_LEGACY | AT_SERVICE, None),
        (SPLIT, AT_LEGACY, None),
    ],
)
def test_lists(plan, sides, expected):
    assert pinned_list(plan, sides, ORDERS, backfilled=False) == expected


def test_a_list_of_a_service_that_lacks_rows_is_federated():
    kept = pinned_list(LIVE, AT_SERVICE, ORDERS, backfilled=False)
    assert kept == Read(side=Side.SERVICE, falls_back=True, federated=True, pinned=True)
    for backfilled in (False, True):
        found = pinned_list(LEGACY, AT_SERVICE, ORDERS, backfilled=backfilled)
        assert found == Read(
            side=Side.SERVICE, falls_back=True, federated=not backfilled, pinned=True
        )


def test_where_rows_have_several_homes_the_other_side_s_pins_are_waited_for():
    assert pinned_list(LIVE, AT_LEGACY, APPOINTMENTS, backfilled=True) is None
    assert pinned_list(LEGACY, AT_SERVICE, APPOINTMENTS, backfilled=True) is None


def test_a_written_row_is_read_where_it_was_written():
    assert pinned_item(LIVE, AT_LEGACY, Side.LEGACY, ORDERS) == Read(side=Side.LEGACY)
    assert pinned_item(SPLIT, AT_LEGACY | AT_SERVICE, Side.SERVICE, ORDERS) == Read(
        side=Side.SERVICE, falls_back=True, pinned=True
    )


def test_other_rows_follow_the_list_or_the_plan():
    assert pinned_item(LIVE, AT_LEGACY, None, ORDERS) == Read(side=Side.LEGACY)
    assert pinned_item(LIVE, AT_LEGACY | AT_SERVICE, None, ORDERS) == LIVE
    assert pinned_item(SPLIT, AT_LEGACY, None, ORDERS) == SPLIT
