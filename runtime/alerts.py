"""`Alerts`: what an operator has to look at, as rows of the control database (docs/decisions.md 38).

One thing (class, entity, subject) is one row until it is resolved: seen again, it counts up. When a resolved one comes back,
that is a new row, which names the one before. Who rings waits for one statement and nothing else; the webhook is told by
`runtime/alertnotifier.py`, later; what people do about one is `runtime/alertdesk.py`.

StoreUnavailable   (runtime.flagstore) PostgreSQL cannot be used, and nothing was changed
ValueError         a detail that the class does not know: a mistake of the caller's, and perhaps patient data
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg
import structlog

from runtime.alertclass import CLASSES, AlertClass
from runtime.flagstore import asking
from runtime.postgres import POSTGRESQL
from runtime.tagger import Tag

log = structlog.get_logger("alerts")


class State(StrEnum):
    """Of an alert. Acknowledged: somebody is on it."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """`entity`, `subject` (a keyed tag) and `detail` may be empty. `follows`: the row of the same thing that was resolved before."""

    id: int
    alert_class: str
    entity: str
    subject: str
    detail: str
    runbook: str
    state: State
    count: int
    first_seen: datetime
    last_seen: datetime
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    follows: int | None


COLUMNS = (
    "id, class as alert_class, entity, subject, detail, runbook, state, count, first_seen, last_seen,"
    " acknowledged_by, acknowledged_at, resolved_at, follows"
)


class Alerts:
    """The alerts of one control database; any number of processes may ring."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def ring(
        self,
        alert_class: AlertClass,
        *,
        entity: str = "",
        subject: Tag | None = None,
        detail: str = "",
    ) -> Alert:
        """There is such a thing to look at. The newest detail stands. Raises StoreUnavailable, ValueError."""
        if detail and detail not in alert_class.details:
            raise ValueError(f"{alert_class.name} has no such detail")
        # `follows` is looked up for a row that may not come into being: one look into an index.
        row = await self._fetchrow(
            "insert into control.alerts (class, entity, subject, detail, runbook, follows)"  # noqa: S608 - names of ours
            " values ($1, $2, $3, $4, $5, (select max(id) from control.alerts"
            " where class = $1 and entity = $2 and subject = $3 and state = 'resolved'))"
            " on conflict (class, entity, subject) where state <> 'resolved' do update"
            " set count = alerts.count + 1, last_seen = greatest(alerts.last_seen, now()), detail = excluded.detail"
            f" returning {COLUMNS}",
            alert_class.name,
            entity,
            str(subject or ""),
            detail,
            alert_class.runbook,
        )
        assert row is not None  # noqa: S101 - inserted or updated
        alert = read_alert(row)
        if alert.count == 1:
            log.error("alert.opened", reason=alert.alert_class, entity=entity, version=alert.id)
        return alert

    async def resolve(
        self, alert_class: AlertClass, *, entity: str = "", subject: Tag | None = None
    ) -> Alert | None:
        """It is over; None if nothing was open. Raises StoreUnavailable."""
        row = await self._fetchrow(
            "update control.alerts set state = 'resolved', resolved_at = now()"  # noqa: S608 - names of ours
            " where class = $1 and entity = $2 and subject = $3 and state <> 'resolved'"
            f" returning {COLUMNS}",
            alert_class.name,
            entity,
            str(subject or ""),
        )
        return read_alert(row) if row else None

    async def page(
        self, *, resolved: bool = False, before: int | None = None, limit: int = 50
    ) -> Sequence[Alert]:
        """Newest first: what is not resolved, or with `resolved` everything; with ids below `before`. Raises StoreUnavailable."""
        with asking("postgresql", POSTGRESQL):
            rows = await self._pool.fetch(
                f"select {COLUMNS} from control.alerts where ($1 or state <> 'resolved')"  # noqa: S608 - names of ours
                " and ($2::bigint is null or id < $2) order by id desc limit $3",
                resolved,
                before,
                limit,
            )
        return [read_alert(row) for row in rows]

    async def unresolved(self) -> Mapping[str, int]:
        """How many there are, for every class, acknowledged ones included. Raises StoreUnavailable."""
        with asking("postgresql", POSTGRESQL):
            rows = await self._pool.fetch(
                "select class, count(*) as count from control.alerts where state <> 'resolved' group by class"
            )
        return dict.fromkeys(CLASSES, 0) | {row["class"]: row["count"] for row in rows}

    async def _fetchrow(self, statement: str, *values: object) -> Any:
        with asking("postgresql", POSTGRESQL):
            return await self._pool.fetchrow(statement, *values)


def read_alert(row: Any) -> Alert:
    """From COLUMNS."""
    return Alert(**{**row, "state": State(row["state"])})
