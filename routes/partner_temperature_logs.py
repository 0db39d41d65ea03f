"""Cold-chain measurements: /v2/partner/temperature-logs."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/partner/temperature-logs",
        entity="partner_temperature_logs",
        summary="Cold-chain measurements",
        order="-measured_at",
    ),
)
