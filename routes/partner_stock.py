"""Stock of partner sites: /v2/partner/stock."""

from routes.lifecycle import Fill
from routes.resource import Resource
from routes.writes import Create, Writes

RESOURCES = (
    Resource(
        path="/partner/stock",
        entity="partner_stock_levels",
        summary="Stock of partner sites",
        order="partner_id",
        writes=Writes(
            create=Create(
                required=("site_code", "sku"),
                optional=("reorder_point", "counted_at"),
                defaults={"on_hand": 0, "reserved": 0},
                fills={"partner_id": Fill.PARTNER},
                # The key is the row's own: a second one cannot come into being.
                keyed=False,
            ),
            change=frozenset({"on_hand", "reserved", "reorder_point", "counted_at"}),
        ),
    ),
)
