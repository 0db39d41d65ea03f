"""Patient onboarding submissions: /v2/submissions."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/submissions",
        entity="submissions",
        summary="Patient onboarding submissions",
        order="-created_at",
        staff_only=frozenset(
            {"safeguarding_concern", "safeguarding_notes", "safeguarding_details"}
        ),
    ),
)
