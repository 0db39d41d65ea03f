"""What may be written of payouts: sums that agree to the penny, and none that change once somebody has approved them.

Amounts are whole minor units, so every sum is exact.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from typing_extensions import override

from catalog.conversion import MINOR_UNITS, ConversionError
from routes.problem import FieldError
from routes.refused import Conflict, InvalidFields
from routes.written import Values
from services.leased_ids import LeasedIds
from services.rules import Rules
from services.transaction import Transaction

_SETTLED = ("gross_minor", "fee_minor", "lines")


def rules(_: LeasedIds) -> Mapping[str, Rules]:
    return {"partner_payouts": PayoutRules()}


class PayoutRules(Rules):
    @override
    async def create(self, transaction: Transaction, values: Values) -> Values:
        check_sums(values)
        return values

    @override
    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        if row["status"] != "draft":
            errors = [
                FieldError(field=name, code="approved_already")
                for name in _SETTLED
                if name in values and values[name] != row[name]
            ]
            if errors:
                raise InvalidFields(errors)
        elif any(name in values for name in _SETTLED):
            check_sums({**row, **values})
        if values.get("status") == "sent" and not (
            values.get("remittance_reference", row["remittance_reference"])
        ):
            raise InvalidFields([FieldError(field="remittance_reference", code="needed_to_send")])
        return values

    @override
    async def remove(self, transaction: Transaction, row: Values) -> None:
        if row["status"] != "draft":
            raise Conflict([FieldError(field="status", code="approved_already")])


def check_sums(row: Values) -> None:
    """Raises InvalidFields when the lines do not add up to the gross amount. A payout without lines has nothing to add up."""
    lines = row["lines"]
    if not isinstance(lines, list):
        raise InvalidFields([FieldError(field="lines", code="expected_a_list")])
    try:
        total = sum(map(_minor, lines))
    except ConversionError:
        raise InvalidFields([FieldError(field="lines", code="expected_amounts_of_money")]) from None
    if lines and total != row["gross_minor"]:
        raise InvalidFields([FieldError(field="lines", code="not_the_gross_amount")])


def _minor(line: Any) -> int:
    """A line's amount, which stands in major units as legacy has it. Raises ConversionError."""
    amount = line.get("amount") if isinstance(line, dict) else None
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise ConversionError
    minor: int = MINOR_UNITS.convert(Decimal(amount))
    return minor
