"""Lab orders and their state: /v2/lab-orders, /v2/lab-orders/{id}/events."""

from routes.resource import Resource

RESOURCES = (
    Resource(
        path="/lab-orders",
        entity="lab_orders",
        summary="Lab orders and their state",
        order="-created_at",
        staff_only=frozenset({"vendor_payload", "integration_error"}),
    ),
    Resource(
        path="/lab-orders/{id}/events",
        entity="lab_order_events",
        summary="The audit trail of one lab order",
        order="occurred_at",
        parent_column="lab_order_id",
        staff_only=frozenset({"payload"}),
    ),
)
