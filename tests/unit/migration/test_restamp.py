from datetime import UTC, datetime, timedelta

import pytest

from catalog.stage import Side
from migration.restamp import REFUSALS, RestampRefused, Standing, curable
from migration.version import Version

pytestmark = pytest.mark.unit

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def version(ahead: timedelta) -> Version:
    return Version(
        updated_at=NOW + ahead,
        origin=Side.LEGACY,
        row_version=1,
        correlation_id="c",
        seen_at=None,
    )


def standing(
    row: timedelta | None = None,
    tombstone: timedelta | None = None,
    clock: timedelta = timedelta(0),
) -> Standing:
    return Standing(
        row=None if row is None else version(row),
        tombstone=None if tombstone is None else version(tombstone),
        clock=NOW + clock,
    )


AHEAD = 10 * MINUTE
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("here", "there", "code"),
    [
        (standing(), standing(row=-MINUTE), "not_there"),
        (standing(row=AHEAD, tombstone=-MINUTE), standing(), "row_and_tombstone"),
        (standing(row=MINUTE), standing(), "not_ahead"),
        (standing(tombstone=-MINUTE), standing(), "not_ahead"),
        (standing(row=AHEAD, clock=MINUTE + TICK), standing(), "clock_ahead"),
        (standing(row=AHEAD), standing(row=AHEAD), "other_ahead"),
        (standing(row=AHEAD), standing(tombstone=MINUTE + TICK), "other_ahead"),
    ],
)
def test_what_is_not_cured_this_way_is_refused_with_the_reason(
    here: Standing, there: Standing, code: str
) -> None:
    with pytest.raises(RestampRefused) as refused:
        curable(here, there, now=NOW)
    assert refused.value.code == code
    assert code in REFUSALS


@pytest.mark.parametrize("there", [standing(), standing(row=MINUTE), standing(tombstone=-MINUTE)])
@pytest.mark.parametrize("clock", [-AHEAD, MINUTE])
def test_a_row_or_a_delete_that_is_parked_is_cured(there: Standing, clock: timedelta) -> None:
    ahead = MINUTE + TICK
    assert curable(standing(row=ahead, clock=clock), there, now=NOW) == version(ahead)
    assert curable(standing(tombstone=ahead, clock=clock), there, now=NOW) == version(ahead)
