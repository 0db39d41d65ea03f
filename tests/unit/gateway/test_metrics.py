"""The page of /metrics, of one process and of several."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from gateway.metrics import Metrics
from runtime.groupfolder import fold

pytestmark = pytest.mark.unit

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


def count(metrics: Metrics, *, status: int = 200, stage: str = "live") -> None:
    metrics.tally.count("/v2/x", "GET", "service", stage, status, 0.002)


def test_requests_and_their_durations() -> None:
    metrics = Metrics()
    count(metrics)
    count(metrics, stage="canary")
    count(metrics, status=503)
    labels = {"route": "/v2/x", "method": "GET", "side": "service"}
    found = {
        (stage, status): value(
            metrics, "banyan_requests_total", **labels, stage=stage, status=status
        )
        for stage, status in (("live", "2xx"), ("canary", "2xx"), ("live", "5xx"))
    }
    assert set(found.values()) == {1.0}
    of_route = {"route": "/v2/x", "side": "service"}
    assert value(metrics, "banyan_request_seconds_count", **of_route) == 3
    assert value(metrics, "banyan_request_seconds_sum", **of_route) == pytest.approx(0.006)
    below = [
        value(metrics, "banyan_request_seconds_bucket", **of_route, le=le)
        for le in ("0.001", "0.0025", "10.0", "+Inf")
    ]
    assert below == [0, 3, 3, 3]


def test_counters_carry_their_labels() -> None:
    metrics = Metrics()
    metrics.refused_tokens.inc("expired")
    metrics.unrepresentable.inc("lab_orders", "status")
    metrics.security_alerts.inc("service_key")
    assert value(metrics, "banyan_refused_tokens_total", reason="expired") == 1
    assert (
        value(metrics, "banyan_unrepresentable_values_total", entity="lab_orders", column="status")
        == 1
    )
    assert value(metrics, "banyan_security_alerts_total", **{"class": "service_key"}) == 1
    assert value(metrics, "banyan_log_lines_dropped_total") == 0
    assert value(metrics, "banyan_access_records_failed_total") == 0


def test_a_gauge_is_read_at_each_scrape() -> None:
    metrics = Metrics()
    idle = [1]
    metrics.watch("pool", "Connections", lambda: idle[0], {"upstream": "legacy", "state": "idle"})
    metrics.watch("pool", "Connections", lambda: 7, {"upstream": "legacy", "state": "busy"})
    idle[0] = 4
    assert value(metrics, "pool", upstream="legacy", state="idle") == 4
    assert value(metrics, "pool", upstream="legacy", state="busy") == 7


def test_a_gauge_with_other_labels_is_refused() -> None:
    metrics = Metrics()
    metrics.watch("pool", "Connections", lambda: 1, {"upstream": "legacy"})
    with pytest.raises(ValueError, match="pool has the labels"):
        metrics.watch("pool", "Connections", lambda: 1, {"state": "idle"})


# --- several processes


def group(folder: Path, size: int) -> list[Metrics]:
    return [Metrics(folder) for _ in range(size)]


def test_each_process_shows_the_sum_of_all(tmp_path: Path) -> None:
    first, second, third = group(tmp_path, 3)
    count(first)
    count(second)
    second.refused_tokens.inc("expired")
    third.refused_tokens.inc("expired")
    for one in (first, second, third):
        one.exposition()
    for one in (first, second, third):
        of_route = {"route": "/v2/x", "side": "service"}
        assert value(one, "banyan_request_seconds_count", **of_route) == 2
        assert value(one, "banyan_refused_tokens_total", reason="expired") == 2
        assert value(one, "banyan_processes") == 3


def test_gauges_are_put_together_as_they_say(tmp_path: Path) -> None:
    first, second = group(tmp_path, 2)
    for number, one in enumerate((first, second), start=1):
        one.watch("inflight", "Requests", lambda n=number: n)  # type: ignore[misc]
        one.watch_flags(lambda n=number: n, lambda n=number: n)  # type: ignore[misc]
        one.exposition()
    assert value(first, "inflight") == 3
    assert value(first, "banyan_flags_version") == 1
    assert value(first, "banyan_flags_staleness_seconds") == 2


def test_what_was_shown_is_there_whoever_is_asked_next(tmp_path: Path) -> None:
    """Nobody's timer has run: the page itself leaves the numbers for the others."""
    first, second = group(tmp_path, 2)
    second.exposition()
    first.refused_tokens.inc("expired")
    shown = value(first, "banyan_refused_tokens_total", reason="expired")
    assert value(second, "banyan_refused_tokens_total", reason="expired") == shown == 1


def test_a_replaced_process_keeps_its_counts_and_loses_its_gauges(tmp_path: Path) -> None:
    (only,) = group(tmp_path, 1)
    only.refused_tokens.inc("expired")
    only.exposition()
    (file,) = tmp_path.glob("*.state")
    fold(tmp_path, int(file.name.partition(".")[0]))
    (successor,) = group(tmp_path, 1)
    successor.refused_tokens.inc("expired")
    assert value(successor, "banyan_refused_tokens_total", reason="expired") == 2
    assert value(successor, "banyan_processes") == 1


async def test_start_leaves_numbers_at_once_and_stop_the_last_ones(tmp_path: Path) -> None:
    leaving, staying = group(tmp_path, 2)
    leaving.start()
    assert value(staying, "banyan_processes") == 2
    leaving.refused_tokens.inc("expired")
    leaving.stop()
    assert value(staying, "banyan_refused_tokens_total", reason="expired") == 1


def test_a_process_alone_leaves_nothing() -> None:
    metrics = Metrics()
    metrics.start()
    metrics.stop()
    assert value(metrics, "banyan_processes") == 1


async def test_a_folder_that_cannot_be_written_is_told_once_and_stops_nobody(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "group"
    metrics = Metrics(folder)
    with capture_logs() as logs:
        metrics.start()
        metrics.stop()
        folder.mkdir()
        metrics.stop()
        folder.rename(tmp_path / "away")
        metrics.stop()
    assert [line["event"] for line in logs] == ["metrics.unwritten"] * 2
