"""Follow-ups on submissions that compliance staff work through."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

TASK_TYPE = {
    "consent_renewal": "consent_renewal",
    "safeguarding_review": "safeguarding_review",
    "identity_check": "identity_check",
    "temperature_excursion": "temperature_excursion",
    "document_request": "document_request",
    "follow_up_call": "follow_up_call",
}
STATUS = {
    "open": "open",
    "in_progress": "in_progress",
    "blocked": "blocked",
    "done": "completed",
    "cancelled": "cancelled",
}

ASSET = Asset(
    source="public.compliance_tasks",
    service=Service.COMPLIANCE,
    target="task",
    key=("id",),
    partition="task_type",
    wave=Wave.FIRST,
    moves=Move.BATCH,
    live=Live.CDC,
    note="Dual-write toggled per task type; final cutover after verifying scheduler parity.",
    fhir=("Task",),
    columns=(
        Column(source="id", target="id", type=Type.UUID, filter=True, sort=True),
        Column(
            source="submission_id",
            target="submission_id",
            type=Type.UUID,
            references="submissions",
            nullable=True,
            filter=True,
        ),
        Column(
            source="task_type",
            target="task_type",
            type=Type.ENUM,
            values=TASK_TYPE,
            filter=True,
            low_entropy=True,
        ),
        Column(
            source="status",
            target="status",
            type=Type.ENUM,
            values=STATUS,
            filter=True,
            low_entropy=True,
        ),
        Column(source="title", target="title", type=Type.TEXT),
        Column(source="description", target="description", type=Type.TEXT, nullable=True),
        Column(
            source="blocking",
            target="is_blocking",
            type=Type.BOOLEAN,
            filter=True,
            low_entropy=True,
        ),
        Column(
            source="priority",
            target="priority",
            type=Type.SMALLINT,
            filter=True,
            sort=True,
            low_entropy=True,
            least=1,
            most=5,
        ),
        Column(
            source="assigned_to", target="assignee_id", type=Type.UUID, nullable=True, filter=True
        ),
        Column(
            source="due_at",
            target="due_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(
            source="completed_at",
            target="completed_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(source="completed_by", target="completed_by", type=Type.UUID, nullable=True),
        Column(source="metadata", target="metadata", type=Type.JSONB),
        CREATED_AT,
        UPDATED_AT,
    ),
)
