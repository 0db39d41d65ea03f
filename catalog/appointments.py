"""Appointments of patients with clinicians or partners."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

STATUS = {
    "proposed": "proposed",
    "booked": "booked",
    "arrived": "arrived",
    "fulfilled": "fulfilled",
    "cancelled": "cancelled",
    "noshow": "no_show",
}
MODALITY = {"video": "video", "phone": "phone", "in_person": "in_person"}

ASSET = Asset(
    source="public.appointments",
    service=Service.SCHEDULING,
    target="appointment",
    key=("id",),
    wave=Wave.SECOND,
    moves=Move.BATCH,
    live=Live.CDC,
    note="Phase 1 read replica using Debezium change stream; Phase 2 cut-over with API gateway routing writes to Scheduling Service. FHIR appointment bundle synchronization with `scheduler-sync`.",
    fhir=("Appointment",),
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
            source="clinician_id", target="clinician_id", type=Type.UUID, nullable=True, filter=True
        ),
        Column(
            source="partner_id", target="partner_id", type=Type.UUID, nullable=True, filter=True
        ),
        Column(
            source="status",
            target="status",
            type=Type.ENUM,
            values=STATUS,
            filter=True,
            low_entropy=True,
        ),
        Column(
            source="modality",
            target="modality",
            type=Type.ENUM,
            values=MODALITY,
            filter=True,
            low_entropy=True,
        ),
        Column(
            source="starts_at", target="starts_at", type=Type.TIMESTAMPTZ, filter=True, sort=True
        ),
        Column(source="ends_at", target="ends_at", type=Type.TIMESTAMPTZ, filter=True, sort=True),
        Column(source="timezone", target="time_zone", type=Type.TEXT),
        Column(source="location", target="location", type=Type.TEXT, nullable=True),
        Column(source="reason", target="reason", type=Type.TEXT, nullable=True),
        Column(
            source="cancellation_reason",
            target="cancellation_reason",
            type=Type.TEXT,
            nullable=True,
        ),
        Column(source="metadata", target="metadata", type=Type.JSONB),
        CREATED_AT,
        UPDATED_AT,
    ),
)
