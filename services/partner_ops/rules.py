"""What may be written of labels beside their queue's operations."""

from collections.abc import Mapping

from typing_extensions import override

from routes.problem import FieldError
from routes.refused import IllegalTransition, InvalidFields
from routes.written import Values
from services.leased_ids import LeasedIds
from services.rules import Rules
from services.transaction import Transaction

_BY_HAND: Mapping[str, tuple[str, ...]] = {
    "queued": ("cancelled",),
    "printing": ("queued",),
    "printed": (),
    "failed": ("queued", "cancelled"),
    "cancelled": (),
}


def rules(_: LeasedIds) -> Mapping[str, Rules]:
    return {"partner_label_queue": LabelRules()}


class LabelRules(Rules):
    """Who prints claims a label and says how it went; by hand it is called off, or put back."""

    @override
    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        before, after = row["status"], values.get("status", row["status"])
        if after != before and after not in _BY_HAND[before]:
            raise IllegalTransition("status", _BY_HAND[before])
        if "payload" in values and before != "queued":
            raise InvalidFields([FieldError(field="payload", code="printed_or_being_printed")])
        if after == "queued" != before:
            return {**values, "claimed_by": None, "claimed_until": None}
        return values
