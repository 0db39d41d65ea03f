"""Action plans of clinicians: /v2/action-plans."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/action-plans",
        entity="action_plans",
        summary="Action plans of clinicians",
        order="-created_at",
    ),
)
