"""`Report`: what was counted, judged: for each exposed route and each side that was asked in the background, and as a whole.

A route's two directions are two questions. Where legacy answers and the service was asked (stages shadow and dual_write) it is
whether the service may take over; where the service answers and legacy was asked (live), whether one may still go back.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from catalog.stage import Side
from routes import resources
from shadow.durations import Durations
from shadow.tally import Tally
from shadow.verdict import (
    READ_PARITY,
    WHOLE,
    Judged,
    Outcome,
    RouteVerdict,
    judged,
    overall,
    route_verdict,
)


class CountedSlot(Protocol):
    """What one process has counted of one route in a while (runtime.shadowstore.Count)."""

    @property
    def route(self) -> str: ...
    @property
    def release(self) -> str: ...
    @property
    def candidate(self) -> str: ...
    @property
    def noise(self) -> bool:
        """Legacy against itself, whichever side was the candidate."""
        ...

    @property
    def document(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class Exposed:
    """A route that is compared, as it stands in logs."""

    route: str
    entity: str


def exposed() -> tuple[Exposed, ...]:
    """Each resource's list and, unless it is nested, its item."""
    found = []
    for resource in resources():
        at = resource.collection_path
        found.append(Exposed(route=at, entity=resource.entity))
        if not resource.nested:
            found.append(Exposed(route=f"{at}/{{key}}", entity=resource.entity))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class FieldReport:
    """One column of a route, or the answer as a whole (WHOLE). Its noise stands in `judged.counts`."""

    name: str
    judged: Judged
    """Also of what does not decide: what it would be."""
    kinds: Mapping[str, int]
    """Pairs by kind of difference."""
    noise_kinds: Mapping[str, int]
    ignored: bool
    """By an operator, for a while."""
    undecided: bool
    """By the catalog."""

    @property
    def decides(self) -> bool:
        return not (self.ignored or self.undecided)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Of one side's answers, in seconds; None without any."""

    count: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, kw_only=True)
class RouteReport:
    """One route, with `candidate` asked in the background."""

    route: str
    entity: str
    candidate: Side
    verdict: RouteVerdict
    pairs: int
    mismatches: int
    """Pairs that were a mismatch when they were compared, in ignored columns too."""
    visibility: int
    inconclusive: Mapping[str, int]
    noise_pairs: int
    noise_mismatches: int
    fields: tuple[FieldReport, ...]
    """Worst first."""
    primary: Latency
    other: Latency

    @property
    def used(self) -> bool:
        """Whether anything was asked, with or without an answer."""
        return bool(self.pairs or self.inconclusive)


@dataclass(frozen=True, kw_only=True)
class Report:
    threshold: float
    routes: tuple[RouteReport, ...]
    """Every route once with the service as candidate, and once more where legacy was."""
    overall: Outcome
    """Of the service as candidate alone."""
    releases: tuple[str, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Counts of routes that are not exposed any more."""
    unreadable: int = 0
    """Counts that another release has written in a form that this one does not know."""


class Sums:
    """What was counted, added up as it comes: a month of it need not be held at once."""

    def __init__(self) -> None:
        self.releases: set[str] = set()
        self.unknown: Counter[str] = Counter()
        self.unreadable = 0
        self._by_route: dict[tuple[str, str], _Sum] = {}
        self._routes = {one.route for one in exposed()}

    def add(self, one: CountedSlot) -> None:
        if one.route not in self._routes:
            self.unknown[one.route] += 1
            return
        part = _read(one.document)
        if part is None:
            self.unreadable += 1
            return
        self.releases.add(one.release)
        name = one.route, _NOISE if one.noise else one.candidate
        self._by_route.setdefault(name, _Sum()).add(part)

    def of(self, route: str, candidate: str) -> "_Sum | None":
        return self._by_route.get((route, candidate))


def report(
    sums: Sums,
    *,
    ignored: Collection[str] = (),
    threshold: float = READ_PARITY,
    of: Collection[Exposed] | None = None,
) -> Report:
    """`ignored`: paths as lab_orders.currency; `of`: the routes that are judged, default all."""
    found = [
        _route_report(one, side, sums, ignored, threshold)
        for one in (exposed() if of is None else of)
        for side in (Side.SERVICE, Side.LEGACY)
        if side is Side.SERVICE or sums.of(one.route, side)
    ]
    return Report(
        threshold=threshold,
        routes=tuple(found),
        overall=overall(one.verdict for one in found if one.candidate is Side.SERVICE),
        releases=tuple(sorted(sums.releases)),
        unknown=dict(sums.unknown),
        unreadable=sums.unreadable,
    )


_NOISE = "noise"
"""In place of the candidate."""


class _Sum:
    """Of one route and candidate."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.primary = Durations()
        self.candidate = Durations()

    def add(self, other: "_Sum") -> None:
        self.tally.merge(other.tally)
        self.primary.merge(other.primary)
        self.candidate.merge(other.candidate)


def _read(document: Mapping[str, Any]) -> _Sum | None:
    found = _Sum()
    try:
        found.tally = Tally.of(document["tally"])
        found.primary = Durations(document["primary"])
        found.candidate = Durations(document["candidate"])
    except (KeyError, TypeError, ValueError):
        return None
    return found


def _route_report(
    at: Exposed,
    side: Side,
    sums: Sums,
    ignored: Collection[str],
    threshold: float,
) -> RouteReport:
    found = sums.of(at.route, side) or _Sum()
    noise = (sums.of(at.route, _NOISE) or _Sum()).tally
    tally = found.tally
    left_out = {name for name in tally.names | noise.names if f"{at.entity}.{name}" in ignored}
    return RouteReport(
        route=at.route,
        entity=at.entity,
        candidate=side,
        verdict=route_verdict(tally.route(noise=noise, ignored=left_out), threshold),
        pairs=tally.pairs,
        mismatches=tally.mismatches,
        visibility=tally.visibility,
        inconclusive=dict(tally.inconclusive),
        noise_pairs=noise.pairs,
        noise_mismatches=noise.mismatches,
        fields=tuple(sorted(_fields(tally, noise, left_out, threshold), key=_worst_first)),
        primary=_latency(found.primary),
        other=_latency(found.candidate),
    )


def _fields(
    tally: Tally, noise: Tally, ignored: Collection[str], threshold: float
) -> Iterable[FieldReport]:
    for name in tally.names | noise.names:
        yield FieldReport(
            name=name,
            judged=judged(tally.counts(name, noise), threshold),
            kinds=_kinds(tally, name),
            noise_kinds=_kinds(noise, name),
            ignored=name in ignored,
            undecided=name in tally.undecided | noise.undecided,
        )


def _kinds(tally: Tally, name: str) -> dict[str, int]:
    return {
        str(kind): count
        for (of, kind), count in sorted(tally.kinds.items())
        if of == name and count
    }


def _worst_first(one: FieldReport) -> tuple[bool, int, int, str]:
    return (
        not one.decides,
        _OUTCOMES.index(one.judged.outcome),
        -one.judged.counts.wrong,
        one.name if one.name != WHOLE else "",
    )


_OUTCOMES = (Outcome.FAIL, Outcome.INSUFFICIENT, Outcome.PASS)


def _latency(found: Durations) -> Latency:
    return Latency(count=found.count, p50=found.quantile(0.5), p99=found.quantile(0.99))
