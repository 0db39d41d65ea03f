"""`Finding`: what is left of a difference when both bodies are gone, which is as soon as they were compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shadow.difference import Difference
from shadow.evidence import Evidence, TagOf, evidence
from shadow.pair import Comparison

MOST = 32
"""Of one pair: a list of a hundred rows that are all wrong says no more by a hundred findings."""

SealOf = Callable[[tuple[str, ...]], bytes]
"""A row's key to what only a privileged person can open."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`evidence` may be kept; the rest is for the moment (`changed_at`) or sealed (`key`)."""

    evidence: Evidence
    decides: bool
    changed_at: float | None = None
    """Seconds since 1970: when the row was last changed; None: nothing says it."""
    key: bytes = b""
    """The row's, sealed; empty where it is about no row."""


def findings(
    entity: str, comparison: Comparison, tag: TagOf, row_tag: TagOf, seal: SealOf
) -> tuple[Finding, ...]:
    """At most MOST, those that may be a matter of the moment first, and of equal ones (kind and path) as few as make room for
    others. `row_tag`: as `tag`, for a row's key."""
    found = sorted(_in_turn(comparison), key=_newest_first)[:MOST]
    return tuple(_finding(entity, one, tag, row_tag, seal) for one in found)


def _in_turn(comparison: Comparison) -> Iterator[Difference]:
    """The first of each kind and path, then the second of each, and so on, MOST of them."""
    rounds: list[list[Difference]] = []
    seen: dict[tuple[str, str], int] = {}
    for one in comparison.differences:
        place = seen.get((one.kind, one.path), 0)
        seen[one.kind, one.path] = place + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(one)
    flat = [one for some in rounds for one in some]
    yield from flat[:MOST]


def _newest_first(one: Difference) -> float:
    return float("-inf") if one.changed_at is None else -one.changed_at.timestamp()


def _finding(entity: str, one: Difference, tag: TagOf, row_tag: TagOf, seal: SealOf) -> Finding:
    named = row_tag(entity, "key", "\0".join(one.row)) if one.row else ""
    return Finding(
        evidence=evidence(entity, one, tag, named),
        decides=one.decides,
        changed_at=None if one.changed_at is None else one.changed_at.timestamp(),
        key=seal(one.row) if one.row else b"",
    )
