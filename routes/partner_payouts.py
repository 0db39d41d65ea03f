"""Remittances to partners: /v2/partner/payouts."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/partner/payouts",
        entity="partner_payouts",
        summary="Remittances to partners",
        order="-period_start",
    ),
)
