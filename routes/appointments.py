"""Appointments with clinicians and partners: /v2/appointments."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/appointments",
        entity="appointments",
        summary="Appointments with clinicians and partners",
        order="-starts_at",
        home="clinician_id",
    ),
)
