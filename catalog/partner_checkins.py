"""Inventory that partner pharmacies checked in."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

CONDITION = {"ok": "intact", "damaged": "damaged", "quarantined": "quarantined"}

ASSET = Asset(
    source="public.partner_checkins",
    service=Service.PARTNER_OPS,
    target="checkin",
    key=("id",),
    subject="",
    wave=Wave.FOURTH,
    moves=Move.BATCH,
    live=Live.CDC,
    note="Migrate using batched copy; no FHIR representation required.",
    columns=(
        Column(source="id", target="id", type=Type.UUID, filter=True, sort=True),
        Column(source="partner_id", target="partner_id", type=Type.UUID, filter=True),
        Column(source="site_code", target="site_code", type=Type.TEXT, filter=True),
        Column(source="checked_in_by", target="received_by", type=Type.UUID, nullable=True),
        Column(source="sku", target="sku", type=Type.TEXT, filter=True),
        Column(
            source="lot_number", target="lot_number", type=Type.TEXT, nullable=True, filter=True
        ),
        Column(
            source="expires_on",
            target="expires_on",
            type=Type.DATE,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(
            source="quantity", target="quantity", type=Type.INTEGER, filter=True, sort=True, least=0
        ),
        Column(
            source="condition",
            target="condition",
            type=Type.ENUM,
            values=CONDITION,
            filter=True,
            low_entropy=True,
        ),
        Column(source="notes", target="notes", type=Type.TEXT, nullable=True),
        Column(
            source="checked_in_at",
            target="received_at",
            type=Type.TIMESTAMPTZ,
            filter=True,
            sort=True,
        ),
        CREATED_AT,
        UPDATED_AT,
    ),
)
