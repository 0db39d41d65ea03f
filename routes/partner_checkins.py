"""Inventory checked in by partner sites: /v2/partner/checkins."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/partner/checkins",
        entity="partner_checkins",
        summary="Inventory checked in by partner sites",
        order="-received_at",
    ),
)
