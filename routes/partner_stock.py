"""Stock of partner sites: /v2/partner/stock."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/partner/stock",
        entity="partner_stock_levels",
        summary="Stock of partner sites",
        order="partner_id",
    ),
)
