"""A record of the PHI access log as an ordinary read leaves it, and what one changes of it."""

import json
from typing import Any

from runtime.accessrecord import resource_tag

KEY = b"k" * 32
GOOD: dict[str, Any] = {
    "ts": "2026-08-01T12:00:00.123Z",
    "correlation_id": "01987654-1234-7abc-8def-0123456789ab",
    "sub": "00000001-0000-4000-8000-000000000001",
    "role": "patient",
    "purpose": "treatment",
    "resource": resource_tag(KEY, "lab_orders", "00000005-0000-4000-8000-000000000001"),
    "source_ip": "127.0.0.1",
    "flag_version": 12,
    "duration_ms": 1.25,
    "action": "read",
    "entity": "lab_orders",
    "outcome": "success",
    "status": 200,
    "stage": "dual_write",
    "side": "legacy",
    "route": "/v2/lab-orders/{key}",
    "method": "GET",
}


def line(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()
