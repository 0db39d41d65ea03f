"""`AlertClass`: the kinds of things that an operator has to look at, each with its section in docs/playbook.md. Data.

A new one is an entry here and a section there, under a heading that is its name (a test holds the two together).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

PLAYBOOK = "docs/playbook.md"


class Severity(StrEnum):
    """`critical` wakes somebody; `warning` waits for the morning."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class AlertClass:
    """`details`: the words that may say more; nothing else may stand there. `by_hand`: a person says that it is over; of the
    others whoever rings them does."""

    name: str
    severity: Severity
    summary: str
    details: frozenset[str]
    by_hand: bool = False

    @property
    def runbook(self) -> str:
        return f"{PLAYBOOK}#{self.name}"


DIVERGENCE = AlertClass(
    name="divergence",
    severity=Severity.CRITICAL,
    summary="The two copies of a row have differed for 15 minutes",
    details=frozenset({"one_side_missing", "content_differs", "version_differs"}),
)
CONFLICT = AlertClass(
    name="conflict",
    severity=Severity.WARNING,
    summary="A row was written on both sides at once; the older version lost and was kept",
    details=frozenset({"lost_on_legacy", "lost_on_service"}),
    by_hand=True,
)
QUARANTINE = AlertClass(
    name="quarantine",
    severity=Severity.CRITICAL,
    summary="A change cannot be applied; later ones of the same row wait for it",
    details=frozenset({"refused", "unknown_column", "schema_changed", "overdue"}),
)
AUDIT_BROKEN = AlertClass(
    name="audit_broken",
    severity=Severity.CRITICAL,
    summary="The audit chain is not what was anchored",
    details=frozenset({"cut", "missing", "rewritten"}),
)
SERVICE_KEY_REFUSED = AlertClass(
    name="service_key_refused",
    severity=Severity.CRITICAL,
    summary="Somebody sent a Supabase secret key as a user's token",
    details=frozenset({"gateway", "control"}),
    by_hand=True,
)
MIRROR_STOPPED = AlertClass(
    name="mirror_stopped",
    severity=Severity.CRITICAL,
    summary="Writes of one side do not reach the other",
    details=frozenset({"no_worker", "lagging", "other_side_down"}),
)
SPOOL_NOT_EMPTY = AlertClass(
    name="spool_not_empty",
    severity=Severity.WARNING,
    summary="Write intents lie on a gateway's disk because the stream did not take them",
    details=frozenset({"stream_down", "not_replayed", "nearly_full"}),
)
CLOCK_SKEW = AlertClass(
    name="clock_skew",
    severity=Severity.WARNING,
    summary="The clocks of two machines are further apart than the rules allow",
    details=frozenset({"legacy_database", "services_database", "this_machine"}),
)
EVENT_LOG_UNSAFE = AlertClass(
    name="event_log_unsafe",
    severity=Severity.CRITICAL,
    summary="The event log's server is set up so that it can lose what it has taken",
    details=frozenset({"not_durable", "evicts"}),
)
EVENT_LOG_GROWING = AlertClass(
    name="event_log_growing",
    severity=Severity.WARNING,
    summary="Nothing can be trimmed from a topic of the event log, since a group does not consume it",
    details=frozenset({"group_behind", "no_group"}),
)
WORKER_MISMATCH = AlertClass(
    name="worker_mismatch",
    severity=Severity.CRITICAL,
    summary="A worker has ended because its number of partitions is not the event log's",
    details=frozenset(),
)
NUMBERS_LOW = AlertClass(
    name="numbers_low",
    severity=Severity.CRITICAL,
    summary="A service's leased numbers will run out, and legacy gives no more",
    details=frozenset({"sequence_behind", "not_leased"}),
)
BREAK_GLASS = AlertClass(
    name="break_glass",
    severity=Severity.CRITICAL,
    summary="Somebody has looked at patients' rows past the gateway",
    details=frozenset(),
    by_hand=True,
)
SHADOW_VISIBILITY = AlertClass(
    name="shadow_visibility",
    severity=Severity.CRITICAL,
    summary="A user sees a row on one side that the other side does not show them",
    details=frozenset(),
    by_hand=True,
)

CLASSES: Mapping[str, AlertClass] = MappingProxyType(
    {
        each.name: each
        for each in (
            DIVERGENCE,
            CONFLICT,
            QUARANTINE,
            AUDIT_BROKEN,
            SERVICE_KEY_REFUSED,
            MIRROR_STOPPED,
            SPOOL_NOT_EMPTY,
            CLOCK_SKEW,
            EVENT_LOG_UNSAFE,
            EVENT_LOG_GROWING,
            WORKER_MISMATCH,
            NUMBERS_LOW,
            BREAK_GLASS,
            SHADOW_VISIBILITY,
        )
    }
)
