"""The trail of lab orders: events are only ever added. In legacy a trigger writes the changes of state; here the same words do."""

from datetime import datetime
from typing import Any

from catalog import assets
from routes import resources
from routes.resource import Resource
from services.leased_ids import LeasedIds
from services.transaction import Author, Transaction

_EVENTS = assets()["lab_order_events"]
_RESOURCE: Resource = next(one for one in resources() if one.entity == _EVENTS.entity)

LABORATORY = "laboratory"
"""The system author of what a laboratory has signed; row security knows it by this word (migrations/0120_writes.sql)."""
TOLD = "vendor_update"
IGNORED = "vendor_update_ignored"


class Trail:
    """Adds events in the write's own transaction, at its author's instant."""

    def __init__(self, ids: LeasedIds) -> None:
        self._ids = ids

    async def add(
        self,
        transaction: Transaction,
        order: str,
        kind: str,
        *,
        before: str | None,
        after: str | None,
        payload: dict[str, Any] | None = None,
    ) -> None:
        """`before` and `after` are states. Raises NoIds."""
        author = transaction.author
        await transaction.insert(
            _RESOURCE,
            {
                "id": await self._ids.take(_EVENTS.entity, "id"),
                "lab_order_id": order,
                "kind": kind,
                "from_status": before,
                "to_status": after,
                "actor_id": author.sub or None,
                "actor_type": _actor_type(author),
                "payload": payload or {},
                "occurred_at": author.now,
            },
        )


async def last_told(transaction: Transaction, order: str) -> datetime | None:
    """The instant of the newest thing that a laboratory has said of an order and that was applied."""
    found: datetime | None = await transaction.connection.fetchval(
        "select max(occurred_at) from diagnostics.lab_order_event"
        " where lab_order_id = $1::text::uuid and kind = $2",
        order,
        TOLD,
    )
    return found


def _actor_type(author: Author) -> str:
    if author.sub:
        return "authenticated"
    return "vendor" if author.system == LABORATORY else "system"
