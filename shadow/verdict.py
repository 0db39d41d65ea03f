"""May the candidate take over? What the counted pairs of a release say, for each field, each route, and all of them.

The unit is the pair, not the value: the rows of one answer are no independent witnesses. A verdict is `pass` only if the data
would be unlikely (5 %) with a rate above the threshold, `fail` only if it would be unlikely with one below; else there is too
little to say so. Nothing passes without traffic, and nothing that is visible to one side alone passes at all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shadow.bound import lower, upper

READ_PARITY = 0.001
"""The requirements' 0.1 %, per field."""


WHOLE = ""
"""In place of a column: what is of the answer as a whole (status, headers, order, its end)."""


class Outcome(StrEnum):
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INSUFFICIENT = "insufficient"


class Why(StrEnum):
    """What an outcome rests on, beside the rates."""

    RATE = "rate"
    VISIBILITY = "visibility"
    TOO_FEW = "too_few"
    NOISE = "noise"
    """Legacy differs from itself so often that nothing can be said of the candidate."""
    NO_TRAFFIC = "no_traffic"
    NO_ROWS = "no_rows"
    """Both sides have refused alike, or shown nothing, in every pair: no column has been held against another."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Of one field, or of whole pairs: in how many of `pairs` it differed. `noise_*`: the same of legacy against itself."""

    pairs: int = 0
    wrong: int = 0
    noise_pairs: int = 0
    noise_wrong: int = 0


@dataclass(frozen=True, kw_only=True)
class Judged:
    """`rate` is what was seen, noise taken off; the limits are one-sided, 95 % each."""

    outcome: Outcome
    why: Why
    rate: float
    at_least: float
    at_most: float
    counts: Counts


@dataclass(frozen=True, kw_only=True)
class RouteTally:
    """What was counted of one route. `fields`: of what is not ignored."""

    pairs: Counts = field(default_factory=Counts)
    fields: Mapping[str, Counts] = field(default_factory=dict)
    visibility: int = 0
    """Pairs in which a row was visible on one side only."""
    inconclusive: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RouteVerdict:
    outcome: Outcome
    why: Why
    whole: Judged
    fields: Mapping[str, Judged]


def judged(counts: Counts, threshold: float) -> Judged:
    """One rate against its threshold."""
    seen_least, seen_most = lower(counts.wrong, counts.pairs), upper(counts.wrong, counts.pairs)
    noise_least = lower(counts.noise_wrong, counts.noise_pairs)
    # Without a sample of legacy against itself nothing is known of noise, and nothing is taken off.
    noise_most = upper(counts.noise_wrong, counts.noise_pairs) if counts.noise_wrong else 0.0
    at_least, at_most = max(0.0, seen_least - noise_most), min(1.0, seen_most - noise_least)
    outcome, why = Outcome.INSUFFICIENT, Why.TOO_FEW
    if not counts.pairs:
        why = Why.NO_TRAFFIC
    elif at_least > threshold:
        outcome, why = Outcome.FAIL, Why.RATE
    elif at_most <= threshold and noise_most <= threshold:
        outcome, why = Outcome.PASS, Why.RATE
    elif noise_least > threshold:
        why = Why.NOISE
    return Judged(
        outcome=outcome, why=why, rate=max(0.0, _rate(counts.wrong, counts.pairs) - _rate(counts.noise_wrong, counts.noise_pairs)),
        at_least=at_least, at_most=at_most, counts=counts,
    )  # fmt: skip


def route_verdict(tally: RouteTally, threshold: float = READ_PARITY) -> RouteVerdict:
    """A route passes if all of its fields do, and there is one that is a column; it fails if one of them does."""
    fields = {name: judged(counts, threshold) for name, counts in sorted(tally.fields.items())}
    whole = judged(tally.pairs, threshold)
    worst = min(fields.values(), key=_badness, default=whole)
    outcome, why = worst.outcome, worst.why
    if not tally.pairs.pairs:
        outcome, why = Outcome.INSUFFICIENT, Why.NO_TRAFFIC
    elif tally.visibility:
        outcome, why = Outcome.FAIL, Why.VISIBILITY
    elif outcome is Outcome.PASS and not any(name != WHOLE for name in fields):
        outcome, why = Outcome.INSUFFICIENT, Why.NO_ROWS
    return RouteVerdict(outcome=outcome, why=why, whole=whole, fields=fields)


def overall(routes: Iterable[RouteVerdict]) -> Outcome:
    """Of all that is exposed: a route that nobody has used holds back the whole."""
    found = [one.outcome for one in routes]
    if Outcome.FAIL in found:
        return Outcome.FAIL
    return Outcome.PASS if found and set(found) == {Outcome.PASS} else Outcome.INSUFFICIENT


def _badness(one: Judged) -> int:
    return _WORST_FIRST.index(one.outcome)


_WORST_FIRST = (Outcome.FAIL, Outcome.INSUFFICIENT, Outcome.PASS)


def _rate(wrong: int, pairs: int) -> float:
    return wrong / pairs if pairs else 0.0
