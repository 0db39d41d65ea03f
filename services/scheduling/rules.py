"""What may be written of appointments and of the requests for them. Double booking is the table's own constraint."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from typing_extensions import override

from routes.problem import FieldError
from routes.refused import IllegalTransition, InvalidFields
from routes.written import Values
from services.leased_ids import LeasedIds
from services.rules import Rules
from services.scheduling.calendar import hold_calendar
from services.transaction import Transaction


def rules(_: LeasedIds) -> Mapping[str, Rules]:
    return {"appointments": AppointmentRules(), "appointment_requests": RequestRules()}


class AppointmentRules(Rules):
    """Whoever books for a clinician has the calendar to itself until the end of the transaction."""

    @override
    async def create(self, transaction: Transaction, values: Values) -> Values:
        known_zone(values["time_zone"])
        await hold_calendar(transaction, values.get("clinician_id"))
        return values

    @override
    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        if "time_zone" in values:
            known_zone(values["time_zone"])
        if values.keys() & {"status", "starts_at", "ends_at"}:
            await hold_calendar(transaction, row["clinician_id"])
        return values


class RequestRules(Rules):
    """Who answers a request does so by its operations; a change can only call it off."""

    @override
    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        if values.get("status", row["status"]) not in (row["status"], "cancelled"):
            raise IllegalTransition("status", ("cancelled",))
        return values


def known_zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises InvalidFields."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        error = FieldError(field="time_zone", code="unknown_time_zone")
        raise InvalidFields([error]) from None
