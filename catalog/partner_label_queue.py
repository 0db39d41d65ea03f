"""Labels waiting to be printed: a queue."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

STATUS = {
    "queued": "queued",
    "printing": "printing",
    "printed": "printed",
    "failed": "failed",
    "cancelled": "cancelled",
}

ASSET = Asset(
    source="public.partner_label_queue",
    service=Service.PARTNER_OPS,
    target="label",
    key=("id",),
    minted=("id",),
    subject="",
    wave=Wave.FIFTH,
    moves=Move.DRAIN,
    live=Live.CDC,
    note="Migrated last with zero-downtime queue drain script.",
    columns=(
        Column(source="id", target="id", type=Type.BIGINT, filter=True, sort=True),
        Column(source="partner_id", target="partner_id", type=Type.UUID, filter=True),
        Column(source="site_code", target="site_code", type=Type.TEXT, filter=True),
        Column(
            source="lab_order_id",
            target="lab_order_id",
            type=Type.UUID,
            references="lab_orders",
            nullable=True,
            filter=True,
        ),
        Column(source="label_type", target="kind", type=Type.TEXT, filter=True),
        Column(source="payload", target="payload", type=Type.JSONB),
        Column(
            source="status",
            target="status",
            type=Type.ENUM,
            values=STATUS,
            filter=True,
            low_entropy=True,
        ),
        Column(source="attempts", target="attempts", type=Type.INTEGER, filter=True, sort=True),
        Column(source="locked_by", target="claimed_by", type=Type.TEXT, nullable=True),
        Column(
            source="locked_until",
            target="claimed_until",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
        ),
        Column(
            source="printed_at",
            target="printed_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(source="last_error", target="last_error", type=Type.TEXT, nullable=True),
        CREATED_AT,
        UPDATED_AT,
    ),
)
