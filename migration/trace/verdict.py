"""`Write`: what became of one write, as far as the lines of a timeline say. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from catalog.stage import Side
from migration.trace.timeline import Line, What
from runtime.intent import Outcome

LOST, WON = "lost", "won"
"""Words of a conflict's line: which of the two versions carries the id."""
SOLVED = "solved"
"""A divergence that is over."""

_COPIES = (What.ROW, What.TOMBSTONE)
_MILLISECOND = timedelta(milliseconds=1)


class State(StrEnum):
    SETTLED = "settled"
    """The other side has it, or something newer."""
    OPEN = "open"
    """Announced or recorded, and on its way."""
    REFUSED = "refused"
    """The authority has not applied it."""
    DIVERGED = "diverged"
    """It has not arrived; the ledger says why."""
    OVERWRITTEN = "overwritten"
    """A version of the other side that had not seen it has taken its place (a true conflict)."""
    SUPERSEDED = "superseded"
    """A later version has taken its place."""
    ALONE = "alone"
    """One side holds it, and nothing was found that brings it on."""
    GONE = "gone"
    """No row carries it, and nothing was found that says why."""


class Measure(StrEnum):
    """Whose two instants a lag lies between."""

    COMMITS = "commit times of both databases"
    LOG = "the log's clock, from closed to settled"


@dataclass(frozen=True, kw_only=True)
class Write:
    """Of one row by one side. `key` is None where the authority numbers rows and nobody has heard the number."""

    entity: str
    key: str | None
    origin: Side
    state: State
    written_at: datetime | None
    """By the origin's clock; None: no version of it was seen."""
    arrived_at: datetime | None
    """By the other side's clock, else by the log's; None: unknown, or not yet."""
    lag_ms: float | None
    measure: Measure | None
    reason: str = ""
    """Of a divergence: state and code. SQLSTATE, or column and rule."""
    won: bool = False
    """It has overwritten a version that it had not seen: that one is kept sealed."""


def writes(lines: Sequence[Line]) -> list[Write]:
    """In the order in which the lines first name them."""
    found: dict[tuple[str, str | None, Side], list[Line]] = defaultdict(list)
    others: dict[tuple[str, str | None], list[Line]] = defaultdict(list)
    for line in lines:
        if line.what is What.OTHER:
            others[line.entity, line.key].append(line)
        elif line.entity and line.origin is not None:
            found[line.entity, line.key, line.origin].append(line)
    return [
        _write(entity, key, origin, own, others[entity, key])
        for (entity, key, origin), own in found.items()
    ]


def _write(
    entity: str, key: str | None, origin: Side, own: Sequence[Line], others: Sequence[Line]
) -> Write:
    copies = {line.side: line for line in own if line.what in _COPIES}
    stamps = [line.updated_at for line in own if line.updated_at is not None]
    written_at = max(stamps, default=None)
    state = _state(copies, own, others, written_at)
    arrived_at, lag, measure = (
        (None, None, None) if state is State.REFUSED else _arrival(origin, copies, own)
    )
    diverged = [line for line in own if line.what is What.DIVERGED and line.word != SOLVED]
    return Write(
        entity=entity,
        key=key,
        origin=origin,
        state=state,
        written_at=written_at,
        arrived_at=arrived_at,
        lag_ms=lag,
        measure=measure,
        reason=", ".join(f"{line.word} {line.facts['reason']}" for line in diverged),
        won=any(line.what is What.CONFLICT and line.word == WON for line in own),
    )


def _state(
    copies: dict[Side, Line],
    own: Sequence[Line],
    others: Sequence[Line],
    written_at: datetime | None,
) -> State:
    """The first that holds: what went wrong comes before what is under way, and that before how it stands."""
    words = {(line.what, line.word) for line in own}
    kinds = {line.what for line in own}
    settled = {line.intent for line in own if line.what is What.SETTLED}
    announced = {line.intent for line in own if line.what in (What.ANNOUNCED, What.OPEN)}
    ends = {line.word for line in own if line.what is What.CLOSED}
    if (What.CONFLICT, LOST) in words:
        return State.OVERWRITTEN
    if any(what is What.DIVERGED and word != SOLVED for what, word in words):
        return State.DIVERGED
    if ends == {Outcome.NOT_APPLIED} and not copies and What.RECORDED not in kinds:
        return State.REFUSED
    if announced - settled:
        return State.OPEN
    if settled or _same(copies):
        return State.SETTLED
    if _superseded(copies, others, written_at):
        return State.SUPERSEDED
    if What.RECORDED in kinds and What.PUBLISHED not in kinds:
        return State.OPEN
    return State.ALONE if copies else State.GONE


def _same(copies: dict[Side, Line]) -> bool:
    """Do both sides hold one version?"""
    return len(copies) == 2 and len({line.updated_at for line in copies.values()}) == 1


def _superseded(
    copies: dict[Side, Line], others: Sequence[Line], written_at: datetime | None
) -> bool:
    """Does a side that does not hold it hold something newer?"""
    return any(
        line.updated_at is not None and written_at is not None and line.updated_at > written_at
        for line in others
        if line.side not in copies
    )


def _arrival(
    origin: Side, copies: dict[Side, Line], own: Sequence[Line]
) -> tuple[datetime | None, float | None, Measure | None]:
    here, there = copies.get(origin), copies.get(origin.other)
    if here and there and here.committed and there.committed:
        return there.at, (there.at - here.at) / _MILLISECOND, Measure.COMMITS
    settled = max((line.at for line in own if line.what is What.SETTLED), default=None)
    closed = max((line.at for line in own if line.what is What.CLOSED), default=None)
    if there and there.committed:
        return there.at, None, None
    if settled and closed:
        return settled, (settled - closed) / _MILLISECOND, Measure.LOG
    return settled, None, None
