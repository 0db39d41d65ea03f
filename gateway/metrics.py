"""What the gateway counts. Labels are entities, route patterns, sides, stages and status classes, never ids.

Any process of a group answers for all of it (runtime/groupfolder.py): counts and durations are sums since the
group's start, gauges are put together as each one says. A process alone shows its own.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from gateway.tally import SECONDS, Counter, Tally
from runtime.groupfolder import Counts, Gauges, GroupFolder, State, add

log = structlog.get_logger("metrics")

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
WRITE_SECONDS = 1.0
"""How old the numbers of the other processes may be, and what a killed one may take with it."""

Across = Callable[[Iterable[float]], float]
"""Makes one gauge of those of all processes: sum, min or max."""

_REQUESTS = "banyan_requests"
_SHADOW_READS = "banyan_shadow_reads"
_BOUNDS = (*(str(bound) for bound in SECONDS), "+Inf")


class Metrics:
    """One per process, made by the composition root. `folder`: where its group's processes leave their counts."""

    def __init__(self, folder: Path | None = None) -> None:
        self.tally = Tally()
        self.shadow_tally = Tally()
        """Of what was asked behind callers' answers."""
        self._counters: list[Counter] = []
        self._gauges: dict[str, _Gauge] = {}
        self._folder = GroupFolder.of_this_process(folder) if folder else None
        self._timer: asyncio.TimerHandle | None = None
        self._written = True
        self.refused_tokens = self._counter(
            "banyan_refused_tokens_total", "Tokens refused, by reason", "reason"
        )
        self.unrepresentable = self._counter(
            "banyan_unrepresentable_values_total",
            "Legacy values that v2 has no word for and showed as null",
            *("entity", "column"),
        )
        self.shed = self._counter(
            "banyan_shed_total", "Requests answered 503 to keep the queue short", "reason"
        )
        self.retries = self._counter(
            "banyan_retries_total", "Requests sent a second time", "upstream"
        )
        self.writes = self._counter(
            "banyan_writes_total",
            "Writes by the side that took them and what became of them",
            "entity",
            "authority",
            "outcome",
        )
        self.unkeyed_writes = self._counter(
            "banyan_unkeyed_creates_total",
            "New rows without an idempotency key: a repeat of such a request makes another one",
            "entity",
        )
        self.rate_limited = self._counter(
            "banyan_rate_limited_total", "Requests over a limit: user, partner, legacy", "scope"
        )
        self.security_alerts = self._counter(
            "banyan_security_alerts_total", "What an operator must look at, by class", "class"
        )
        self.access_records_failed = self._counter(
            "banyan_access_records_failed_total", "PHI access records that could not be written"
        )
        self.log_lines_dropped = self._counter(
            "banyan_log_lines_dropped_total", "Lines of the application log that were dropped"
        )
        self.shadow_pairs = self._counter(
            "banyan_shadow_pairs_total",
            "Pairs of answers that were compared; candidate `noise`: legacy against itself",
            *("route", "candidate", "result"),
        )
        self.shadow_inconclusive = self._counter(
            "banyan_shadow_inconclusive_total",
            "Pairs that say nothing, by reason",
            *("route", "candidate", "reason"),
        )
        self.shadow_differences = self._counter(
            "banyan_shadow_differences_total",
            "Pairs in which a column (none: the answer as a whole) differed, by kind",
            *("route", "candidate", "field", "kind"),
        )
        self.shadow_shed = self._counter(
            "banyan_shadow_shed_total", "Pairs that were not compared for want of room", "reason"
        )
        self.shadow_dropped = self._counter(
            "banyan_shadow_evidence_dropped_total",
            "Counts and examples that could not be stored in time",
        )
        self.watch("banyan_processes", "Processes of the group", lambda: 1.0)

    def watch(
        self,
        name: str,
        help: str,
        read: Callable[[], float],
        labels: Mapping[str, str] | None = None,
        *,
        across: Across = sum,
    ) -> None:
        """A gauge that is read once a second and at scrapes; again with other label values for one more line."""
        labels = labels or {}
        gauge = self._gauges.setdefault(name, _Gauge(help, tuple(labels), across))
        if gauge.labels != tuple(labels):
            raise ValueError(f"{name} has the labels {gauge.labels}")
        gauge.lines[tuple(labels.values())] = read

    def watch_flags(self, version: Callable[[], float], staleness: Callable[[], float]) -> None:
        """Of several processes the one that is furthest behind counts."""
        self.watch(
            "banyan_flags_version", "Version of the flag snapshot in use", version, across=min
        )
        self.watch(
            "banyan_flags_staleness_seconds",
            "Since the flag source was last heard",
            staleness,
            across=max,
        )

    def start(self) -> None:
        """Leaves the numbers for the others, now and every second; nothing without a folder."""
        if self._folder is not None:
            self._write(self._state())
            self._timer = asyncio.get_running_loop().call_later(WRITE_SECONDS, self.start)

    def stop(self) -> None:
        """Leaves the last numbers."""
        if self._timer is not None:
            self._timer.cancel()
            self._write(self._state())

    def exposition(self) -> bytes:
        """The page of /metrics."""
        own = self._state()
        others: list[State] = []
        if self._folder is not None:
            self._write(own)  # first: what is shown may not be lost
            others = self._folder.others()
        return generate_latest(_Page(self._counters, self._gauges, [own, *others]))

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        counter = Counter(name, help, labels)
        self._counters.append(counter)
        return counter

    def _state(self) -> State:
        counts: Counts = {counter.name: counter.read() for counter in self._counters}
        counts[_REQUESTS] = self.tally.read()
        counts[_SHADOW_READS] = self.shadow_tally.read()
        return State(counts=counts, gauges={name: g.read() for name, g in self._gauges.items()})

    def _write(self, state: State) -> None:
        """A full disk costs the others our newest numbers, nobody an answer."""
        assert self._folder is not None  # noqa: S101 - callers ask first
        try:
            self._folder.write(state)
        except OSError as error:
            if self._written:
                log.warning("metrics.unwritten", exc_info=error)
            self._written = False
        else:
            self._written = True


@dataclass(frozen=True)
class _Gauge:
    help: str
    labels: tuple[str, ...]
    across: Across
    lines: dict[tuple[str, ...], Callable[[], float]] = field(default_factory=dict)

    def read(self) -> dict[tuple[str, ...], float]:
        return {values: float(read()) for values, read in self.lines.items()}


class _Page(Collector):
    """The numbers of some processes as Prometheus' families."""

    def __init__(
        self, counters: list[Counter], gauges: dict[str, _Gauge], states: list[State]
    ) -> None:
        self._counters, self._declared = counters, gauges
        self._counts: Counts = {}
        for state in states:
            add(self._counts, state.counts)
        self._gauges = [state.gauges for state in states]

    @override
    def collect(self) -> Iterator[Metric]:
        yield self._requests(_REQUESTS, "Answered requests")
        yield self._durations(
            _REQUESTS,
            "banyan_request_seconds",
            "Time from the request's head to the answer's last byte",
        )
        yield self._requests(_SHADOW_READS, "Questions asked behind callers' answers")
        yield self._durations(
            _SHADOW_READS,
            "banyan_shadow_read_seconds",
            "Time from such a question to its answer's last byte",
        )
        for counter in self._counters:
            family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
            for labels, (count,) in self._counts.get(counter.name, {}).items():
                family.add_metric(labels, count)
            yield family
        for name, gauge in self._declared.items():
            yield _gauge_family(name, gauge, self._gauges)

    def _requests(self, name: str, help: str) -> Metric:
        family = CounterMetricFamily(
            f"{name}_total",
            help,
            labels=("route", "method", "side", "stage", "status"),
        )
        for labels, (_, *buckets) in self._counts[name].items():
            family.add_metric(labels, sum(buckets))
        return family

    def _durations(self, counted: str, name: str, help: str) -> Metric:
        family = HistogramMetricFamily(name, help, labels=("route", "side"))
        merged: Counts = {}
        for (route, _, side, *_), numbers in self._counts[counted].items():
            add(merged, {counted: {(route, side): numbers}})
        for labels, (seconds, *buckets) in merged.get(counted, {}).items():
            below = [sum(buckets[: place + 1]) for place in range(len(buckets))]
            family.add_metric(labels, list(zip(_BOUNDS, below, strict=True)), seconds)
        return family


def _gauge_family(name: str, gauge: _Gauge, processes: list[Gauges]) -> Metric:
    family = GaugeMetricFamily(name, gauge.help, labels=gauge.labels)
    values: dict[tuple[str, ...], list[float]] = {}
    for gauges in processes:
        for labels, value in gauges.get(name, {}).items():
            values.setdefault(labels, []).append(value)
    for labels, found in values.items():
        family.add_metric(labels, gauge.across(found))
    return family
