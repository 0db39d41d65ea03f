"""Requested slots that await confirmation: /v2/appointment-requests."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/appointment-requests",
        entity="appointment_requests",
        summary="Requested slots that await confirmation",
        order="-created_at",
    ),
)
