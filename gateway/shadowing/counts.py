"""`Counts`: what this process has compared: for verdicts by route and slot, for /metrics, and as lines for who reads mismatches."""

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from uuid import UUID

import structlog

from catalog.stage import Side
from gateway.facts import Facts
from gateway.metrics import Metrics
from routes.resource import Resource
from runtime.correlation import uuid7
from runtime.shadowstore import SLOT_SECONDS, Count, Example
from shadow.difference import Kind
from shadow.durations import Durations
from shadow.finding import Finding
from shadow.pair import Reason, Result
from shadow.tally import Counted, Tally

log = structlog.get_logger("shadow")

NOISE = "noise"
"""In place of the candidate: legacy was compared with itself."""
MOST_EXAMPLES = 20
"""Of one route, path and kind in one slot: what comes beyond is counted, and leaves its line in the log."""
MOST_PATHS = 10_000
"""Different ones in one slot: places in arrays are part of a path, and a candidate may have as many as it likes."""
LONGEST_PATH = 500
MOST_WAITING = 2_000
"""Examples that wait for the database."""
MOST_SLOTS_WAITING = 5_000
"""Counts of slots that have ended, waiting for the database."""


class Cell:
    """What is counted of one route, kind of viewer and candidate in the present slot."""

    __slots__ = (
        "candidate",
        "candidate_seconds",
        "columns",
        "equal_with_rows",
        "equal_without_rows",
        "noise",
        "primary_seconds",
        "route",
        "tally",
        "word",
    )

    def __init__(self, route: str, candidate: Side, columns: Sequence[str], *, noise: bool) -> None:
        self.route = route
        self.candidate = candidate
        self.columns = columns
        self.noise = noise
        self.word = NOISE if noise else candidate.value
        self.begin()

    def begin(self) -> None:
        """A new slot."""
        self.equal_with_rows = self.equal_without_rows = 0
        self.tally = Tally()
        self.primary_seconds, self.candidate_seconds = Durations(), Durations()

    @property
    def empty(self) -> bool:
        return not (
            self.equal_with_rows
            or self.equal_without_rows
            or self.tally.pairs
            or self.tally.inconclusive
        )

    def whole(self) -> Tally:
        tally = Tally()
        tally.merge(self.tally)
        tally.add_equal(self.columns, self.equal_with_rows)
        tally.add_equal((), self.equal_without_rows)
        return tally


class Counts:
    """One per process. `clock`: seconds since 1970."""

    def __init__(
        self, metrics: Metrics, *, release: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = metrics
        self._release = release
        self._clock = clock
        self._writer = f"{socket.gethostname()[:100]}.{os.getpid()}.{time.time_ns()}"
        self._cells: dict[tuple[str, bool, Side, bool], Cell] = {}
        self._slot = self._now_slot()
        self._ended: list[Count] = []
        self._examples: list[Example] = []
        self._shown: Counter[tuple[str, str, str, str]] = Counter()
        self.alone: set[str] = set()
        """Entities of which a row was visible on one side only: somebody has to be told."""

    def cell(self, resource: Resource, facts: Facts, candidate: Side, *, noise: bool) -> Cell:
        user = facts.user
        staff = user is not None and user.identity.staff
        key = (facts.route, staff, candidate, noise)
        cell = self._cells.get(key)
        if cell is None:
            columns = tuple(column.target for column in resource.columns(staff=staff))
            cell = self._cells[key] = Cell(facts.route, candidate, columns, noise=noise)
        return cell

    # --- one pair

    def equal(self, cell: Cell, *, has_rows: bool) -> None:
        if has_rows:
            cell.equal_with_rows += 1
        else:
            cell.equal_without_rows += 1
        self._metrics.shadow_pairs.inc(cell.route, cell.word, _MATCH)

    def took(self, cell: Cell, primary: float, candidate: float) -> None:
        """Seconds of both answers."""
        cell.primary_seconds.add(primary)
        cell.candidate_seconds.add(candidate)

    def inconclusive(self, cell: Cell, reason: Reason) -> None:
        self.add(cell, Counted(result=Result.INCONCLUSIVE, reason=reason))

    def add(self, cell: Cell, pair: Counted) -> None:
        cell.tally.add(pair)
        if pair.result is Result.INCONCLUSIVE:
            self._metrics.shadow_inconclusive.inc(cell.route, cell.word, str(pair.reason))
        else:
            self._metrics.shadow_pairs.inc(cell.route, cell.word, pair.result.value)
        for name, kind in pair.kinds:
            self._metrics.shadow_differences.inc(cell.route, cell.word, name, kind.value)

    def shed(self, reason: str) -> None:
        """A pair that was not compared for want of room: a word of a closed set."""
        self._metrics.shadow_shed.inc(reason)

    def mismatch(
        self, cell: Cell, facts: Facts, pair: Counted, findings: Sequence[Finding]
    ) -> None:
        """Counted, one line in the log, and examples for whoever looks for the reason."""
        self.add(cell, pair)
        if not cell.noise and any(kind is Kind.VISIBILITY for _, kind in pair.kinds):
            self.alone.add(facts.entity)
        log.warning(
            "shadow.mismatch",
            correlation_id=facts.correlation_id,
            route=cell.route,
            entity=facts.entity,
            stage=facts.stage,
            candidate=cell.word,
            fields=sorted({one.evidence.field or one.evidence.path for one in findings}),
            kinds=sorted({one.evidence.kind.value for one in findings}),
            flags=facts.flags,
            release=self._release,
        )
        for one in findings:
            self._keep(cell, facts, one)

    def _keep(self, cell: Cell, facts: Facts, finding: Finding) -> None:
        said = finding.evidence
        path = said.path[:LONGEST_PATH]
        key = (cell.route, cell.word, path, said.kind.value)
        self._shown[key] += 1
        if self._shown[key] > MOST_EXAMPLES:
            return
        if len(self._examples) >= MOST_WAITING or len(self._shown) > MOST_PATHS:
            self._metrics.shadow_dropped.inc()
            return
        self._examples.append(
            Example(
                id=UUID(uuid7()),
                at=datetime.fromtimestamp(self._clock(), UTC),
                correlation_id=facts.correlation_id,
                route=cell.route,
                entity=said.entity,
                candidate=cell.candidate.value,
                noise=cell.noise,
                release=self._release,
                flag_version=facts.flags,
                kind=said.kind.value,
                path=path,
                field=said.field,
                decides=finding.decides,
                row=said.row,
                sealed_key=finding.key,
                left=asdict(said.left),
                right=asdict(said.right),
            )
        )

    # --- for the store

    def waiting(self) -> tuple[list[Count], list[Example]]:
        """What is to be stored; `stored` afterwards, with the same. Counts of the present slot replace their earlier ones."""
        slot = self._now_slot()
        if slot != self._slot:
            self._ended += self._counts()
            lost = len(self._ended) - MOST_SLOTS_WAITING
            if lost > 0:
                del self._ended[:lost]
                self._metrics.shadow_dropped.inc(by=lost)
            for cell in self._cells.values():
                cell.begin()
            self._shown.clear()
            self._slot = slot
        return [*self._ended, *self._counts()], list(self._examples)

    def stored(self, counts: Sequence[Count], examples: Sequence[Example]) -> None:
        done = {id(one) for one in counts}
        self._ended = [one for one in self._ended if id(one) not in done]
        del self._examples[: len(examples)]

    def refused(self, examples: int) -> None:
        """So many examples are given up."""
        self._metrics.shadow_dropped.inc(by=examples)

    def _counts(self) -> list[Count]:
        """Cells of staff and of others are of one route: they add up."""
        tallies: dict[tuple[str, Side, bool], tuple[Tally, Durations, Durations]] = {}
        for cell in self._cells.values():
            if cell.empty:
                continue
            tally, primary, candidate = tallies.setdefault(
                (cell.route, cell.candidate, cell.noise), (Tally(), Durations(), Durations())
            )
            tally.merge(cell.whole())
            primary.merge(cell.primary_seconds)
            candidate.merge(cell.candidate_seconds)
        return [
            Count(
                slot=datetime.fromtimestamp(self._slot, UTC),
                writer=self._writer,
                release=self._release,
                route=route,
                candidate=candidate.value,
                noise=noise,
                document={
                    "tally": tally.document(),
                    "primary": primary.classes,
                    "candidate": took.classes,
                },
            )
            for (route, candidate, noise), (tally, primary, took) in tallies.items()
        ]

    def _now_slot(self) -> float:
        now = self._clock()
        return now - now % SLOT_SECONDS


_MATCH = Result.MATCH.value
