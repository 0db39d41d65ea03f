"""The guard: what becomes of a version that arrives at a side (data-rules 2.3 to 2.7). Pure.

The databases hold the same rules in SQL, where they are part of the writing statement: `banyan.mirror_apply` in
legacy, `<service>.apply` in the services. A test drives all three through the same sequences.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from catalog.stage import Side
from migration.version import Version

CLOCK_BAND = timedelta(seconds=60)
"""A stamp further ahead than this is parked: one bad clock would otherwise win for ever."""


class Verdict(StrEnum):
    """What a guarded apply answers, by the databases' own words."""

    APPLIED = "applied"
    SAME = "same"
    """This very version is there."""
    STALE = "stale"
    """A newer one is there."""
    PARKED = "parked"
    FENCED = "fenced"
    """The epoch of whoever applies is out of date."""
    DIFFERS = "differs"
    """An append-only row of this key is there, with other content."""
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A version written here gives way to one that has not seen it."""

    loser: Version
    loser_deleted: bool
    winner: Version
    winner_deleted: bool


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`row` and `tombstone` are what the side holds afterwards."""

    verdict: Verdict
    row: Version | None
    tombstone: Version | None
    conflicts: tuple[Conflict, ...] = ()


def decide(
    row: Version | None,
    tombstone: Version | None,
    incoming: Version,
    *,
    deleted: bool,
    here: Side,
    now: datetime,
) -> Decision:
    """For one key of a versioned table. Row and tombstone may stand beside each other: then the lesser goes, whatever arrives."""
    if incoming.updated_at > now + CLOCK_BAND:
        return Decision(verdict=Verdict.PARKED, row=row, tombstone=tombstone)
    row_counts = row is not None and (tombstone is None or tombstone.pair < row.pair)
    top = row if row_counts else tombstone
    given_up = []
    if row is not None and tombstone is not None:
        given_up.append(
            _conflict(tombstone, row, here, loser_deleted=True, winner_deleted=False)
            if row_counts
            else _conflict(
                row, tombstone, here, loser_deleted=False, winner_deleted=True, beside=True
            )
        )
    if top is None or top.pair < incoming.pair:
        verdict = Verdict.APPLIED
        if top is not None:
            given_up.append(
                _conflict(top, incoming, here, loser_deleted=not row_counts, winner_deleted=deleted)
            )
        row, tombstone = (None, incoming) if deleted else (incoming, None)
    else:
        same = top.pair == incoming.pair and row_counts is not deleted
        verdict = Verdict.SAME if same else Verdict.STALE
        row, tombstone = (row, None) if row_counts else (None, tombstone)
    conflicts = tuple(conflict for conflict in given_up if conflict)
    return Decision(verdict=verdict, row=row, tombstone=tombstone, conflicts=conflicts)


def _conflict(
    loser: Version,
    winner: Version,
    here: Side,
    *,
    loser_deleted: bool,
    winner_deleted: bool,
    beside: bool = False,
) -> Conflict | None:
    """`beside`: a row that loses to the tombstone next to it. If both were written here, a user's insert has waited on
    another user's delete, and nobody has seen the row that goes."""
    if loser.origin is not here:
        return None
    if winner.origin is here:
        if not beside:
            return None
    elif winner.has_seen(loser):
        return None
    return Conflict(
        loser=loser, loser_deleted=loser_deleted, winner=winner, winner_deleted=winner_deleted
    )
