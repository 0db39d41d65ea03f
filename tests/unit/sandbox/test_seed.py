"""The synthetic data: the same every time, consistent in itself, and awkward in every way that it claims."""

import hashlib
import json
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from runtime.settings import inherited_environment
from sandbox.legacy.load import SCHEMA
from sandbox.seed.dataset import SMALLEST_SCALE, Dataset, generate
from sandbox.seed.diagnostics import PATH
from sandbox.seed.draw import WINDOW_END, WINDOW_START
from sandbox.seed.people import BY_NAME, CLINICIANS, PARTNERS, PATIENTS, PEOPLE
from sandbox.seed.scheduling import CLOCK_CHANGES
from sandbox.seed.words import AWKWARD, LONG_NOTE_BYTES

pytestmark = pytest.mark.unit


def digest(data: Dataset) -> str:
    return hashlib.sha256(repr(data.tables).encode()).hexdigest()


def rows(data: Dataset, table: str) -> list[dict[str, Any]]:
    return data.tables[f"public.{table}"]


def texts(value: object) -> Iterator[str]:
    """Every text in a value, inside its JSON as well."""
    if isinstance(value, str):
        yield value
        if value[:1] in ("{", "["):
            try:
                yield from texts(json.loads(value))
            except ValueError:
                return
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


def every_text(data: Dataset) -> Iterator[str]:
    for table in data.tables.values():
        for row in table:
            yield from texts(list(row.values()))


def test_the_same_scale_and_seed_give_the_same_rows(dataset: Dataset):
    assert digest(generate(dataset.scale, dataset.seed)) == digest(dataset)


def test_another_process_makes_the_same_rows(dataset: Dataset):
    """Hash randomisation, locale and time zone differ there."""
    script = (
        "import hashlib; from sandbox.seed.dataset import generate;"
        f"print(hashlib.sha256(repr(generate({dataset.scale}).tables).encode()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={
            **inherited_environment(),
            "PYTHONHASHSEED": "7",
            "LC_ALL": "C",
            "TZ": "Asia/Tokyo",
            "PYTHONUTF8": "1",
        },
    )
    assert other.stdout.strip() == digest(dataset)


def test_another_seed_gives_other_rows(dataset: Dataset):
    assert digest(generate(dataset.scale, dataset.seed + 1)) != digest(dataset)


def test_a_scale_that_cannot_hold_every_case_is_refused():
    with pytest.raises(ValueError, match="too small"):
        generate(SMALLEST_SCALE - 1)


@pytest.mark.parametrize("scale", [SMALLEST_SCALE, 60, 250])
def test_every_table_has_rows_and_one_submission_per_patient(scale: int):
    data = generate(scale)

    assert len(data.tables) == 13
    assert all(data.tables.values())
    assert scale <= len(rows(data, "submissions")) <= 1.2 * scale


def test_rows_of_a_table_name_the_same_columns(dataset: Dataset):
    for table in dataset.tables.values():
        assert len({tuple(row) for row in table}) == 1


@pytest.mark.parametrize("kind", AWKWARD)
def test_awkward_texts_are_there(dataset: Dataset, kind: str):
    assert sum(AWKWARD[kind] in text for text in every_text(dataset)) >= 2


def test_nfc_and_nfd_forms_are_both_there(dataset: Dataset):
    forms = Counter(
        (unicodedata.is_normalized("NFC", text), unicodedata.is_normalized("NFD", text))
        for text in every_text(dataset)
    )
    assert forms[(True, False)] > 20
    assert forms[(False, True)] > 5


def test_long_notes_are_there(dataset: Dataset):
    assert sum(len(text.encode()) >= LONG_NOTE_BYTES for text in every_text(dataset)) >= 2


def test_stamps_come_in_every_precision(dataset: Dataset):
    stamps = [
        row[column]
        for table in dataset.tables.values()
        for row in table
        for column in ("created_at", "updated_at")
        if column in row
    ]
    kinds = Counter(
        "seconds" if not at.microsecond else "millis" if at.microsecond % 1000 == 0 else "micros"
        for at in stamps
    )
    assert min(kinds["seconds"], kinds["millis"], kinds["micros"]) > 50


def test_nothing_happened_outside_the_window(dataset: Dataset):
    for name, table in dataset.tables.items():
        for row in table:
            updated = row["updated_at"] if "updated_at" in row else row["created_at"]
            assert WINDOW_START <= row["created_at"] <= updated, name
            assert updated <= WINDOW_END + timedelta(days=1), name


@pytest.mark.parametrize(
    "table", ["submissions", "appointments", "lab_orders", "compliance_tasks", "partner_checkins"]
)
def test_many_rows_share_their_stamps(dataset: Dataset, table: str):
    shared = Counter(row["updated_at"] for row in rows(dataset, table))
    assert max(shared.values()) >= 3


def test_dates_lie_before_1970_and_on_leap_days(dataset: Dataset):
    births = [row["date_of_birth"] for row in rows(generate(250), "submissions")]
    assert sum(born < date(1970, 1, 1) for born in births) > 20
    assert any((born.month, born.day) == (2, 29) for born in births)


def test_appointments_lie_around_changes_of_the_clocks():
    data = rows(generate(250), "appointments")
    near = Counter(
        zone
        for zone, change in CLOCK_CHANGES
        for row in data
        if row["timezone"] == zone and abs(row["starts_at"] - change) <= timedelta(hours=1)
    )
    assert near["Europe/London"] >= 3
    assert near["America/New_York"] >= 3


def test_changes_of_the_clocks_are_where_we_say(dataset: Dataset):
    """Against the time zone database of this machine, if it has one."""
    zoneinfo = pytest.importorskip("zoneinfo")
    minute = timedelta(minutes=1)
    for name, change in CLOCK_CHANGES:
        zone = zoneinfo.ZoneInfo(name)
        before, after = (change - minute).astimezone(zone), change.astimezone(zone)
        assert before.utcoffset() != after.utcoffset(), (name, change)


def nullable_columns() -> list[tuple[str, str]]:
    """From schema.sql: columns without `not null` that a row may name."""
    found = []
    table = ""
    for line in SCHEMA.read_text(encoding="utf-8").split("-- Part 3")[0].splitlines():
        if line.startswith("create table public."):
            table = line.split("public.")[1].split(" ")[0]
        elif table and line.startswith("  "):
            for part in _columns(line):
                name, _, rest = part.strip().partition(" ")
                if name in ("constraint", "unique", "primary", "check", "id") or "not null" in rest:
                    continue
                if "identity" in rest or "generated" in rest:
                    continue
                found.append((table, name))
    return found


def _columns(line: str) -> list[str]:
    """Splits at commas outside of parentheses."""
    parts, depth = [""], 0
    for character in line.strip().removesuffix(");"):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]


def test_every_nullable_column_is_sometimes_null_and_sometimes_not():
    data = generate(250)
    columns = nullable_columns()
    assert len(columns) > 55
    for table, column in columns:
        values = [row[column] for row in rows(data, table)]
        assert any(value is None for value in values), f"{table}.{column} is never null"
        assert any(value is not None for value in values), f"{table}.{column} is always null"


def test_numbers_are_awkward(dataset: Dataset):
    prices = [row["price"] for row in rows(generate(250), "lab_orders") if row["price"] is not None]
    assert {Decimal("12.50"), Decimal("100.00"), Decimal("-12.50"), Decimal("0.00")} <= set(prices)
    assert any(row["gross_amount"] < 0 for row in rows(dataset, "partner_payouts"))
    assert any(row["on_hand"] < 0 for row in rows(dataset, "partner_stock_levels"))
    assert any(row["temperature_c"] < 0 for row in rows(generate(250), "partner_temperature_logs"))
    assert any(row["order_number"] > 2**53 for row in rows(dataset, "lab_orders"))
    assert all(row["id"] > 2**31 for row in rows(dataset, "lab_order_events"))
    labels = [row["id"] for row in rows(dataset, "partner_label_queue")]
    assert min(labels) < 2**31 < max(labels)


@pytest.mark.parametrize("part", ["~", "/", " ", "%", "?", "\\", '"', ",", "Ł"])
def test_keys_of_text_hold_odd_characters(dataset: Dataset, part: str):
    levels = rows(dataset, "partner_stock_levels")
    assert any(part in row["site_code"] + row["sku"] for row in levels)


def test_arrays_and_objects_are_empty_and_nested(dataset: Dataset):
    tags = [row["tags"] for row in rows(dataset, "lab_orders")]
    assert [] in tags
    assert any("comma, inside" in row for row in tags)
    assert any("NULL" in row for row in tags)
    slots = {row["preferred_slots"] for row in rows(dataset, "appointment_requests")}
    assert "[]" in slots
    assert any(row["vendor_payload"] == "{}" for row in rows(generate(250), "lab_orders"))


def test_each_status_occurs(dataset: Dataset):
    for table, count in {
        "submissions": 6,
        "appointment_requests": 5,
        "lab_orders": 8,
        "compliance_tasks": 5,
        "partner_label_queue": 5,
        "partner_payouts": 6,
    }.items():
        assert len({row["status"] for row in rows(dataset, table)}) == count, table
    assert {row["status"] for row in rows(generate(250), "appointments")} == {
        *("proposed", "booked", "arrived", "fulfilled", "cancelled", "noshow")
    }


def test_an_orders_trail_tells_its_history(dataset: Dataset):
    trails: dict[object, list[dict[str, Any]]] = {}
    for event in rows(dataset, "lab_order_events"):
        trails.setdefault(event["lab_order_id"], []).append(event)
    for order in rows(dataset, "lab_orders"):
        changes = [event for event in trails[order["id"]] if event["to_status"]]
        statuses = [event["to_status"] for event in changes]
        at = {event["to_status"]: event["occurred_at"] for event in changes}

        assert changes[0]["event_type"] == "created"
        assert [event["from_status"] for event in changes] == [None, *statuses[:-1]]
        assert statuses[-1] == order["status"]
        assert [status for status in statuses if status in PATH] == list(PATH[: len(statuses)])[
            : sum(status in PATH for status in statuses)
        ]
        assert [event["occurred_at"] for event in changes] == sorted(at.values())
        assert (order["ordered_at"], order["collected_at"], order["resulted_at"]) == (
            *(at.get("ordered"), at.get("collected"), at.get("resulted")),
        )
        assert order["updated_at"] >= changes[-1]["occurred_at"]


def test_lifecycles_are_consistent(dataset: Dataset):
    for row in rows(dataset, "submissions"):
        assert (row["status"] == "draft") == (row["submitted_at"] is None)
        assert row["consent_status"] != "given" or row["consent_given_at"] is not None
    for row in rows(dataset, "appointments"):
        past = row["starts_at"] < WINDOW_END
        assert row["status"] in (
            ("fulfilled", "cancelled", "noshow", "arrived")
            if past
            else ("booked", "proposed", "cancelled")
        )
        assert row["status"] == "cancelled" or row["cancellation_reason"] is None
    booked = {row["id"]: row["submission_id"] for row in rows(dataset, "appointments")}
    for row in rows(dataset, "appointment_requests"):
        assert (row["status"] == "confirmed") == (row["appointment_id"] is not None)
        assert (
            row["appointment_id"] is None or booked[row["appointment_id"]] == row["submission_id"]
        )
    for row in rows(dataset, "partner_payouts"):
        lines = json.loads(row["details"], parse_float=Decimal)
        assert sum((line["amount"] for line in lines), Decimal(0)) == row["gross_amount"]
        assert (row["status"] in ("paid", "reversed")) == (row["paid_at"] is not None)
    for row in rows(dataset, "partner_temperature_logs"):
        assert row["excursion"] == (not Decimal(2) <= row["temperature_c"] <= Decimal(8))


def test_payout_periods_of_a_partner_never_overlap(dataset: Dataset):
    for partner in PARTNERS:
        periods = sorted(
            (row["period_start"], row["period_end"])
            for row in rows(dataset, "partner_payouts")
            if row["partner_id"] == partner
        )
        assert len(periods) >= 9
        assert all(end < start for (_, end), (start, _) in pairwise(periods))


def test_some_patients_have_no_user_and_some_no_guardian(dataset: Dataset):
    submissions = rows(dataset, "submissions")
    assert {row["user_id"] is None for row in submissions} == {True, False}
    assert {row["guardian_name"] is None for row in submissions} == {True, False}


@pytest.mark.parametrize("name", [person.name for person in PATIENTS])
@pytest.mark.parametrize("scale", [SMALLEST_SCALE, 60, 500])
def test_sample_patients_have_something_everywhere(scale: int, name: str):
    data = generate(scale)
    [submission] = [row for row in rows(data, "submissions") if row["user_id"] == BY_NAME[name].id]
    for table in ("appointments", "appointment_requests", "lab_orders", "action_plans"):
        own = [row for row in rows(data, table) if row["submission_id"] == submission["id"]]
        assert own, table
        assert table != "action_plans" or any(row["published_at"] for row in own)


def test_clinicians_and_partners_have_work(dataset: Dataset):
    patients = Counter(row["assigned_clinician_id"] for row in rows(dataset, "submissions"))
    assert all(patients[person.id] >= 3 for person in CLINICIANS)
    for table in (
        *("partner_checkins", "partner_label_queue", "partner_stock_levels"),
        *("partner_payouts", "partner_temperature_logs"),
    ):
        counts = Counter(row["partner_id"] for row in rows(dataset, table))
        assert min(counts[partner] for partner in PARTNERS) >= 5, table


def test_sample_users_are_known_by_id_and_address():
    assert (
        len({person.id for person in PEOPLE})
        == len({person.email for person in PEOPLE})
        == len(PEOPLE)
    )
    assert str(BY_NAME["patient"].id) == "00000001-0000-4000-8000-000000000001"
    assert {person.operator for person in PEOPLE} == {
        "",
        "viewer",
        "operator",
        "approver",
        "compliance",
    }
    assert {person.app_role for person in PEOPLE} >= {
        *("patient", "clinician", "partner", "compliance", "finance", "admin")
    }


def test_stamps_are_aware(dataset: Dataset):
    for table in dataset.tables.values():
        for row in table:
            assert all(value.tzinfo for value in row.values() if isinstance(value, datetime))
