"""Remittances that reimburse partners."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Type
from catalog.conversion import MINOR_UNITS
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

STATUS = {
    "draft": "draft",
    "approved": "approved",
    "sent": "sent",
    "paid": "paid",
    "failed": "failed",
    "reversed": "reversed",
}

ASSET = Asset(
    source="public.partner_payouts",
    service=Service.FINANCE,
    target="payout",
    key=("id",),
    subject="",
    wave=Wave.SIXTH,
    moves=Move.BATCH,
    live=Live.CDC,
    note="Migrated in final wave due to finance reconciliation dependencies.",
    columns=(
        Column(source="id", target="id", type=Type.UUID, filter=True, sort=True),
        Column(source="partner_id", target="partner_id", type=Type.UUID, filter=True),
        Column(
            source="period_start", target="period_start", type=Type.DATE, filter=True, sort=True
        ),
        Column(source="period_end", target="period_end", type=Type.DATE, filter=True, sort=True),
        Column(
            source="gross_amount",
            target="gross_minor",
            type=Type.BIGINT,
            convert=MINOR_UNITS,
            filter=True,
            least=-(10**14) + 1,
            most=10**14 - 1,
        ),
        Column(
            source="fee_amount",
            target="fee_minor",
            type=Type.BIGINT,
            convert=MINOR_UNITS,
            filter=True,
            least=-(10**14) + 1,
            most=10**14 - 1,
        ),
        Column(
            source="net_amount",
            target="net_minor",
            type=Type.BIGINT,
            convert=MINOR_UNITS,
            filter=True,
            generated=True,
        ),
        Column(source="currency", target="currency", type=Type.TEXT, padded=True, length=3),
        Column(
            source="status",
            target="status",
            type=Type.ENUM,
            values=STATUS,
            filter=True,
            low_entropy=True,
        ),
        Column(
            source="remittance_reference",
            target="remittance_reference",
            type=Type.TEXT,
            nullable=True,
            filter=True,
        ),
        Column(
            source="paid_at",
            target="paid_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(source="details", target="lines", type=Type.JSONB),
        CREATED_AT,
        UPDATED_AT,
    ),
)
