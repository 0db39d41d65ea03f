"""Cold-chain measurements: /v2/partner/temperature-logs."""

from routes.lifecycle import Fill
from routes.problem import FieldError
from routes.resource import Resource
from routes.writes import Create, Writes

RESOURCES = (
    Resource(
        path="/partner/temperature-logs",
        entity="partner_temperature_logs",
        summary="Cold-chain measurements",
        order="-measured_at",
        writes=Writes(
            create=Create(
                required=("site_code", "device_id", "measured_at", "temperature_c"),
                optional=("humidity_pct", "battery_mv", "raw"),
                defaults={"is_excursion": False},
                fills={"partner_id": Fill.PARTNER},
            ),
        ),
        rules={
            "partner_temperature_logs_device_id_measured_at_key": FieldError(
                field="measured_at", code="measured_already"
            ),
            "temperature_log_device_id_measured_at_key": FieldError(
                field="measured_at", code="measured_already"
            ),
        },
    ),
)
