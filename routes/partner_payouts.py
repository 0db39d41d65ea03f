"""Remittances to partners: /v2/partner/payouts."""

from routes.lifecycle import Fill, Lifecycle
from routes.problem import FieldError
from routes.resource import Resource
from routes.writes import Create, Writes

_ORDER = FieldError(field="period_end", code="before_period_start")
_PERIOD = FieldError(field="period_start", code="another_payout_covers_it")

RESOURCES = (
    Resource(
        path="/partner/payouts",
        entity="partner_payouts",
        summary="Remittances to partners",
        order="-period_start",
        writes=Writes(
            create=Create(
                required=("partner_id", "period_start", "period_end", "gross_minor"),
                optional=("remittance_reference",),
                defaults={"fee_minor": 0, "currency": "GBP", "lines": []},
                fixed={"status": "draft"},
            ),
            change=frozenset(
                {"gross_minor", "fee_minor", "status", "remittance_reference", "paid_at", "lines"}
            ),
            delete=True,
        ),
        lifecycles=(
            Lifecycle(
                column="status",
                start=("draft",),
                ways={
                    "draft": ("approved",),
                    "approved": ("draft", "sent"),
                    "sent": ("paid", "failed"),
                    "paid": ("reversed",),
                    "failed": ("sent", "reversed"),
                    "reversed": (),
                },
                fills={"paid": {"paid_at": Fill.NOW}},
            ),
        ),
        rules={
            "partner_payouts_check": _ORDER,
            "partner_payouts_partner_id_period_start_period_end_key": _PERIOD,
            "payout_period": _ORDER,
            "payout_partner_id_period_start_period_end_key": _PERIOD,
            "no_overlapping_period": _PERIOD,
        },
    ),
)
