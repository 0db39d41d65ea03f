"""Appointments with clinicians and partners: /v2/appointments, /v2/appointments/slots."""

from catalog.column import Type
from routes.lifecycle import Lifecycle
from routes.operation import Member, Operation
from routes.problem import FieldError
from routes.resource import Resource
from routes.writes import Create, Writes

_ENDS = FieldError(field="ends_at", code="not_behind_starts_at")

RESOURCES = (
    Resource(
        path="/appointments",
        entity="appointments",
        summary="Appointments with clinicians and partners",
        order="-starts_at",
        home="clinician_id",
        writes=Writes(
            create=Create(
                required=("submission_id", "starts_at", "ends_at"),
                optional=("clinician_id", "partner_id", "location", "reason"),
                defaults={
                    "status": "booked",
                    "modality": "video",
                    "time_zone": "UTC",
                    "metadata": {},
                },
            ),
            change=frozenset(
                {
                    "partner_id",
                    "status",
                    "modality",
                    "starts_at",
                    "ends_at",
                    "time_zone",
                    "location",
                    "reason",
                    "cancellation_reason",
                    "metadata",
                }
            ),
            delete=True,
        ),
        lifecycles=(
            Lifecycle(
                column="status",
                start=("proposed", "booked"),
                ways={
                    "proposed": ("booked", "cancelled"),
                    "booked": ("arrived", "fulfilled", "cancelled", "no_show"),
                    "arrived": ("fulfilled", "cancelled"),
                    "fulfilled": (),
                    "cancelled": (),
                    "no_show": (),
                },
            ),
        ),
        rules={
            "appointment_times": _ENDS,
            "no_double_booking": FieldError(field="starts_at", code="clinician_is_booked"),
        },
    ),
)

OPERATIONS = (
    Operation(
        path="/appointments/slots",
        method="GET",
        entity="appointments",
        summary="Free times of a clinician",
        members={
            "clinician_id": Member(type=Type.UUID, required=True),
            "from": Member(type=Type.TIMESTAMPTZ, required=True),
            "to": Member(type=Type.TIMESTAMPTZ, required=True),
            "duration_minutes": Member(type=Type.INTEGER, least=5, most=480),
        },
        home="clinician_id",
    ),
)
