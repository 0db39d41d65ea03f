"""Clinicians' action plans: where each file is, and its checksum."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

ASSET = Asset(
    source="public.action_plans",
    service=Service.CARE_PLANS,
    target="action_plan",
    key=("id",),
    wave=Wave.FOURTH,
    moves=Move.FILES,
    live=Live.CDC,
    note="Files re-uploaded to managed storage; metadata stored in Care Plan DB. FHIR attachments created via `careplan-import`.",
    fhir=("CarePlan", "DocumentReference"),
    columns=(
        Column(source="id", target="id", type=Type.UUID, filter=True, sort=True),
        Column(
            source="submission_id",
            target="submission_id",
            type=Type.UUID,
            references="submissions",
            filter=True,
        ),
        Column(
            source="clinician_id", target="author_id", type=Type.UUID, nullable=True, filter=True
        ),
        Column(source="title", target="title", type=Type.TEXT),
        Column(
            source="version", target="revision", type=Type.INTEGER, filter=True, sort=True, least=1
        ),
        Column(source="storage_bucket", target="object_bucket", type=Type.TEXT, public=False),
        Column(source="storage_path", target="object_key", type=Type.TEXT, public=False),
        Column(source="mime_type", target="content_type", type=Type.TEXT, filter=True),
        Column(
            source="byte_size", target="content_length", type=Type.BIGINT, nullable=True, least=0
        ),
        Column(source="sha256", target="content_sha256", type=Type.TEXT, nullable=True),
        Column(
            source="published_at",
            target="published_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        CREATED_AT,
        UPDATED_AT,
    ),
)
