"""Lab orders and the trail of their status changes. In the real project a trigger writes the trail; here both come
from one history, so each order's status is the last one of its trail."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sandbox.seed.draw import Draw, Row, jsonb
from sandbox.seed.people import CLINICIANS, PATIENTS
from sandbox.seed.words import Writer

PATH = ("draft", "ordered", "sent_to_vendor", "collected", "in_progress", "resulted")
FIRST_ORDER_NUMBER = 10_000_001
BEYOND_JAVASCRIPT = 2**53 + 1
"""One order was numbered by hand with a number that a JavaScript client rounds."""
FIRST_EVENT_ID = 3_000_000_001
"""Behind 2**31, where old 32-bit code ends."""

_TESTS = (
    ("HBA1C", "Haemoglobin A1c"),
    ("LIPID/4", "Lipid panel, 4 values"),
    ("VIT-D 25(OH)", None),
    ("CRP%", "C-reactive protein «hs»"),
    ("58410-2", "CBC panel"),
    ("ТСХ", "Тиреотропный гормон"),
)
_PRICES = ("0.00", "12.50", "49.90", "100.00", "1234567890.10", "-12.50", "0.01")
VENDORS = ("Synthetic Labs", "Łab & Co", "vendor/3", "O'Lab")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One status of an order's history and when it took it."""

    status: str
    at: datetime


def orders(draw: Draw, write: Writer, submissions: list[Row]) -> tuple[list[Row], list[Row]]:
    """The orders, and their events in the order of their ids."""
    samples = {person.id for person in PATIENTS}
    rows: list[Row] = []
    events: list[Row] = []
    for submission in submissions:
        sample = submission["user_id"] in samples
        if submission["status"] not in ("in_review", "approved"):
            continue
        for _ in range(3 if sample else draw.integer(0, 3)):
            history = _history(draw, submission["submitted_at"], number=len(rows))
            order = _order(draw, write, submission, history, number=len(rows))
            trail = _trail(draw, write, order, history)
            order["updated_at"] = draw.updated(max(order["created_at"], trail[-1]["occurred_at"]))
            rows.append(order)
            events += trail
    if rows:
        rows[-1]["order_number"] = BEYOND_JAVASCRIPT
    for id, event in enumerate(events, FIRST_EVENT_ID):
        event["id"] = id
    return rows, events


def _history(draw: Draw, after: datetime, *, number: int) -> list[Step]:
    """A prefix of PATH; some end in cancelled or failed. Small worlds see every last status."""
    length = number % len(PATH) + 1 if number < 12 else draw.integer(1, len(PATH))
    ending = {4: "failed", 7: "cancelled"}.get(number)
    if number >= 12 and length < len(PATH) and draw.chance(0.2):
        ending = "failed" if length >= 3 and draw.chance(0.5) else "cancelled"
    at = draw.within(after, 30)
    steps = []
    for status in (*PATH[:length], *((ending,) if ending else ())):
        steps.append(Step(status=status, at=at))
        at = max(draw.within(at, 4), at + timedelta(microseconds=1))
    return steps


def _order(draw: Draw, write: Writer, submission: Row, history: list[Step], *, number: int) -> Row:
    at = {step.status: step.at for step in history}
    status = history[-1].status
    code, name = draw.choice(_TESTS)
    sent = "sent_to_vendor" in at
    id = draw.uuid()
    return {
        "id": id,
        "order_number": FIRST_ORDER_NUMBER + number,
        "submission_id": submission["id"],
        "ordered_by": submission["assigned_clinician_id"]
        or draw.maybe(draw.choice(CLINICIANS).id, 0.9),
        "test_code": code,
        "test_name": name,
        "priority": draw.integer(1, 5),
        "status": status,
        "vendor": draw.choice(VENDORS) if sent else None,
        "vendor_order_id": f"V-{number}/{draw.hex(4)}" if sent and draw.chance(0.9) else None,
        "vendor_status": draw.choice(("ACCEPTED", "in lab", "完了", None)) if sent else None,
        "vendor_payload": _payload(draw, write, id.hex) if sent else None,
        "integration_error": write.note() if status == "failed" else None,
        "price": draw.maybe(Decimal(draw.choice(_PRICES)), 0.85),
        "currency": draw.choice(("GBP", "GBP", "EUR", "USD", "JPY")),
        "tags": _tags(draw),
        "ordered_at": at.get("ordered"),
        "collected_at": at.get("collected"),
        "resulted_at": at.get("resulted"),
        "result_summary": write.note() if status == "resulted" and draw.chance(0.9) else None,
        "created_at": history[0].at,
        "updated_at": history[-1].at,
    }


def _payload(draw: Draw, write: Writer, reference: str) -> str | None:
    kind = draw.integer(0, 3)
    if kind == 0:
        return None
    if kind == 1:
        return "{}"
    if kind == 2:  # written by hand: a number keeps its trailing zeros, and one is beyond a double
        return (
            f'{{"ref":"{reference}","amount":12.50,"big":9007199254740993,"tiny":1e-7,"values":[]}}'
        )
    return jsonb(
        {"results": [{"code": "A1C", "value": 5.4, "flags": [], "note": write.note()}], "ok": True}
    )


def _tags(draw: Draw) -> list[str]:
    pool = (
        "fasting",
        "urgent",
        "comma, inside",
        'quo"te',
        "{brace}",
        "NULL",
        "",
        "übung",
        "back\\slash",
    )
    return [draw.choice(pool) for _ in range(draw.choice((0, 0, 1, 2, 3)))]


def _trail(draw: Draw, write: Writer, order: Row, history: list[Step]) -> list[Row]:
    """`created` first, then one event per change; vendors' messages in between change no status."""
    events = []
    before = None
    for step in history:
        by_user = step.status in ("draft", "ordered", "cancelled")
        events.append(
            {
                "lab_order_id": order["id"],
                "event_type": "status_changed" if before else "created",
                "from_status": before,
                "to_status": step.status,
                "actor_id": order["ordered_by"] if by_user else None,
                "actor_type": "authenticated"
                if by_user
                else draw.choice(("service_role", "system")),
                "payload": "{}",
                "occurred_at": step.at,
                "created_at": step.at,
            }
        )
        if step.status == "sent_to_vendor" and draw.chance(0.4):
            events.append(_message(draw, write, order, step.at))
        before = step.status
    return events


def _message(draw: Draw, write: Writer, order: Row, at: datetime) -> Row:
    """Told by the vendor at that very instant, stored a little later."""
    return {
        "lab_order_id": order["id"],
        "event_type": draw.choice(("vendor_message", "vendor.update/β")),
        "from_status": None,
        "to_status": None,
        "actor_id": None,
        "actor_type": "vendor",
        "payload": jsonb(
            {"text": write.note(), "codes": [], "nested": {"a": {"b": [1, None, "x"]}}}
        ),
        "occurred_at": at,
        "created_at": at + timedelta(milliseconds=draw.integer(0, 2_000)),
    }
