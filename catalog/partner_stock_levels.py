"""What each partner site has in stock."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

ASSET = Asset(
    source="public.partner_stock_levels",
    service=Service.PARTNER_OPS,
    target="stock_level",
    key=("partner_id", "site_code", "sku"),
    subject="",
    wave=Wave.FOURTH,
    moves=Move.VIEW,
    live=Live.EVENTS,
    note="Uses incremental sync via materialized view export to Kafka topic.",
    columns=(
        Column(source="partner_id", target="partner_id", type=Type.UUID, filter=True, sort=True),
        Column(source="site_code", target="site_code", type=Type.TEXT, filter=True),
        Column(source="sku", target="sku", type=Type.TEXT, filter=True),
        Column(source="on_hand", target="on_hand", type=Type.INTEGER, filter=True, sort=True),
        Column(
            source="reserved", target="reserved", type=Type.INTEGER, filter=True, sort=True, least=0
        ),
        Column(
            source="reorder_point",
            target="reorder_point",
            type=Type.INTEGER,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(
            source="counted_at",
            target="counted_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        CREATED_AT,
        UPDATED_AT,
    ),
)
