"""Labels waiting to be printed: /v2/partner/labels."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/partner/labels",
        entity="partner_label_queue",
        summary="Labels waiting to be printed",
        order="id",
    ),
)
