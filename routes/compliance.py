"""Compliance follow-ups: /v2/compliance."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/compliance",
        entity="compliance_tasks",
        summary="Compliance follow-ups",
        order="-created_at",
    ),
)
