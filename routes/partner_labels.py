"""Labels waiting to be printed, a queue: /v2/partner/labels and its claim, printed, failed."""

from catalog.column import Type
from routes.lifecycle import Fill, Lifecycle
from routes.operation import Body, Member, Operation
from routes.resource import Resource
from routes.writes import Create, Writes

_ENTITY = "partner_label_queue"
_PRINTER = Member(type=Type.TEXT, required=True, longest=100)

RESOURCES = (
    Resource(
        path="/partner/labels",
        entity=_ENTITY,
        summary="Labels waiting to be printed",
        order="id",
        writes=Writes(
            create=Create(
                required=("site_code",),
                optional=("lab_order_id",),
                defaults={"kind": "shipping", "payload": {}},
                fixed={"status": "queued", "attempts": 0},
                fills={"partner_id": Fill.PARTNER},
            ),
            change=frozenset({"status", "payload"}),
        ),
        lifecycles=(
            Lifecycle(
                column="status",
                start=("queued",),
                ways={
                    "queued": ("printing", "cancelled"),
                    "printing": ("queued", "printed", "failed"),
                    "printed": (),
                    "failed": ("queued", "cancelled"),
                    "cancelled": (),
                },
            ),
        ),
    ),
)

OPERATIONS = (
    Operation(
        path="/partner/labels/{id}/claim",
        method="POST",
        entity=_ENTITY,
        summary="Take a label for printing",
        body=Body.JSON,
        members={
            "printer": _PRINTER,
            "lease_seconds": Member(type=Type.INTEGER, least=10, most=3600),
        },
    ),
    Operation(
        path="/partner/labels/{id}/printed",
        method="POST",
        entity=_ENTITY,
        summary="The label is printed",
        body=Body.JSON,
        members={"printer": _PRINTER},
    ),
    Operation(
        path="/partner/labels/{id}/failed",
        method="POST",
        entity=_ENTITY,
        summary="The label could not be printed",
        body=Body.JSON,
        members={
            "printer": _PRINTER,
            "error": Member(type=Type.TEXT, required=True, longest=2000),
            "retry": Member(type=Type.BOOLEAN),
        },
    ),
)
