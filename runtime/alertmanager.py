"""Alerts as Alertmanager tells them to webhooks (its format version 4), so that whatever listens to it listens to us. Pure."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from runtime.alertclass import CLASSES
from runtime.alerts import Alert, State

_NEVER = "0001-01-01T00:00:00Z"
_FINGERPRINT_DIGITS = 16


def status_of(alert: Alert) -> str:
    """Alertmanager knows two; acknowledging is ours alone."""
    return "resolved" if alert.state is State.RESOLVED else "firing"


def webhook_body(alerts: Sequence[Alert]) -> bytes:
    """One message for alerts of one class."""
    name = alerts[0].alert_class
    told = [_told(alert) for alert in alerts]
    firing = any(one["status"] == "firing" for one in told)
    message = {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": "banyan",
        "groupLabels": {"alertname": name},
        "commonLabels": _common([one["labels"] for one in told]),
        "commonAnnotations": _common([one["annotations"] for one in told]),
        "externalURL": "",
        "alerts": told,
    }
    return orjson.dumps(message)


def _told(alert: Alert) -> dict[str, Any]:
    known = CLASSES.get(alert.alert_class)  # a newer release may have rung
    labels = {
        "alertname": alert.alert_class,
        "severity": known.severity if known else "critical",
        "alert": str(alert.id),
        **_given(entity=alert.entity, subject=alert.subject),
    }
    annotations = {
        "summary": known.summary if known else alert.alert_class,
        "runbook_url": alert.runbook,
        "count": str(alert.count),
        **_given(detail=alert.detail, follows=str(alert.follows or "")),
    }
    return {
        "status": status_of(alert),
        "labels": labels,
        "annotations": annotations,
        "startsAt": _instant(alert.first_seen),
        "endsAt": _instant(alert.resolved_at) if alert.resolved_at else _NEVER,
        "generatorURL": "",
        "fingerprint": _fingerprint(labels),
    }


def _given(**words: str) -> dict[str, str]:
    return {name: word for name, word in words.items() if word}


def _common(all_: Sequence[dict[str, str]]) -> dict[str, str]:
    first, *others = all_
    return {n: v for n, v in first.items() if all(other.get(n) == v for other in others)}


def _fingerprint(labels: dict[str, str]) -> str:
    """The same for the same alert, whatever has become of it."""
    canonical = orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:_FINGERPRINT_DIGITS]


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
