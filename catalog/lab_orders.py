"""Lab orders and the state of their integration with the vendor."""

from catalog.asset import Asset, Live, Move, Wave
from catalog.column import Column, Compare, Type
from catalog.conversion import MINOR_UNITS
from catalog.service import Service
from catalog.stamps import CREATED_AT, UPDATED_AT

STATUS = {
    "draft": "draft",
    "ordered": "ordered",
    "sent_to_vendor": "sent",
    "collected": "collected",
    "in_progress": "in_progress",
    "resulted": "resulted",
    "cancelled": "cancelled",
    "failed": "failed",
}

ASSET = Asset(
    source="public.lab_orders",
    service=Service.DIAGNOSTICS,
    target="lab_order",
    key=("id",),
    minted=("order_number",),
    wave=Wave.FIRST,
    moves=Move.BUNDLE,
    live=Live.CDC,
    note="Backfill via ETL script exporting JSON to `ServiceRequest` bundles. Real-time sync through CDC pipeline pushing to Kafka → Diagnostics service.",
    fhir=("ServiceRequest", "DiagnosticReport"),
    columns=(
        Column(source="id", target="id", type=Type.UUID, filter=True, sort=True),
        Column(
            source="order_number", target="order_number", type=Type.BIGINT, filter=True, sort=True
        ),
        Column(
            source="submission_id",
            target="submission_id",
            type=Type.UUID,
            references="submissions",
            filter=True,
        ),
        Column(
            source="ordered_by", target="requester_id", type=Type.UUID, nullable=True, filter=True
        ),
        Column(source="test_code", target="test_code", type=Type.TEXT, filter=True),
        Column(source="test_name", target="test_name", type=Type.TEXT, nullable=True),
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
            source="status",
            target="status",
            type=Type.ENUM,
            values=STATUS,
            filter=True,
            low_entropy=True,
        ),
        Column(source="vendor", target="vendor", type=Type.TEXT, nullable=True, filter=True),
        Column(
            source="vendor_order_id",
            target="vendor_reference",
            type=Type.TEXT,
            nullable=True,
            filter=True,
        ),
        Column(source="vendor_status", target="vendor_status", type=Type.TEXT, nullable=True),
        Column(source="vendor_payload", target="vendor_payload", type=Type.JSONB, nullable=True),
        Column(
            source="integration_error", target="integration_error", type=Type.TEXT, nullable=True
        ),
        Column(
            source="price",
            target="price_minor",
            type=Type.BIGINT,
            convert=MINOR_UNITS,
            nullable=True,
            filter=True,
            least=-(10**12) + 1,
            most=10**12 - 1,
        ),
        Column(source="currency", target="currency", type=Type.TEXT, padded=True, length=3),
        Column(source="tags", target="tags", type=Type.TEXT_ARRAY, compare=Compare.UNORDERED),
        Column(
            source="ordered_at",
            target="ordered_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(
            source="collected_at",
            target="collected_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(
            source="resulted_at",
            target="resulted_at",
            type=Type.TIMESTAMPTZ,
            nullable=True,
            filter=True,
            sort=True,
        ),
        Column(source="result_summary", target="result_summary", type=Type.TEXT, nullable=True),
        CREATED_AT,
        UPDATED_AT,
    ),
)
