"""Slots that patients asked for and that await confirmation: a queue."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

STATUS = {
    "pending": "pending",
    "confirmed": "confirmed",
    "declined": "declined",
    "expired": "expired",
    "cancelled": "cancelled",
}

ASSET = Asset(
    source="public.appointment_requests",
    service=Service.SCHEDULING,
    target="appointment_request",
    key=("id",),
    aggregate="appointments",
    wave=Wave.SECOND,
    moves=Move.BATCH,
    live=Live.CDC,
    note="Migrated alongside `appointments` with idempotent replay; requests exposed via new queue endpoint.",
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
            source="appointment_id",
            target="appointment_id",
            type=Type.UUID,
            references="appointments",
            nullable=True,
            filter=True,
        ),
        Column(
            source="requested_by", target="requester_id", type=Type.UUID, nullable=True, filter=True
        ),
        Column(
            source="status",
            target="status",
            type=Type.ENUM,
            values=STATUS,
            filter=True,
            low_entropy=True,
        ),
        Column(source="preferred_slots", target="preferred_slots", type=Type.JSONB),
        Column(
            source="earliest_at",
            target="not_before",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(
            source="latest_at",
            target="not_after",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(source="notes", target="notes", type=Type.TEXT, nullable=True),
        Column(
            source="idempotency_key",
            target="idempotency_key",
            type=Type.TEXT,
            nullable=True,
            public=False,
        ),
        CREATED_AT,
        UPDATED_AT,
    ),
)
