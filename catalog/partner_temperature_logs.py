"""Cold-chain measurements of partner sites' devices: append-only."""

from decimal import Decimal

from catalog.asset import Asset, Kind, Live, Move, Wave
from catalog.column import Column, Type
from catalog.service import Service
from catalog.stamps import CREATED_AT

ASSET = Asset(
    source="public.partner_temperature_logs",
    service=Service.COMPLIANCE,
    target="temperature_log",
    key=("id",),
    kind=Kind.APPEND_ONLY,
    minted=("id",),
    subject="",
    wave=Wave.FOURTH,
    moves=Move.CSV,
    live=Live.TELEMETRY,
    note="Backfill with CSV export + import; live sync via IoT ingestion gateway.",
    fhir=("Observation",),
    columns=(
        Column(source="id", target="id", type=Type.BIGINT, filter=True, sort=True),
        Column(source="partner_id", target="partner_id", type=Type.UUID, filter=True),
        Column(source="site_code", target="site_code", type=Type.TEXT, filter=True),
        Column(source="device_id", target="device_id", type=Type.TEXT, filter=True),
        Column(
            source="measured_at",
            target="measured_at",
            type=Type.TIMESTAMPTZ,
            filter=True,
            sort=True,
        ),
        Column(
            source="temperature_c",
            target="temperature_c",
            type=Type.NUMERIC,
            filter=True,
            sort=True,
            least=Decimal("-999.99"),
            most=Decimal("999.99"),
            places=2,
        ),
        Column(
            source="humidity_pct",
            target="humidity_pct",
            type=Type.REAL,
            nullable=True,
            least=0,
            most=100,
        ),
        Column(
            source="excursion",
            target="is_excursion",
            type=Type.BOOLEAN,
            filter=True,
            low_entropy=True,
        ),
        Column(source="battery_mv", target="battery_mv", type=Type.INTEGER, nullable=True),
        Column(source="raw", target="raw", type=Type.JSONB, nullable=True),
        CREATED_AT,
    ),
)
