"""Action plans of clinicians, and their files: /v2/action-plans, /v2/action-plans/{id}/content."""

from routes.lifecycle import Fill
from routes.operation import Body, Operation
from routes.problem import FieldError
from routes.resource import Resource
from routes.writes import Create, Writes

RESOURCES = (
    Resource(
        path="/action-plans",
        entity="action_plans",
        summary="Action plans of clinicians",
        order="-created_at",
        writes=Writes(
            create=Create(
                required=("submission_id", "title"),
                optional=("published_at",),
                defaults={"revision": 1, "content_type": "application/pdf"},
                fixed={"object_bucket": "action-plans"},
                fills={"author_id": Fill.CALLER, "object_key": Fill.KEY},
            ),
            change=frozenset({"title", "published_at"}),
            delete=True,
        ),
        rules={
            "action_plans_submission_id_title_version_key": FieldError(
                field="revision", code="taken"
            ),
            "action_plan_submission_id_title_revision_key": FieldError(
                field="revision", code="taken"
            ),
        },
    ),
)

OPERATIONS = (
    Operation(
        path="/action-plans/{id}/content",
        method="GET",
        entity="action_plans",
        summary="The file of a plan",
        answers=Body.STREAM,
    ),
    Operation(
        path="/action-plans/{id}/content",
        method="PUT",
        entity="action_plans",
        summary="Put the file of a plan in place",
        body=Body.STREAM,
    ),
)
