"""What may be written of compliance tasks, each type by its own ways, and of temperatures, of which the bad ones raise a task."""

from collections.abc import Mapping
from decimal import Decimal

from typing_extensions import override

from routes.json_body import write_json
from routes.refused import IllegalTransition
from routes.resource import Resource
from routes.written import Values
from runtime.correlation import uuid7
from services.leased_ids import LeasedIds
from services.rules import Rules
from services.transaction import Transaction

COLDEST, WARMEST = Decimal(2), Decimal(8)
"""Degrees Celsius in which vaccines and kits keep."""


def rules(_: LeasedIds) -> Mapping[str, Rules]:
    return {"compliance_tasks": TaskRules(), "partner_temperature_logs": TemperatureRules()}


class TaskRules(Rules):
    """What somebody has to look at is not done before somebody has begun, and is not called off."""

    @override
    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        barred = _BARRED.get(row["task_type"], {}).get(row["status"], frozenset())
        if values.get("status") in barred:
            legal = [way for way in _WAYS[row["status"]] if way not in barred]
            raise IllegalTransition("status", legal)
        return values


_WAYS = {
    "open": ("in_progress", "blocked", "completed", "cancelled"),
    "in_progress": ("open", "blocked", "completed", "cancelled"),
    "blocked": ("open", "in_progress", "cancelled"),
}
_NOT_CALLED_OFF = {state: frozenset({"cancelled"}) for state in _WAYS}
_BEGUN_FIRST = {**_NOT_CALLED_OFF, "open": frozenset({"completed", "cancelled"})}
_BARRED: Mapping[str, Mapping[str, frozenset[str]]] = {
    "safeguarding_review": _BEGUN_FIRST,
    "identity_check": {"open": frozenset({"completed"})},
    "temperature_excursion": _BEGUN_FIRST,
}
"""By task type and state: ways that the type does not go."""


class TemperatureRules(Rules):
    """Whether a reading is an excursion is for the service to say, not for the device."""

    @override
    async def create(self, transaction: Transaction, values: Values) -> Values:
        return {
            **values,
            "is_excursion": not COLDEST <= Decimal(values["temperature_c"]) <= WARMEST,
        }

    @override
    async def written(
        self, transaction: Transaction, resource: Resource, before: Values | None, after: Values
    ) -> None:
        if not after["is_excursion"]:
            return
        device = {"device_id": after["device_id"], "site_code": after["site_code"]}
        async with transaction.acting_as("cold_chain"):
            await transaction.connection.execute(
                _RAISE, uuid7(), "Temperature outside 2 to 8 degrees", write_json(device)
            )


# One task a device, however many readings come while it is open.
_RAISE = """
insert into compliance.task (id, task_type, status, title, is_blocking, priority, metadata)
select $1::text::uuid, 'temperature_excursion', 'open', $2::text, true, 1, $3::text::jsonb
where not exists (select from compliance.task t where t.task_type = 'temperature_excursion'
  and t.status in ('open', 'in_progress', 'blocked') and t.metadata @> $3::text::jsonb)
"""
