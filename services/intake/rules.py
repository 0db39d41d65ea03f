"""What may be written of a submission: guardian and consent before it is submitted, and who decides afterwards."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from typing_extensions import override

from routes.problem import FieldError
from routes.refused import Forbidden, InvalidFields
from routes.written import Values
from services.leased_ids import LeasedIds
from services.rules import Rules
from services.transaction import Transaction

FULL_AGE = 18
_BY_STAFF = frozenset({"in_review", "approved", "rejected"})


def rules(_: LeasedIds) -> Mapping[str, Rules]:
    return {"submissions": SubmissionRules()}


class SubmissionRules(Rules):
    """Legacy has none of these: rows that come from there may lack what is asked for here."""

    @override
    async def create(self, transaction: Transaction, values: Values) -> Values:
        _ready(values)
        return values

    @override
    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        decided = values.get("status") in _BY_STAFF and values["status"] != row["status"]
        if (decided or "clinician_id" in values) and not transaction.author.staff:
            raise Forbidden
        if values.get("status") == "submitted" and row["status"] != "submitted":
            _ready({**row, **values})
        return values


def _ready(row: Values) -> None:
    """Raises InvalidFields for a submission that cannot be submitted yet."""
    if row["status"] != "submitted":
        return
    errors = []
    if row["consent_status"] != "granted":
        errors.append(FieldError(field="consent_status", code="needed_to_submit"))
    guardian = row.get("guardian") or {}
    named = guardian.get("name") and (guardian.get("phone") or guardian.get("email"))
    if not named and _minor(date.fromisoformat(row["birth_date"]), datetime.now(UTC).date()):
        errors.append(FieldError(field="guardian", code="needed_for_a_minor"))
    if errors:
        raise InvalidFields(errors)


def _minor(born: date, today: date) -> bool:
    """Who was born on 29 February is of age on 1 March."""
    birthday = (born.month, born.day) > (today.month, today.day)
    return today.year - born.year - birthday < FULL_AGE
