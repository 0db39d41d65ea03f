"""Appointments and the requests that wait for one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle

from sandbox.seed.draw import WINDOW_END, WINDOW_START, Draw, Row, jsonb
from sandbox.seed.people import CLINICIANS, PARTNERS, PATIENTS
from sandbox.seed.words import Writer

LONDON, NEW_YORK = "Europe/London", "America/New_York"
CLOCK_CHANGES = tuple(
    (zone, datetime.fromisoformat(f"{day}T{hour}:00:00+00:00"))
    for zone, hour, days in (
        (LONDON, "01", "2023-03-26 2023-10-29 2024-03-31 2024-10-27 2025-03-30 2025-10-26"),
        (NEW_YORK, "07", "2023-03-12 2024-03-10 2025-03-09 2026-03-08"),
        (NEW_YORK, "06", "2023-11-05 2024-11-03 2025-11-02"),
    )
    for day in days.split()
)
"""The instants at which local time jumps (March) or repeats an hour (October, November)."""
_AROUND = tuple(timedelta(minutes=minutes) for minutes in (-60, -15, 0, 30))

_PAST = {"fulfilled": 55, "cancelled": 20, "noshow": 15, "arrived": 10}
_FUTURE = {"booked": 70, "proposed": 20, "cancelled": 10}
_ZONES = (LONDON, LONDON, NEW_YORK, "UTC", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe")
_LATEST = datetime(2030, 12, 31, tzinfo=UTC)


def appointments(draw: Draw, write: Writer, submissions: list[Row]) -> list[Row]:
    """Past ones are over, future ones are not. Most patients who were accepted have some; sample patients have three."""
    samples = {person.id for person in PATIENTS}
    changes = cycle(CLOCK_CHANGES)
    rows = []
    for submission in submissions:
        if submission["status"] not in ("in_review", "approved"):
            continue
        sample = submission["user_id"] in samples
        for number in range(3 if sample else draw.integer(0, 3)):
            future = number == 0 if sample else draw.chance(0.3)
            rows.append(_appointment(draw, write, submission, future, changes))
    return rows


def requests(draw: Draw, write: Writer, submissions: list[Row], booked: list[Row]) -> list[Row]:
    """A confirmed request names the appointment it became; all others name none."""
    of_submission: dict[object, list[Row]] = {}
    for appointment in booked:
        of_submission.setdefault(appointment["submission_id"], []).append(appointment)
    samples = {person.id for person in PATIENTS}
    rows = []
    for submission in submissions:
        if submission["status"] in ("draft", "withdrawn"):
            continue
        for number in range(2 if submission["user_id"] in samples else draw.integer(0, 2)):
            options = of_submission.get(submission["id"], [])
            rows.append(_request(draw, write, submission, options, number))
    return rows


def _appointment(
    draw: Draw,
    write: Writer,
    submission: Row,
    future: bool,
    changes: Iterator[tuple[str, datetime]],
) -> Row:
    zone, start = _start(draw, submission["submitted_at"], future, changes)
    future = start >= WINDOW_END
    status = draw.weighted(_FUTURE if future else _PAST)
    created = draw.instant(submission["submitted_at"], min(start, WINDOW_END))
    modality = draw.choice(("video", "phone", "in_person"))
    changed = start if status in ("fulfilled", "noshow", "arrived") else created
    return {
        "id": draw.uuid(),
        "submission_id": submission["id"],
        "clinician_id": draw.maybe(
            submission["assigned_clinician_id"] or draw.choice(CLINICIANS).id, 0.95
        ),
        "partner_id": draw.maybe(draw.choice(PARTNERS), 0.4),
        "status": status,
        "modality": modality,
        "starts_at": start,
        "ends_at": start + timedelta(minutes=draw.choice((15, 30, 45, 90, 1440))),
        "timezone": zone,
        "location": write.title() if modality == "in_person" else None,
        "reason": draw.maybe(write.note(), 0.6),
        "cancellation_reason": write.note() if status == "cancelled" and draw.chance(0.8) else None,
        "metadata": jsonb(
            draw.choice(
                ({}, {"source": "widget", "utm": None}, {"room": {"floor": -1, "tags": []}})
            )
        ),
        "created_at": created,
        "updated_at": draw.updated(max(changed, created)),
    }


def _start(
    draw: Draw, after: datetime, future: bool, changes: Iterator[tuple[str, datetime]]
) -> tuple[str, datetime]:
    """Time zone and start. One in six lies around a change of the clocks."""
    if draw.chance(1 / 6):
        zone, change = next(changes)
        start = change + draw.choice(_AROUND)
        if start > after + timedelta(days=1):
            return zone, start
    first, last = (WINDOW_END, _LATEST) if future else (after + timedelta(hours=1), WINDOW_END)
    quarter = draw.integer(0, max(0, int((last - first).total_seconds()) // 900 - 1))
    start = WINDOW_START + (
        (first - WINDOW_START) // timedelta(minutes=15) + 1 + quarter
    ) * timedelta(minutes=15)
    return draw.choice(_ZONES), start


def _request(draw: Draw, write: Writer, submission: Row, options: list[Row], number: int) -> Row:
    status = draw.choice(("pending", "confirmed", "declined", "expired", "cancelled"))
    if number == 0:
        status = "pending"
    appointment = draw.choice(options) if status == "confirmed" and options else None
    if status == "confirmed" and appointment is None:
        status = "pending"
    made = submission["submitted_at"]
    created = (
        draw.instant(made, appointment["created_at"]) if appointment else draw.within(made, 60)
    )
    earliest = draw.maybe(created + timedelta(days=1), 0.7)
    id = draw.uuid()
    return {
        "id": id,
        "submission_id": submission["id"],
        "appointment_id": appointment["id"] if appointment else None,
        "requested_by": submission["user_id"],
        "status": status,
        "preferred_slots": _slots(draw, created),
        "earliest_at": earliest,
        "latest_at": draw.maybe((earliest or created) + timedelta(days=14), 0.6),
        "notes": draw.maybe(write.note(), 0.7),
        "idempotency_key": draw.maybe(
            f"{draw.choice(('req', 'wid get', 'ключ/%', 'a~b'))}:{id}", 0.6
        ),
        "created_at": created,
        "updated_at": draw.updated(created if status == "pending" else draw.within(created, 5)),
    }


def _slots(draw: Draw, after: datetime) -> str:
    """Wishes in local time or in UTC; some people have none."""
    day = (after + timedelta(days=draw.integer(1, 20))).date().isoformat()
    slots = (
        {"start": f"{day}T09:00:00Z", "end": f"{day}T09:30:00Z"},
        {"start": f"{day}T16:15:00+01:00", "end": None, "note": "after school — «если можно»"},
    )
    return jsonb(slots[: draw.integer(0, 2)])
