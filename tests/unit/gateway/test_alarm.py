"""An alarm is counted each time and logged at most once a second."""

import pytest
import structlog

from gateway.alarm import Alarm
from gateway.metrics import Metrics

pytestmark = pytest.mark.unit


def test_many_alarms_are_one_line_a_second_with_their_number() -> None:
    now = [0.0]
    metrics = Metrics()
    alarm = Alarm(metrics, lambda: now[0], {})
    with structlog.testing.capture_logs() as logs:
        for at in (0.0, 0.1, 0.2, 1.5):
            now[0] = at
            alarm.ring("service_key")
        alarm.ring("other")
    assert [(line["reason"], line["count"]) for line in logs] == [
        ("service_key", 1),
        ("service_key", 3),
        ("other", 1),
    ]
    assert metrics.security_alerts.read() == {("service_key",): [4.0], ("other",): [1.0]}
