"""`AlertDesk`: what people do about alerts; each act and its audit record are one transaction.

StoreUnavailable   (runtime.flagstore) PostgreSQL cannot be used, and nothing was changed
EndsByItself       an alert of this class is over when its cause is, and nobody says so by hand
"""

from collections.abc import Mapping
from typing import Any

import asyncpg

from runtime.alertclass import CLASSES
from runtime.alerts import COLUMNS, Alert, State, read_alert
from runtime.auditchain import AuditChain, Event
from runtime.flagstore import asking
from runtime.postgres import POSTGRESQL, Connection


class EndsByItself(Exception):
    """Its cause is still there, or whoever watches the cause is not."""


class AlertDesk:
    """Of one control database. An alert that is resolved, or never was, is None."""

    def __init__(self, pool: asyncpg.Pool, audit: AuditChain) -> None:
        self._pool = pool
        self._audit = audit

    async def acknowledge(self, alert_id: int, *, by: str) -> Alert | None:
        """`by` is on it; whoever said so first stays. Raises StoreUnavailable."""
        with asking("postgresql", POSTGRESQL):
            async with self._pool.acquire() as connection, connection.transaction():
                found = await _held(connection, alert_id)
                if found is None or found.state is not State.OPEN:
                    return found
                taken = await connection.fetchrow(
                    "update control.alerts set state = 'acknowledged', acknowledged_by = $2,"  # noqa: S608 - names of ours
                    f" acknowledged_at = now() where id = $1 returning {COLUMNS}",
                    alert_id,
                    by,
                )
                await self._record(connection, found, "alerts.acknowledge", by, "")
        return read_alert(taken)

    async def resolve(self, alert_id: int, *, by: str, reason: str) -> Alert | None:
        """`by` says that it is over. Raises EndsByItself, StoreUnavailable."""
        with asking("postgresql", POSTGRESQL):
            async with self._pool.acquire() as connection, connection.transaction():
                found = await _held(connection, alert_id)
                if found is None:
                    return None
                known = CLASSES.get(found.alert_class)
                if known is not None and not known.by_hand:
                    raise EndsByItself
                over = await connection.fetchrow(
                    "update control.alerts set state = 'resolved', resolved_at = now()"  # noqa: S608 - names of ours
                    f" where id = $1 returning {COLUMNS}",
                    alert_id,
                )
                await self._record(connection, found, "alerts.resolve", by, reason)
        return read_alert(over)

    async def _record(
        self, connection: Connection, alert: Alert, action: str, by: str, reason: str
    ) -> None:
        subject: Mapping[str, Any] = {
            "alert": alert.id,
            "class": alert.alert_class,
            "entity": alert.entity,
        }
        event = Event(action=action, actor=by, reason=reason, subject=subject)
        await self._audit.append(connection, event)


async def _held(connection: Connection, alert_id: int) -> Alert | None:
    row = await connection.fetchrow(
        f"select {COLUMNS} from control.alerts where id = $1 and state <> 'resolved' for update",  # noqa: S608 - names of ours
        alert_id,
    )
    return read_alert(row) if row else None
