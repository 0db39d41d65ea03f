"""Action plans and compliance tasks: what follows from a submission."""

from datetime import datetime, timedelta

from sandbox.seed.draw import Draw, Row, jsonb
from sandbox.seed.people import BY_NAME, CLINICIANS, PARTNERS, PATIENTS
from sandbox.seed.words import Writer

TASK_TYPES = (
    "consent_renewal",
    "safeguarding_review",
    "identity_check",
    "document_request",
    "follow_up_call",
)
_TASK_STATUSES = ("open", "in_progress", "blocked", "done", "cancelled")
_FOLDERS = ("plans", "plans/2024", "Pläne & Co", "a b/100%", "план")


def action_plans(draw: Draw, write: Writer, submissions: list[Row]) -> list[Row]:
    """Versions of a plan share their title; the last one may still be unpublished, which patients do not see."""
    samples = {person.id for person in PATIENTS}
    rows = []
    for submission in submissions:
        sample = submission["user_id"] in samples
        if submission["status"] != "approved" and not sample:
            continue
        if not sample and draw.chance(0.4):
            continue
        title = write.title()
        at = draw.within(submission["submitted_at"], 30)
        for version in range(1, (2 if sample else draw.choice((1, 1, 2, 3))) + 1):
            row = _plan(draw, submission, title, version, at)
            if sample and version == 1:
                row["published_at"] = row["created_at"]
            rows.append(row)
            at = draw.within(row["created_at"], 20)
    return rows


def compliance_tasks(draw: Draw, write: Writer, submissions: list[Row]) -> list[Row]:
    """One or two for some patients, and one without a submission per partner: a temperature excursion."""
    rows = [_excursion(draw, write, str(partner)) for partner in PARTNERS]
    number = 0
    for submission in submissions:
        if submission["status"] == "draft":
            continue
        for _ in range(draw.choice((0, 1, 1, 2))):
            kind = TASK_TYPES[number % len(TASK_TYPES)] if number < 25 else draw.choice(TASK_TYPES)
            status = _TASK_STATUSES[number // 5 % 5] if number < 25 else draw.choice(_TASK_STATUSES)
            created = draw.within(submission["submitted_at"], 60)
            task = _task(draw, write, kind, status, created)
            # A document is asked of the patient; everything else is staff work.
            patient = submission["user_id"] if kind == "document_request" else None
            task["assigned_to"] = patient or draw.maybe(_assignee(draw, number), 0.8)
            task["completed_by"] = task["assigned_to"] if status == "done" else None
            rows.append({**task, "submission_id": submission["id"]})
            number += 1
    return rows


def _plan(draw: Draw, submission: Row, title: str, version: int, at: datetime) -> Row:
    id = draw.uuid()
    kind, ending = draw.choice(
        (("application/pdf", "pdf"), ("image/png", "png"), ("text/plain; charset=utf-8", "txt"))
    )
    published = draw.within(at, 3) if draw.chance(0.8) else None
    stored = draw.chance(0.9)
    return {
        "id": id,
        "submission_id": submission["id"],
        "clinician_id": submission["assigned_clinician_id"]
        or draw.maybe(draw.choice(CLINICIANS).id, 0.9),
        "title": title,
        "version": version,
        "storage_bucket": draw.choice(("action-plans", "action-plans", "archive 2023")),
        "storage_path": f"{draw.choice(_FOLDERS)}/{id}/v{version} (final).{ending}",
        "mime_type": kind,
        "byte_size": draw.choice((0, 1, 48_213, 5_000_000_000)) if stored else None,
        "sha256": draw.hex(64) if stored else None,
        "published_at": published,
        "created_at": at,
        "updated_at": draw.updated(published or at),
    }


def _assignee(draw: Draw, number: int) -> object:
    return BY_NAME["compliance"].id if number % 3 == 0 else draw.choice(CLINICIANS).id


def _task(draw: Draw, write: Writer, kind: str, status: str, created: datetime) -> Row:
    completed = draw.within(created, 30) if status == "done" else None
    return {
        "id": draw.uuid(),
        "submission_id": None,
        "task_type": kind,
        "status": status,
        "title": write.title(),
        "description": draw.maybe(write.note(), 0.8),
        "blocking": draw.chance(0.2),
        "priority": draw.integer(1, 5),
        "assigned_to": None,
        "due_at": draw.maybe(created + timedelta(days=draw.integer(1, 90)), 0.8),
        "completed_at": completed,
        "completed_by": None,
        "metadata": jsonb(
            draw.choice(({}, {"source": None}, {"checks": [{"ok": True}, {"ok": None}]}))
        ),
        "created_at": created,
        "updated_at": draw.updated(completed or draw.within(created, 30)),
    }


def _excursion(draw: Draw, write: Writer, partner: str) -> Row:
    task = _task(draw, write, "temperature_excursion", "open", draw.created())
    return {
        **task,
        "assigned_to": BY_NAME["compliance"].id,
        "metadata": jsonb({"partner_id": partner, "device_id": "fridge-1", "max_c": 11.50}),
    }
