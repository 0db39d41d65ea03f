"""What the gateway counts. Labels are entities, route patterns, sides, stages and status classes, never ids."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One registry per process, made by the composition root."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "banyan_requests_total",
            "Answered requests",
            ("route", "method", "side", "stage", "status"),
            registry=self.registry,
        )
        self.duration = Histogram(
            "banyan_request_seconds",
            "Time from the request's head to the answer's last byte",
            ("route", "side"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused_tokens = Counter(
            "banyan_refused_tokens_total",
            "Tokens refused, by reason",
            ("reason",),
            registry=self.registry,
        )
        self.unrepresentable = Counter(
            "banyan_unrepresentable_values_total",
            "Legacy values that v2 has no word for and showed as null",
            ("entity", "column"),
            registry=self.registry,
        )

    def watch_flags(self, version: Callable[[], float], staleness: Callable[[], float]) -> None:
        """Gauges that are read at each scrape."""
        Gauge(
            "banyan_flags_version", "Version of the flag snapshot in use", registry=self.registry
        ).set_function(version)
        Gauge(
            "banyan_flags_staleness_seconds",
            "Since the flag source was last heard",
            registry=self.registry,
        ).set_function(staleness)

    def exposition(self) -> bytes:
        """The page of /metrics."""
        return generate_latest(self.registry)
