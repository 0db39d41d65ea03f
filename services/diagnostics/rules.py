"""What may be written of lab orders, and the trail that each of their states leaves."""

from collections.abc import Mapping

from typing_extensions import override

from catalog import assets
from routes import resources
from routes.problem import FieldError
from routes.refused import InvalidFields
from routes.resource import Resource
from routes.written import Values
from services.leased_ids import LeasedIds
from services.rules import Rules
from services.transaction import Transaction

_EVENTS = assets()["lab_order_events"]
_TRAIL = next(resource for resource in resources() if resource.entity == _EVENTS.entity)


def rules(ids: LeasedIds) -> Mapping[str, Rules]:
    return {"lab_orders": OrderRules(ids)}


class OrderRules(Rules):
    """In legacy a trigger writes the trail (private.log_lab_order_event); here it is written by the same words."""

    def __init__(self, ids: LeasedIds) -> None:
        self._ids = ids

    @override
    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        if values.get("status") == "sent" and not values.get("vendor", row["vendor"]):
            raise InvalidFields([FieldError(field="vendor", code="needed_to_send")])
        return values

    @override
    async def written(
        self, transaction: Transaction, resource: Resource, before: Values | None, after: Values
    ) -> None:
        came_from = None if before is None else before["status"]
        if came_from == after["status"]:
            return
        author = transaction.author
        await transaction.insert(
            _TRAIL,
            {
                "id": await self._ids.take(_EVENTS.entity, "id"),
                "lab_order_id": after["id"],
                "kind": "created" if before is None else "status_changed",
                "from_status": came_from,
                "to_status": after["status"],
                "actor_id": author.sub or None,
                "actor_type": "authenticated" if author.sub else "system",
                "payload": {},
                "occurred_at": author.now,
            },
        )
