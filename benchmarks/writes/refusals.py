"""What may not be written is refused with the field that is at fault, by both sides alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from benchmarks.claim import Claim
from benchmarks.writes.caller import Ask
from benchmarks.writes.edge_world import EdgeWorld
from sandbox.seed.people import PARTNER_A

TOPIC = "writes"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """`first` is written before, and has to succeed; then `body` gets this answer."""

    path: str
    user: str
    body: Mapping[str, Any]
    status: int
    fields: Mapping[str, str]
    first: Mapping[str, Any] | None = field(default=None)


async def refusals(world: EdgeWorld) -> Claim:
    """Constraints of databases and rules of the model: unique, foreign key, check, exclusion, null, type, range, states."""
    cases = _cases(world)
    wrong = [found for case in cases if (found := await _met(world, case))]
    return Claim(
        topic=TOPIC,
        claim=f"broken constraints of a write to {world.side} whose refusal does not name the field",
        value=len(wrong),
        unit="refusals",
        target="0",
        ok=not wrong,
        n=len(cases),
        how=(
            f"{', '.join(sorted({code for case in cases for code in case.fields.values()}))}"
            f"{'; wrong: ' + '; '.join(wrong[:3]) if wrong else ''}"
        ),
    )


async def _met(world: EdgeWorld, case: Refusal) -> str:
    """What is wrong with the answer; empty: nothing."""
    if case.first is not None:
        made = await world.edge.send(
            Ask(method="POST", path=case.path, user=case.user, body=case.first)
        )
        if not made.is_success:
            return f"{case.path}: the first got {made.status_code} {made.text}"
    response = await world.edge.send(
        Ask(method="POST", path=case.path, user=case.user, body=case.body)
    )
    said = response.json()
    fields = {one["field"]: one["code"] for one in said.get("errors", [])}
    right = (response.status_code, fields) == (case.status, dict(case.fields))
    return "" if right else f"{case.path} {dict(case.fields)}: {response.status_code} {fields}"


def _cases(world: EdgeWorld) -> list[Refusal]:
    order = {"submission_id": world.submission, "test_code": "HBA1C"}
    times = {"starts_at": "2032-03-01T10:00:00Z", "ends_at": "2032-03-01T09:00:00Z"}
    shelf = {"site_code": "S", "sku": str(uuid4())}
    period = {
        "partner_id": str(PARTNER_A), "period_start": "2033-01-01", "period_end": "2033-01-31", "gross_minor": 1000,
    }  # fmt: skip
    reading = {
        "site_code": "S", "device_id": str(uuid4()), "measured_at": "2025-03-01T10:00:00Z", "temperature_c": 4.5,
    }  # fmt: skip

    def orders(members: Mapping[str, Any], fields: Mapping[str, str]) -> Refusal:
        body = {**order, **members}
        return Refusal(path="/lab-orders", user="clinician", body=body, status=422, fields=fields)

    return [
        orders({"submission_id": str(uuid4())}, {"submission_id": "does_not_exist"}),
        orders({"priority": 9}, {"priority": "above_the_most"}),
        orders({"priority": "2"}, {"priority": "expected_integer"}),
        orders({"currency": "pounds"}, {"currency": "wrong_length"}),
        orders({"test_code": None}, {"test_code": "expected_a_value"}),
        orders({"colour": "red"}, {"colour": "unknown_field"}),
        orders({"status": "lost"}, {"status": "unknown_value"}),
        Refusal(
            path="/lab-orders", user="clinician", body={}, status=422,
            fields={"submission_id": "required", "test_code": "required"},
        ),
        Refusal(
            path="/appointments", user="clinician", body={**times, "submission_id": world.submission}, status=422,
            fields={"ends_at": "not_behind_starts_at"},
        ),
        Refusal(
            path="/partner/stock", user="partner", first=shelf, body=shelf, status=409,
            fields={"partner_id+site_code+sku": "taken"},
        ),
        Refusal(
            path="/partner/payouts", user="finance", first=period, body=period, status=409,
            fields={"period_start": "another_payout_covers_it"},
        ),
        Refusal(
            path="/partner/payouts", user="finance", body={**period, "period_end": "2032-01-01"}, status=422,
            fields={"period_end": "before_period_start"},
        ),
        Refusal(
            path="/partner/temperature-logs", user="partner", first=reading, body=reading, status=409,
            fields={"measured_at": "measured_already"},
        ),
    ]  # fmt: skip
