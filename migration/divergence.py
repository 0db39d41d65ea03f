"""`Divergence`: what becomes of a key that has not arrived on the other side (data-rules 3.10, 3.11, 7.5). Pure.

It is tried again, at growing distances, and meanwhile nothing else of that key is tried: whatever else happens to the row is
covered, because the row is read anew. A change that nothing will cure goes to quarantine, where nothing is tried until
somebody redrives it; so does whatever is unsolved after 15 minutes.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from catalog.stage import Side
from migration.converge import Outcome, Result
from routes.key import Key

OVERDUE = timedelta(minutes=15)
"""An incident as old as this goes to quarantine, whatever was seen of it in between."""
POISON_TRIES = 5
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 30.0
CLAIM_SECONDS = 30.0
"""Whoever has claimed something that is due is given so long; then it is due again."""


class State(StrEnum):
    """Of an incident."""

    WAITING = "waiting"
    """For its parent."""
    PARKED = "parked"
    """Until the clock has come to its stamp."""
    RETRYING = "retrying"
    QUARANTINED = "quarantined"
    SOLVED = "solved"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """An unsolved incident of a key, as whoever wants to bring that key sees it."""

    attempts: int
    seconds: float
    """Until it may be tried; 0 or less: now. Infinite in quarantine."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A try that did not succeed, and what follows from it."""

    state: State
    reason: str
    seconds: float
    """Until the next try; infinite in quarantine."""
    correlation_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """An incident whose next try is due, and which is the claimer's for CLAIM_SECONDS."""

    entity: str
    key: Key
    side: Side
    attempts: int


def judged(result: Result, attempts: int) -> Failure:
    """What a result that is not DONE means, as the try of this number, counted from 1."""
    correlation_id = result.version.correlation_id if result.version else None
    state, seconds = _STATES.get(result.outcome, State.RETRYING), wait_seconds(attempts)
    if result.outcome is Outcome.POISON and (_catalog(result.detail) or attempts >= POISON_TRIES):
        state, seconds = State.QUARANTINED, float("inf")
    return Failure(
        state=state,
        reason=result.detail or result.outcome.value,
        seconds=seconds,
        correlation_id=correlation_id,
    )


def wait_seconds(attempts: int) -> float:
    """After the try of this number: doubling."""
    return min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 10))


def _catalog(detail: str) -> bool:
    """Was it the catalog that refused (`column: rule`), which refuses the same row for ever?"""
    return ": " in detail


_STATES = {Outcome.WAITING: State.WAITING, Outcome.PARKED: State.PARKED}
