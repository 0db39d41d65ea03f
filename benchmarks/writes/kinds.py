"""`Kind`: how a row of each resource is made, changed and found again. Every row bears a mark that nothing else bears."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from catalog import assets
from catalog.column import Column
from catalog.stage import Side
from migration.held_sql import place
from sandbox.seed.people import PARTNER_A

PREFIX = "bench-"
_FIRST_DAY = date(2040, 1, 1)
_FIRST_MOMENT = datetime(2041, 1, 1, tzinfo=UTC)

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Parents:
    """What new rows refer to."""

    submission: str
    """Of the staff's."""
    own_submission: str
    """Of the patient's."""
    order: str


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`user` is a role; `create` gets a number and makes the body of a POST whose row bears the mark of that number; `change` that of a PATCH.

    `mark`: the column that bears it, or a member of a JSON column; `known_by`: the column by which rows of ours are told, where
    the mark is a number.
    """

    entity: str
    path: str
    user: str
    mark: tuple[str, ...]
    create: Callable[[int, Parents], Body]
    change: Callable[[int], Body] | None = None
    removes: bool = False
    numeric: bool = False
    known_by: str = ""

    def marked(self, number: int) -> str:
        """The mark, as a text."""
        return str(number) if self.numeric else text(number)

    def marks_of(self, row: Mapping[str, Any]) -> str:
        """What a row of /v2 bears."""
        value: Any = row
        for name in self.mark:
            value = value[name]
        return str(value)

    def found_sql(self, side: Side) -> str:
        """mark, correlation_id, row_version and origin of every row of ours on this side."""
        at = place(assets()[self.entity], side)
        name = self._name(self.mark[0], side)
        mark = f"t.{name} ->> '{self.mark[1]}'" if len(self.mark) > 1 else f"t.{name}::text"
        known = f"t.{self._name(self.known_by, side)}" if self.known_by else mark
        return (
            f"select {mark} as mark, t.correlation_id, t.row_version, t.origin from {at.table} t"
            f" where {known} like '{PREFIX}%'"
        )

    def _name(self, target: str, side: Side) -> str:
        column = assets()[self.entity].by_target[target]
        if side is Side.SERVICE or not isinstance(column, Column):
            return target
        return column.source


def text(number: int) -> str:
    return f"{PREFIX}{number}"


def _moment(number: int) -> str:
    return (_FIRST_MOMENT + timedelta(minutes=number)).isoformat()


def _payout(number: int, parents: Parents) -> Body:
    day = (_FIRST_DAY + timedelta(days=number)).isoformat()
    return {
        "partner_id": str(PARTNER_A), "period_start": day, "period_end": day, "gross_minor": 1000,
        "remittance_reference": text(number),
    }  # fmt: skip


KINDS = (
    Kind(
        entity="lab_orders", path="/lab-orders", user="clinician", mark=("test_name",),
        create=lambda n, p: {"submission_id": p.submission, "test_code": "HBA1C", "test_name": text(n)},
        change=lambda n: {"test_name": text(n)},
    ),
    Kind(
        entity="lab_order_events", path="/lab-orders/{order}/events", user="clinician", mark=("payload", "mark"),
        create=lambda n, p: {"kind": "note", "payload": {"mark": text(n)}},
    ),
    Kind(
        entity="appointments", path="/appointments", user="clinician", mark=("reason",),
        create=lambda n, p: {
            "submission_id": p.submission, "starts_at": _moment(n), "ends_at": _moment(n + 1), "reason": text(n),
        },
        change=lambda n: {"reason": text(n)}, removes=True,
    ),
    Kind(
        entity="action_plans", path="/action-plans", user="clinician", mark=("title",),
        create=lambda n, p: {"submission_id": p.submission, "title": text(n)},
        change=lambda n: {"title": text(n)}, removes=True,
    ),
    Kind(
        entity="appointment_requests", path="/appointment-requests", user="patient", mark=("notes",),
        create=lambda n, p: {"submission_id": p.own_submission, "notes": text(n)},
        change=lambda n: {"notes": text(n)},
    ),
    Kind(
        entity="submissions", path="/submissions", user="patient", mark=("given_name",),
        create=lambda n, p: {"given_name": text(n), "family_name": "B", "birth_date": "1990-01-02"},
        change=lambda n: {"given_name": text(n)},
    ),
    Kind(
        entity="compliance_tasks", path="/compliance", user="compliance", mark=("title",),
        create=lambda n, p: {"task_type": "follow_up_call", "title": text(n)},
        change=lambda n: {"title": text(n)}, removes=True,
    ),
    Kind(
        entity="partner_checkins", path="/partner/checkins", user="partner", mark=("notes",),
        create=lambda n, p: {"site_code": "S", "sku": "K", "quantity": 1, "notes": text(n)},
        change=lambda n: {"notes": text(n)},
    ),
    Kind(
        entity="partner_label_queue", path="/partner/labels", user="partner", mark=("payload", "mark"),
        create=lambda n, p: {"site_code": "S", "payload": {"mark": text(n)}},
        change=lambda n: {"payload": {"mark": text(n)}},
    ),
    Kind(
        entity="partner_stock_levels", path="/partner/stock", user="partner", mark=("on_hand",), numeric=True,
        known_by="sku",
        create=lambda n, p: {"site_code": "S", "sku": text(n), "on_hand": n},
        change=lambda n: {"on_hand": n},
    ),
    Kind(
        entity="partner_temperature_logs", path="/partner/temperature-logs", user="partner", mark=("device_id",),
        create=lambda n, p: {
            "site_code": "S", "device_id": text(n), "measured_at": "2025-03-01T10:00:00Z", "temperature_c": 4.5,
        },
    ),
    Kind(
        entity="partner_payouts", path="/partner/payouts", user="finance", mark=("remittance_reference",),
        create=_payout, change=lambda n: {"remittance_reference": text(n)}, removes=True,
    ),
)  # fmt: skip
