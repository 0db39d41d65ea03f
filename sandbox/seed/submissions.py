"""Sign-in users and the patients' onboarding submissions."""

from datetime import date, datetime
from typing import Any

from sandbox.seed.draw import Draw, Row, jsonb
from sandbox.seed.people import PATIENTS, PEOPLE, Person
from sandbox.seed.words import Writer

STATUSES = ("approved", "in_review", "submitted", "draft", "rejected", "withdrawn")
_WEIGHTS = {
    "approved": 55,
    "in_review": 15,
    "submitted": 10,
    "draft": 8,
    "rejected": 7,
    "withdrawn": 5,
}
_CONSENT = {
    "draft": ("pending",),
    "submitted": ("given", "given", "pending"),
    "in_review": ("given", "given", "pending"),
    "approved": ("given",),
    "rejected": ("refused", "given"),
    "withdrawn": ("withdrawn", "refused"),
}
_LEAP_DAYS = (date(1936, 2, 29), date(1968, 2, 29), date(2000, 2, 29), date(2016, 2, 29))
_CITIES = ("London", "Łódź", "São Paulo", "Kraków", "Newcastle upon Tyne", "東京", "St. John's")


def users(draw: Draw, scale: int) -> tuple[list[Row], list[Row | None]]:
    """Rows of auth.users, and for each patient in turn the user that belongs to it (None for three in ten)."""
    known = [_sample_user(person) for person in PEOPLE]
    known += [_clinician(draw, number) for number in range(scale // 100)]
    of_patients: list[Row | None] = [
        next(row for row in known if row["id"] == person.id) for person in PATIENTS[:scale]
    ]
    made = []
    for number in range(len(of_patients), scale):
        user = _patient_user(draw, number) if draw.chance(0.7) else None
        of_patients.append(user)
        if user:
            made.append(user)
    return known + made, of_patients


def submissions(
    draw: Draw, write: Writer, auth_users: list[Row], of_patients: list[Row | None]
) -> list[Row]:
    """One per patient, and an older one for some who came back."""
    clinicians = [user["id"] for user in auth_users if '"clinician"' in user["raw_app_meta_data"]]
    rows = []
    for number, user in enumerate(of_patients):
        status = _status(draw, number)
        person = _person(draw, write)
        earliest = user["created_at"] if user and number >= len(PATIENTS) else draw.created()
        row = _submission(draw, write, status, person, draw.created(earliest))
        row["user_id"] = user["id"] if user else None
        if row["status"] in ("in_review", "approved", "rejected") and (
            number < 12 or draw.chance(0.9)
        ):
            row["assigned_clinician_id"] = clinicians[number % len(clinicians)]
        rows.append(row)
        if user and number >= len(PATIENTS) and draw.chance(0.08):
            older = _submission(draw, write, "withdrawn", person, draw.created(user["created_at"]))
            rows.append({**older, "user_id": user["id"]})
    return rows


def _sample_user(person: Person) -> Row:
    return _user(
        id=person.id,
        email=person.email,
        app=dict(person.app_metadata),
        name=person.full_name,
        at=datetime.fromisoformat("2023-01-01T08:00:00+00:00"),
    )


def _clinician(draw: Draw, number: int) -> Row:
    return _user(
        id=draw.uuid(),
        email=f"clinician.{number}@clinic.example",
        app={"app_role": "clinician"},
        name=f"Dr {number}",
        at=draw.created(),
    )


def _patient_user(draw: Draw, number: int) -> Row:
    mailbox = draw.choice(
        (f"patient.{number}", f"patient+{number}", f"pätient{number}", f"o'{number}")
    )
    return _user(
        id=draw.uuid(),
        email=f"{mailbox}@patients.example",
        app={"app_role": "patient"},
        name=None,
        at=draw.created(),
    )


def _user(*, id: Any, email: str, app: dict[str, object], name: str | None, at: datetime) -> Row:
    return {
        "id": id,
        "email": email,
        "raw_app_meta_data": jsonb(app),
        "raw_user_meta_data": jsonb({"full_name": name} if name else {}),
        "created_at": at,
    }


def _status(draw: Draw, number: int) -> str:
    """The first ones take each status in turn, so that a small world has them all; samples can show something."""
    if number < len(PATIENTS):
        return ("approved", "in_review", "approved", "approved")[number]
    if number < 20:
        return STATUSES[number % len(STATUSES)]
    return draw.weighted(_WEIGHTS)


def _person(draw: Draw, write: Writer) -> Row:
    first, last = write.name()
    born = draw.day(date(1931, 1, 1), date(2022, 12, 31))
    if draw.chance(0.04):
        born = draw.choice(_LEAP_DAYS)
    number = draw.integer(0, 999_999)
    return {
        "first_name": first,
        "last_name": last,
        "date_of_birth": born,
        "sex": draw.choice(("female", "male", "female", "male", "other", "unknown", None)),
        "email": draw.maybe(f"person{number}+tag@mail.example", 0.85),
        "phone": draw.maybe(draw.choice((f"+44 7700 9{number:05}", f"(0)20/{number}", "")), 0.8),
        "address": _address(draw),
    }


def _address(draw: Draw) -> str:
    if draw.chance(0.1):
        return "{}"
    return jsonb(
        {
            "line1": f"{draw.integer(1, 400)} Example Street, Flat “{draw.integer(1, 9)}”",
            "line2": draw.maybe("c/o O'Neil & Sons", 0.3),
            "city": draw.choice(_CITIES),
            "postcode": f"ZZ{draw.integer(1, 99)} {draw.integer(1, 9)}ZZ",
            "country": draw.choice(("GB", "US", "PL", "JP")),
        }
    )


def _submission(draw: Draw, write: Writer, status: str, person: Row, created: datetime) -> Row:
    submitted = None if status == "draft" else draw.within(created, 10)
    decided = (
        draw.within(submitted, 20) if submitted and status != "submitted" else submitted or created
    )
    flagged = draw.chance(0.12)
    return {
        "id": draw.uuid(),
        "user_id": None,
        "status": status,
        **person,
        **_guardian(draw, write, person["date_of_birth"], created),
        **_consent(draw, status, submitted or created),
        "safeguarding_flag": flagged,
        "safeguarding_notes": write.note() if flagged or draw.chance(0.05) else None,
        "safeguarding": jsonb({"level": draw.integer(1, 3), "contacts": []} if flagged else {}),
        "answers": _answers(draw, write, status),
        "assigned_clinician_id": None,
        "submitted_at": submitted,
        "created_at": created,
        "updated_at": draw.updated(max(decided, created)),
    }


def _guardian(draw: Draw, write: Writer, born: date, created: datetime) -> Row:
    minor = (created.date() - born).days < 18 * 365
    if not (draw.chance(0.95) if minor else draw.chance(0.04)):
        return dict.fromkeys(
            ("guardian_name", "guardian_relationship", "guardian_phone", "guardian_email")
        )
    return {
        "guardian_name": " ".join(write.name()),
        "guardian_relationship": draw.choice(
            ("mother", "father", "grandparent", "légal guardian", None)
        ),
        "guardian_phone": draw.maybe("+1 (555) 010-0199 ext. 3", 0.7),
        "guardian_email": draw.maybe("guardian@mail.example", 0.7),
    }


def _consent(draw: Draw, status: str, after: datetime) -> Row:
    consent = draw.choice(_CONSENT[status])
    given = consent == "given" or (consent == "withdrawn" and draw.chance(0.8))
    return {
        "consent_status": consent,
        "consent_given_at": draw.within(after, 1) if given else None,
        "consent_version": draw.choice(("v1", "v2.1", "2024-02/β")) if given else None,
    }


def _answers(draw: Draw, write: Writer, status: str) -> str:
    if status == "draft" and draw.chance(0.5):
        return "{}"
    return jsonb(
        {
            "smoker": draw.choice((True, False, None)),
            "height_cm": draw.choice((172.5, 168, 180.0)),
            "allergies": [draw.choice(("latex", "penicillin", "žito"))] if draw.chance(0.4) else [],
            "medication": [
                {"name": "Examplol", "dose": "10\u00a0mg", "times": [8, 20], "until": None},
            ][: draw.integer(0, 1)],
            "history": {"conditions": {}, "notes": write.note()},
            "legacy_id": draw.choice((2**53 + 1, 12, None)),
        }
    )
