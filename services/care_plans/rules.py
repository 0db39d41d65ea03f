"""What may be written of action plans."""

from collections.abc import Mapping

from typing_extensions import override

from routes.problem import FieldError
from routes.refused import InvalidFields
from routes.written import Values
from services.leased_ids import LeasedIds
from services.rules import Rules
from services.transaction import Transaction


def rules(_: LeasedIds) -> Mapping[str, Rules]:
    return {"action_plans": PlanRules()}


class PlanRules(Rules):
    """A patient sees a published plan, so it has its file before."""

    @override
    async def create(self, transaction: Transaction, values: Values) -> Values:
        if values.get("published_at"):
            raise InvalidFields([_NO_FILE])
        return values

    @override
    async def change(self, transaction: Transaction, row: Values, values: Values) -> Values:
        if values.get("published_at") and row["content_sha256"] is None:
            raise InvalidFields([_NO_FILE])
        return values


_NO_FILE = FieldError(field="published_at", code="its_file_is_not_there")
