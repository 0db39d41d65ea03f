"""What may be written of lab orders, and the trail that each of their states leaves."""

from collections.abc import Mapping

from typing_extensions import override

from routes.problem import FieldError
from routes.refused import InvalidFields
from routes.resource import Resource
from routes.written import Values
from services.diagnostics.trail import Trail
from services.leased_ids import LeasedIds
from services.rules import Rules
from services.transaction import Transaction


def rules(ids: LeasedIds) -> Mapping[str, Rules]:
    return {"lab_orders": OrderRules(Trail(ids))}


class OrderRules(Rules):
    """In legacy a trigger writes the trail (private.log_lab_order_event); here it is written by the same words."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail

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
        await self._trail.add(
            transaction,
            after["id"],
            "created" if before is None else "status_changed",
            before=came_from,
            after=after["status"],
        )
