"""Compliance follow-ups: /v2/compliance."""

from routes.lifecycle import Fill, Lifecycle
from routes.problem import FieldError
from routes.resource import Resource
from routes.writes import Create, Writes

_TIME = FieldError(field="completed_at", code="needed_for_a_completed_task")

RESOURCES = (
    Resource(
        path="/compliance",
        entity="compliance_tasks",
        summary="Compliance follow-ups",
        order="-created_at",
        writes=Writes(
            create=Create(
                required=("task_type", "title"),
                optional=("submission_id", "description", "assignee_id", "due_at"),
                defaults={"status": "open", "is_blocking": False, "priority": 3, "metadata": {}},
            ),
            change=frozenset(
                {
                    "status",
                    "title",
                    "description",
                    "is_blocking",
                    "priority",
                    "assignee_id",
                    "due_at",
                    "metadata",
                }
            ),
            delete=True,
        ),
        lifecycles=(
            Lifecycle(
                column="status",
                start=("open", "in_progress"),
                ways={
                    "open": ("in_progress", "blocked", "completed", "cancelled"),
                    "in_progress": ("open", "blocked", "completed", "cancelled"),
                    "blocked": ("open", "in_progress", "cancelled"),
                    "completed": (),
                    "cancelled": (),
                },
                fills={"completed": {"completed_at": Fill.NOW, "completed_by": Fill.CALLER}},
            ),
        ),
        rules={"done_has_time": _TIME, "completed_has_time": _TIME},
    ),
)
