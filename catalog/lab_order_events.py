"""The audit trail of lab orders: append-only."""

from catalog.asset import Asset, Kind, Live, Move, Wave
from catalog.column import Column, Type
from catalog.lab_orders import STATUS
from catalog.service import Service
from catalog.stamps import CREATED_AT

ASSET = Asset(
    source="public.lab_order_events",
    service=Service.DIAGNOSTICS,
    target="lab_order_event",
    key=("id",),
    kind=Kind.APPEND_ONLY,
    aggregate="lab_orders",
    subject="",
    minted=("id",),
    derived=True,
    wave=Wave.FIRST,
    moves=Move.BATCH,
    live=Live.CDC,
    note="Retained as append-only event log; `audit-sync` job converts to `Provenance` resources nightly.",
    fhir=("Provenance", "AuditEvent"),
    columns=(
        Column(source="id", target="id", type=Type.BIGINT, filter=True, sort=True),
        Column(
            source="lab_order_id",
            target="lab_order_id",
            type=Type.UUID,
            references="lab_orders",
            filter=True,
        ),
        Column(source="event_type", target="kind", type=Type.TEXT, filter=True),
        Column(
            source="from_status",
            target="from_status",
            type=Type.ENUM,
            values=STATUS,
            nullable=True,
            low_entropy=True,
        ),
        Column(
            source="to_status",
            target="to_status",
            type=Type.ENUM,
            values=STATUS,
            nullable=True,
            low_entropy=True,
        ),
        Column(source="actor_id", target="actor_id", type=Type.UUID, nullable=True),
        Column(source="actor_type", target="actor_type", type=Type.TEXT),
        Column(source="payload", target="payload", type=Type.JSONB),
        Column(
            source="occurred_at",
            target="occurred_at",
            type=Type.TIMESTAMPTZ,
            filter=True,
            sort=True,
        ),
        CREATED_AT,
    ),
)
