"""Inventory checked in by partner sites: /v2/partner/checkins."""

from routes.lifecycle import Fill
from routes.resource import Resource
from routes.writes import Create, Writes

RESOURCES = (
    Resource(
        path="/partner/checkins",
        entity="partner_checkins",
        summary="Inventory checked in by partner sites",
        order="-received_at",
        writes=Writes(
            create=Create(
                required=("site_code", "sku", "quantity"),
                optional=("lot_number", "expires_on", "notes"),
                defaults={"condition": "intact"},
                fills={
                    "partner_id": Fill.PARTNER,
                    "received_by": Fill.CALLER,
                    "received_at": Fill.NOW,
                },
            ),
            change=frozenset({"lot_number", "expires_on", "quantity", "condition", "notes"}),
        ),
    ),
)
