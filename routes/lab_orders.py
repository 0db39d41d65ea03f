"""Lab orders and their state: /v2/lab-orders, /v2/lab-orders/{id}/events, /v2/lab-orders/vendor-updates."""

from catalog.column import Type
from routes.lifecycle import Fill, Lifecycle
from routes.operation import Body, Member, Operation
from routes.problem import FieldError
from routes.resource import Resource
from routes.writes import Create, Writes

_TAKEN = FieldError(field="vendor_reference", code="taken")

RESOURCES = (
    Resource(
        path="/lab-orders",
        entity="lab_orders",
        summary="Lab orders and their state",
        order="-created_at",
        staff_only=frozenset({"vendor_payload", "integration_error"}),
        waits=True,
        writes=Writes(
            create=Create(
                required=("submission_id", "test_code"),
                optional=("test_name", "vendor", "price_minor", "ordered_at"),
                defaults={"status": "draft", "priority": 3, "currency": "GBP", "tags": []},
                fills={"requester_id": Fill.CALLER},
            ),
            change=frozenset(
                {
                    "test_name",
                    "priority",
                    "status",
                    "vendor",
                    "vendor_reference",
                    "vendor_status",
                    "vendor_payload",
                    "integration_error",
                    "price_minor",
                    "currency",
                    "tags",
                    "ordered_at",
                    "collected_at",
                    "resulted_at",
                    "result_summary",
                }
            ),
        ),
        lifecycles=(
            Lifecycle(
                column="status",
                start=("draft", "ordered"),
                ways={
                    "draft": ("ordered", "cancelled"),
                    "ordered": ("sent", "failed", "cancelled"),
                    "sent": ("collected", "failed", "cancelled"),
                    "collected": ("in_progress", "failed", "cancelled"),
                    "in_progress": ("resulted", "failed"),
                    "resulted": (),
                    "cancelled": (),
                    "failed": ("ordered", "cancelled"),
                },
                fills={
                    "ordered": {"ordered_at": Fill.NOW},
                    "collected": {"collected_at": Fill.NOW},
                    "resulted": {"resulted_at": Fill.NOW},
                },
            ),
        ),
        rules={
            "lab_orders_vendor_vendor_order_id_key": _TAKEN,
            "lab_order_vendor_vendor_reference_key": _TAKEN,
        },
    ),
    Resource(
        path="/lab-orders/{id}/events",
        entity="lab_order_events",
        summary="The audit trail of one lab order",
        order="occurred_at",
        parent_column="lab_order_id",
        staff_only=frozenset({"payload"}),
        writes=Writes(
            create=Create(
                required=("kind",),
                optional=("from_status", "to_status"),
                defaults={"payload": {}},
                fixed={"actor_type": "user"},
                fills={"actor_id": Fill.CALLER, "occurred_at": Fill.NOW},
            ),
        ),
    ),
)

OPERATIONS = (
    Operation(
        path="/lab-orders/vendor-updates",
        method="POST",
        entity="lab_orders",
        summary="What a laboratory says about one of its orders, signed",
        body=Body.JSON,
        signed=True,
        members={
            "vendor": Member(type=Type.TEXT, required=True),
            "vendor_reference": Member(type=Type.TEXT, required=True),
            "event_id": Member(type=Type.TEXT, required=True),
            "status": Member(type=Type.TEXT, required=True),
            "occurred_at": Member(type=Type.TIMESTAMPTZ, required=True),
            "result_summary": Member(type=Type.TEXT),
            "payload": Member(type=Type.JSONB),
        },
        answer={
            "applied": Member(type=Type.BOOLEAN, required=True),
            "status": Member(type=Type.TEXT, required=True),
        },
    ),
)
