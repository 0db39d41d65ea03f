"""Lag or difference? One side may be a moment behind the other; what two readings a moment apart agree on is no matter of that.

A pair that differs in what was changed lately, or in what nothing dates, is read once more on both sides when the lag window
has passed. The second reading says mismatch for what it is sure of, and else nothing: it never counts as a match, since the
first has differed.
"""

from collections.abc import Sequence

from shadow.difference import Kind
from shadow.finding import Finding

_OF_THE_CODE = frozenset({Kind.STATUS, Kind.ERROR_CLASS, Kind.UNREADABLE})
_TYPE_HEADER = "content-type"


def certain(findings: Sequence[Finding], now: float, window: float) -> bool:
    """Whether none of what decides can be lag: all of it is about rows that were last changed longer ago than `window` (both in
    seconds, `now` since 1970), or about no row's content."""
    return all(_settled(one, now, window) for one in findings if one.decides)


def persisting(
    first: Sequence[Finding], second: Sequence[Finding], now: float, window: float
) -> tuple[Finding, ...]:
    """What of the second reading stands: it is certain, or was there the first time as well, and is not of a row that has been
    changed meanwhile. With it stays what decides nothing."""
    before = {_name(one) for one in first}
    return tuple(
        one
        for one in second
        if not one.decides
        or _settled(one, now, window)
        or (_name(one) in before and not _young(one, now, window))
    )


def _settled(one: Finding, now: float, window: float) -> bool:
    said = one.evidence
    if said.kind in _OF_THE_CODE or (said.kind is Kind.HEADER and said.path == _TYPE_HEADER):
        return True
    if said.kind is Kind.VISIBILITY:
        return False  # a row may have been deleted, or its reader been given or lost the right to it, and nothing dates that
    return one.changed_at is not None and not _young(one, now, window)


def _young(one: Finding, now: float, window: float) -> bool:
    return one.changed_at is not None and one.changed_at > now - window


def _name(one: Finding) -> tuple[str, str, str]:
    return one.evidence.kind, one.evidence.path, one.evidence.row
