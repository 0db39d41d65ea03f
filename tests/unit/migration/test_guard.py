"""The guard on single cases that one can follow by hand; test_guard_differential.py has the many."""

from datetime import UTC, datetime, timedelta

import pytest

from catalog.stage import Side
from migration.guard import CLOCK_BAND, Verdict, decide
from migration.version import Version, successor

pytestmark = pytest.mark.unit

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def version(at: int, origin: Side, *, seen: int | None = None) -> Version:
    """Of `at` seconds before noon."""
    return Version(
        updated_at=NOW - timedelta(seconds=at),
        origin=origin,
        row_version=1,
        correlation_id=None,
        seen_at=None if seen is None else NOW - timedelta(seconds=seen),
    )


def test_a_version_enters_an_empty_place_and_a_delete_is_remembered() -> None:
    new = version(5, Side.LEGACY)
    row = decide(None, None, new, deleted=False, here=Side.SERVICE, now=NOW)
    grave = decide(None, None, new, deleted=True, here=Side.SERVICE, now=NOW)
    assert (row.verdict, row.row, row.tombstone) == (Verdict.APPLIED, new, None)
    assert (grave.verdict, grave.row, grave.tombstone) == (Verdict.APPLIED, None, new)


@pytest.mark.parametrize("here", Side)
def test_at_one_instant_the_service_wins_on_both_sides(here: Side) -> None:
    legacy, service = version(5, Side.LEGACY), version(5, Side.SERVICE)
    up = decide(legacy, None, service, deleted=False, here=here, now=NOW)
    down = decide(service, None, legacy, deleted=False, here=here, now=NOW)
    assert (up.verdict, up.row) == (Verdict.APPLIED, service)
    assert (down.verdict, down.row) == (Verdict.STALE, service)


@pytest.mark.parametrize(("seen", "recorded"), [(None, 1), (8, 1), (7, 0), (6, 0)])
def test_a_version_that_is_overwritten_unseen_is_recorded(seen: int | None, recorded: int) -> None:
    mine, theirs = version(7, Side.SERVICE), version(5, Side.LEGACY, seen=seen)
    decision = decide(mine, None, theirs, deleted=True, here=Side.SERVICE, now=NOW)
    assert decision.verdict is Verdict.APPLIED
    assert [(c.loser, c.winner, c.winner_deleted) for c in decision.conflicts] == [
        (mine, theirs, True)
    ] * recorded


def test_a_version_of_elsewhere_that_is_overwritten_is_the_other_side_s_to_record() -> None:
    decision = decide(
        version(7, Side.LEGACY),
        None,
        version(5, Side.SERVICE),
        deleted=False,
        here=Side.SERVICE,
        now=NOW,
    )
    assert decision.conflicts == ()


def test_a_stamp_is_parked_only_beyond_the_band() -> None:
    edge = Version(
        updated_at=NOW + CLOCK_BAND,
        origin=Side.LEGACY,
        row_version=1,
        correlation_id=None,
        seen_at=None,
    )
    for now, verdict in ((NOW, Verdict.APPLIED), (NOW - MICROSECOND, Verdict.PARKED)):
        assert (
            decide(None, None, edge, deleted=False, here=Side.SERVICE, now=now).verdict is verdict
        )


@pytest.mark.parametrize("row_is_newer", [True, False])
def test_of_row_and_tombstone_beside_each_other_the_lesser_goes(*, row_is_newer: bool) -> None:
    row = version(5 if row_is_newer else 9, Side.SERVICE)
    grave = version(7, Side.SERVICE)
    decision = decide(
        row, grave, version(20, Side.LEGACY), deleted=False, here=Side.SERVICE, now=NOW
    )
    assert decision.verdict is Verdict.STALE
    assert (decision.row, decision.tombstone) == ((row, None) if row_is_newer else (None, grave))
    # A delete that was given up loses nothing; a row that nobody has seen does.
    assert [c.loser for c in decision.conflicts] == ([] if row_is_newer else [row])


def test_a_user_s_version_goes_above_all_that_it_replaces() -> None:
    row = version(-30, Side.LEGACY)
    grave = version(-40, Side.SERVICE, seen=3)
    new = successor([row, grave], here=Side.SERVICE, clock=NOW, correlation_id="c")
    assert new == Version(
        updated_at=grave.updated_at + MICROSECOND,
        origin=Side.SERVICE,
        row_version=2,
        correlation_id="c",
        seen_at=row.updated_at,
    )


def test_a_first_version_has_seen_nothing() -> None:
    new = successor([], here=Side.LEGACY, clock=NOW, correlation_id=None)
    assert (new.updated_at, new.row_version, new.seen_at) == (NOW, 1, None)
