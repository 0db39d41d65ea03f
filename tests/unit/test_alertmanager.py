"""What a receiver of Alertmanager's webhooks expects is there, and nothing of a patient."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runtime.alertmanager import status_of, webhook_body
from runtime.alerts import Alert, State

pytestmark = pytest.mark.unit

SEEN = datetime(2026, 11, 29, 19, 40, 0, 5, tzinfo=UTC)
TAG = "e1:" + "0f" * 16
OPEN = Alert(
    id=7,
    alert_class="divergence",
    entity="lab_orders",
    subject=TAG,
    detail="content_differs",
    runbook="docs/playbook.md#divergence",
    state=State.OPEN,
    count=3,
    first_seen=SEEN,
    last_seen=SEEN + timedelta(minutes=2),
    acknowledged_by=None,
    acknowledged_at=None,
    resolved_at=None,
    follows=4,
)
RESOLVED = replace(
    OPEN, id=9, entity="", subject="", detail="", follows=None, state=State.RESOLVED,
    resolved_at=SEEN + timedelta(hours=1),
)  # fmt: skip


def test_a_firing_alert_as_alertmanager_tells_it() -> None:
    labels = {
        "alertname": "divergence",
        "severity": "critical",
        "alert": "7",
        "entity": "lab_orders",
        "subject": TAG,
    }
    annotations = {
        "summary": "The two copies of a row have differed for 15 minutes",
        "runbook_url": "docs/playbook.md#divergence",
        "count": "3",
        "detail": "content_differs",
        "follows": "4",
    }
    told = json.loads(webhook_body([OPEN]))
    [one] = told["alerts"]
    assert len(one.pop("fingerprint")) == 16
    assert told == {
        "version": "4",
        "groupKey": '{}:{alertname="divergence"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "banyan",
        "groupLabels": {"alertname": "divergence"},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2026-11-29T19:40:00.000005Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
            }
        ],
    }


def test_a_group_fires_while_one_of_it_does() -> None:
    both = json.loads(webhook_body([RESOLVED, OPEN]))
    assert both["status"] == "firing"
    assert [one["status"] for one in both["alerts"]] == ["resolved", "firing"]
    assert both["commonLabels"] == {"alertname": "divergence", "severity": "critical"}
    alone = json.loads(webhook_body([RESOLVED]))
    assert alone["status"] == "resolved"
    assert alone["alerts"][0]["endsAt"] == "2026-11-29T20:40:00.000005Z"


def test_an_alert_keeps_its_fingerprint_and_another_has_another() -> None:
    def fingerprint(alert: Alert) -> str:
        [one] = json.loads(webhook_body([alert]))["alerts"]
        return str(one["fingerprint"])

    later = replace(OPEN, count=9, state=State.RESOLVED, resolved_at=SEEN, detail="")
    assert fingerprint(OPEN) == fingerprint(later)
    assert fingerprint(OPEN) != fingerprint(replace(OPEN, id=8))


def test_acknowledged_is_still_firing() -> None:
    assert status_of(replace(OPEN, state=State.ACKNOWLEDGED)) == "firing"


def test_a_class_of_a_newer_release_is_told_as_critical() -> None:
    [one] = json.loads(webhook_body([replace(OPEN, alert_class="new_thing")]))["alerts"]
    assert one["labels"]["severity"] == "critical"
