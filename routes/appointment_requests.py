"""Requested slots that await confirmation, a queue: /v2/appointment-requests and its claim, confirm, decline."""

from catalog.column import Type
from routes.lifecycle import Fill, Lifecycle
from routes.operation import Body, Member, Operation
from routes.resource import Resource
from routes.writes import Create, Writes

_ENTITY = "appointment_requests"

RESOURCES = (
    Resource(
        path="/appointment-requests",
        entity=_ENTITY,
        summary="Requested slots that await confirmation",
        order="-created_at",
        writes=Writes(
            create=Create(
                required=("submission_id",),
                optional=("not_before", "not_after", "notes"),
                defaults={"preferred_slots": []},
                fixed={"status": "pending"},
                fills={"requester_id": Fill.CALLER},
            ),
            change=frozenset({"status", "preferred_slots", "not_before", "not_after", "notes"}),
        ),
        lifecycles=(
            Lifecycle(
                column="status",
                start=("pending",),
                ways={
                    "pending": ("confirmed", "declined", "expired", "cancelled"),
                    "confirmed": (),
                    "declined": (),
                    "expired": (),
                    "cancelled": (),
                },
            ),
        ),
    ),
)

OPERATIONS = (
    Operation(
        path="/appointment-requests/{id}/claim",
        method="POST",
        entity=_ENTITY,
        summary="Take a request for a while, so that nobody else works on it",
        body=Body.JSON,
        members={"lease_seconds": Member(type=Type.INTEGER, least=10, most=3600)},
    ),
    Operation(
        path="/appointment-requests/{id}/confirm",
        method="POST",
        entity=_ENTITY,
        summary="Book the appointment that was asked for",
        body=Body.JSON,
        keyed=True,
        members={
            "starts_at": Member(type=Type.TIMESTAMPTZ, required=True),
            "ends_at": Member(type=Type.TIMESTAMPTZ, required=True),
            "clinician_id": Member(type=Type.UUID, required=True),
            "modality": Member(type=Type.TEXT, values=("video", "phone", "in_person")),
            "time_zone": Member(type=Type.TEXT),
            "location": Member(type=Type.TEXT),
        },
        home="clinician_id",
    ),
    Operation(
        path="/appointment-requests/{id}/decline",
        method="POST",
        entity=_ENTITY,
        summary="Turn a request down",
        body=Body.JSON,
    ),
)
