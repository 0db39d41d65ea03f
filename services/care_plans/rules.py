"""What may be written of action plans."""

from collections.abc import Collection, Mapping

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
    """A patient sees a published plan, so it has its file before. A new plan of the same title supersedes the last one."""

    @override
    async def complete(
        self, transaction: Transaction, values: Values, named: Collection[str]
    ) -> Values:
        if "revision" in named:
            return values
        # Whoever else makes a revision of this plan at this moment waits here, and then sees this one.
        await transaction.connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(jsonb_build_array('action_plan', $1::text, $2::text)::text, 0))",
            values["submission_id"],
            values["title"],
        )
        last = await transaction.connection.fetchval(
            "select max(revision) from care_plans.action_plan"
            " where submission_id = $1::text::uuid and title = $2",
            values["submission_id"],
            values["title"],
        )
        return {**values, "revision": (last or 0) + 1}

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
