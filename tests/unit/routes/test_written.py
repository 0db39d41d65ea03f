"""A body becomes a whole row, or every member that is wrong is named."""

import json
from decimal import Decimal
from typing import Any

import pytest

from routes import resources
from routes.example import example
from routes.json_body import read_object
from routes.refused import Forbidden, InvalidFields
from routes.resource import Resource
from routes.written import Writer, changed, created, needs_current

pytestmark = pytest.mark.unit

BY_ENTITY = {resource.entity: resource for resource in resources()}
ORDERS, SUBMISSIONS, TASKS, PAYOUTS, LABELS, TEMPERATURES, EVENTS, PLANS = (
    BY_ENTITY[name]
    for name in (
        "lab_orders",
        "submissions",
        "compliance_tasks",
        "partner_payouts",
        "partner_label_queue",
        "partner_temperature_logs",
        "lab_order_events",
        "action_plans",
    )
)
SUB = "00000001-0000-4000-8000-000000000001"
PARTNER = "00000003-0000-4000-8000-000000000003"
ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
NOW = "2026-11-29T12:00:00+00:00"
STAFF = Writer(sub=SUB, partner_id=PARTNER, staff=True, now=NOW)
PATIENT = Writer(sub=SUB, partner_id="", staff=False, now=NOW)
ORDER = {"submission_id": ID, "test_code": "HBA1C"}
KEY = (ID,)
CREATABLE = [pytest.param(r, id=r.path) for r in resources() if r.writes.create is not None]


def refused(
    body: dict[str, Any], resource: Resource = ORDERS, writer: Writer = STAFF
) -> dict[str, str]:
    with pytest.raises(InvalidFields) as error:
        created(resource, body, writer, KEY, None)
    return {one.field: one.code for one in error.value.errors}


def refused_change(
    patch: dict[str, Any], resource: Resource = ORDERS, writer: Writer = STAFF
) -> dict[str, str]:
    with pytest.raises(InvalidFields) as error:
        changed(resource, patch, {}, writer)
    return {one.field: one.code for one in error.value.errors}


def test_a_new_row_is_complete():
    assert created(ORDERS, {**ORDER, "price_minor": 1250}, STAFF, KEY, None) == {
        "id": ID,
        "submission_id": ID,
        "test_code": "HBA1C",
        "requester_id": SUB,
        "status": "draft",
        "priority": 3,
        "currency": "GBP",
        "tags": [],
        "price_minor": 1250,
    }


@pytest.mark.parametrize("resource", CREATABLE)
def test_whatever_needs_a_value_has_one(resource):
    create = resource.writes.create
    shown = read_object(json.dumps(example(resource)).encode())
    body = {name: shown[name] for name in create.required}
    key = (
        None
        if set(resource.asset.key) & set(resource.asset.minted)
        else ("a",) * len(resource.asset.key)
    )
    parent = ID if resource.nested else None
    values = created(resource, body, STAFF, key, parent)
    needed = {
        c.target
        for c in resource.asset.kept
        if not (c.nullable or c.generated or c.target in ("created_at", "updated_at"))
    }
    assert needed - set(values) <= set(resource.asset.minted)
    assert values.keys() <= set(resource.asset.by_target)


def test_every_wrong_member_is_named():
    assert refused(
        {
            "test_code": None,
            "colour": "red",
            "requester_id": SUB,
            "order_number": 7,
            "priority": 6,
            "currency": "POUND",
            "tags": ["a", 1],
            "status": "resulted",
            "price_minor": "12",
        }
    ) == {
        "test_code": "expected_a_value",
        "submission_id": "required",
        "colour": "unknown_field",
        "requester_id": "not_writable",
        "order_number": "not_writable",
        "priority": "above_the_most",
        "currency": "wrong_length",
        "tags": "expected_texts",
        "status": "no_state_to_begin_in",
        "price_minor": "expected_integer",
    }


def test_a_name_is_shown_cut_and_printable():
    assert refused({**ORDER, "\x1b" + "é" * 100: 1}) == {"?" * 64: "unknown_field"}


def test_what_is_for_staff_does_not_exist_for_others():
    body = {
        "given_name": "A",
        "family_name": "B",
        "birth_date": "2001-02-03",
        "safeguarding_notes": "x",
    }
    assert refused(body, SUBMISSIONS, PATIENT) == {"safeguarding_notes": "unknown_field"}
    assert created(SUBMISSIONS, body, STAFF, KEY, None)["safeguarding_notes"] == "x"
    assert (
        created(SUBMISSIONS, {**body} | {"safeguarding_notes": None}, STAFF, KEY, None)[
            "safeguarding_concern"
        ]
        is False
    )


def test_rows_of_a_partner_are_written_by_one_of_theirs():
    assert created(LABELS, {"site_code": "L"}, STAFF, None, None)["partner_id"] == PARTNER
    with pytest.raises(Forbidden):
        created(LABELS, {"site_code": "L"}, PATIENT, None, None)


def test_a_numbered_row_has_no_key_yet():
    assert "id" not in created(LABELS, {"site_code": "L"}, STAFF, None, None)


def test_a_nested_row_belongs_to_the_parent_in_the_path():
    values = created(EVENTS, {"kind": "note"}, STAFF, None, ID)
    assert values["lab_order_id"] == ID
    assert values["occurred_at"] == NOW
    assert values["actor_type"] == "user"
    moment = "2024-02-29T12:00:00Z"
    assert created(EVENTS, {"kind": "n", "occurred_at": moment}, STAFF, None, ID)[
        "occurred_at"
    ] == ("2024-02-29T12:00:00+00:00")


def test_the_place_of_a_file_follows_from_the_key():
    values = created(PLANS, {"submission_id": ID, "title": "T"}, STAFF, KEY, None)
    assert (values["object_bucket"], values["object_key"]) == ("action-plans", ID)
    assert refused({"submission_id": ID, "title": "T", "object_key": "x"}, PLANS) == {
        "object_key": "unknown_field"
    }


def test_a_state_fills_in_what_belongs_to_it():
    assert created(ORDERS, {**ORDER, "status": "ordered"}, STAFF, KEY, None)["ordered_at"] == NOW
    named = {**ORDER, "status": "ordered", "ordered_at": "2020-01-01T00:00:00Z"}
    assert created(ORDERS, named, STAFF, KEY, None)["ordered_at"] == "2020-01-01T00:00:00+00:00"
    assert changed(TASKS, {"status": "completed"}, {"status": "open"}, PATIENT) == {
        "status": "completed",
        "completed_at": NOW,
        "completed_by": SUB,
    }


def test_who_stays_in_a_state_does_not_enter_it():
    assert changed(ORDERS, {"status": "resulted"}, {"status": "resulted"}, STAFF) == {
        "status": "resulted"
    }


def test_a_patch_changes_what_it_names():
    assert changed(ORDERS, {"test_name": None, "tags": []}, {}, STAFF) == {
        "test_name": None,
        "tags": [],
    }
    assert refused_change({"test_code": "X", "id": ID, "priority": None, "net": 1}) == {
        "test_code": "not_writable",
        "id": "not_writable",
        "priority": "expected_a_value",
        "net": "unknown_field",
    }
    assert refused_change({}) == {"body": "expected_a_member"}


def test_objects_are_merged():
    guardian = {"name": "G", "relationship": "aunt", "phone": "1", "email": None}
    patch = {"guardian": {"phone": None, "name": "H"}, "answers": {"a": {"x": 1}}}
    assert needs_current(SUBMISSIONS, patch)
    assert not needs_current(SUBMISSIONS, {"guardian": None, "answers": [1], "email": "x"})
    current = {"guardian": guardian, "answers": {"a": {"y": 2}, "b": 3}}
    assert changed(SUBMISSIONS, patch, current, STAFF) == {
        "guardian": {"name": "H", "relationship": "aunt", "phone": None, "email": None},
        "answers": {"a": {"y": 2, "x": 1}, "b": 3},
    }
    gone = {"guardian": dict.fromkeys(guardian)}
    assert changed(SUBMISSIONS, gone, current, STAFF) == {"guardian": None}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"name": 1}, "expected_texts"),
        ({"nick": "x"}, "expected_name_relationship_phone_email"),
        ("x", "expected_name_relationship_phone_email"),
    ],
)
def test_parts_are_texts(value, code):
    assert refused_change({"guardian": value}, SUBMISSIONS) == {"guardian": code}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (Decimal("4.555"), "too_many_places"),
        (Decimal("1000"), "above_the_most"),
        (-1000, "below_the_least"),
        (Decimal("1E+40"), "expected_number"),
        ("4.5", "expected_number"),
        (True, "expected_number"),
    ],
)
def test_numbers_that_a_side_could_not_hold(value, code):
    body = {"site_code": "L", "device_id": "d", "measured_at": NOW, "temperature_c": value}
    assert refused(body, TEMPERATURES) == {"temperature_c": code}


@pytest.mark.parametrize("value", [Decimal("4.50"), 4, Decimal("-0.01"), Decimal("1E+2")])
def test_numbers_that_both_can(value):
    body = {"site_code": "L", "device_id": "d", "measured_at": NOW, "temperature_c": value}
    assert created(TEMPERATURES, body, STAFF, None, None)["temperature_c"] == value


@pytest.mark.parametrize(
    ("value", "fine"),
    [(3, True), (Decimal("3.0"), True), (Decimal("3.5"), False), (True, False), (2**70, False)],
)
def test_whole_numbers(value, fine):
    if fine:
        assert changed(PAYOUTS, {"gross_minor": value}, {}, STAFF) == {"gross_minor": 3}
    else:
        assert refused_change({"gross_minor": value}, PAYOUTS) == {
            "gross_minor": "expected_integer"
        }
