"""Written rows in legacy's words, and legacy's refusals in v2's, of which only codes and names are used."""

import json
from decimal import Decimal

import pytest

from catalog import assets
from catalog.transform import forward
from gateway.legacy_body import LegacyRefusal, legacy_values
from routes import resources
from routes.refused import Conflict, Fenced, Forbidden, InvalidFields

pytestmark = pytest.mark.unit

BY_ENTITY = {resource.entity: resource for resource in resources()}
ORDERS = BY_ENTITY["lab_orders"]


def test_words_amounts_and_names_are_legacy_s():
    values = {"status": "sent", "price_minor": 1250, "vendor_reference": None, "tags": ["a"]}
    assert legacy_values(assets()["lab_orders"], values) == {
        "status": "sent_to_vendor",
        "price": Decimal("12.50"),
        "vendor_order_id": None,
        "tags": ["a"],
    }


@pytest.mark.parametrize(
    "guardian", [None, {"name": "G", "relationship": None, "phone": "1", "email": None}]
)
def test_a_merged_value_is_all_of_its_parts(guardian):
    found = legacy_values(assets()["submissions"], {"guardian": guardian})
    parts = guardian or dict.fromkeys(("name", "relationship", "phone", "email"))
    assert found == {f"guardian_{part}": value for part, value in parts.items()}


@pytest.mark.parametrize("entity", assets())
def test_the_words_of_every_vocabulary_go_both_ways(entity):
    asset = assets()[entity]
    for column in asset.kept:
        for word in getattr(column, "values", {}).values():
            legacy = legacy_values(asset, {column.target: word})
            row = {source: None for c in asset.kept for source in c.sources} | legacy
            assert forward(asset, row)[column.target] == word


def refusal(code: str, message: str = "") -> LegacyRefusal:
    details = "Key (email)=(ada@mail.example) already exists."
    return LegacyRefusal(
        json.dumps({"code": code, "message": message, "details": details}).encode()
    )


@pytest.mark.parametrize(
    ("code", "message", "kind", "fields"),
    [
        ("23505", 'duplicate key value violates unique constraint "lab_orders_vendor_vendor_order_id_key"', Conflict, {"vendor_reference": "taken"}),
        ("23505", 'duplicate key value violates unique constraint "lab_orders_pkey"', Conflict, {"id": "taken"}),
        ("23503", 'violates foreign key constraint "lab_orders_submission_id_fkey"', InvalidFields, {"submission_id": "does_not_exist"}),
        ("23514", 'violates check constraint "lab_orders_priority_check"', InvalidFields, {"priority": "not_allowed"}),
        ("23502", 'null value in column "test_code" of relation "lab_orders" violates not-null constraint', InvalidFields, {"test_code": "required"}),
        ("22003", "numeric field overflow", InvalidFields, {"row": "not_allowed"}),
        ("P0001", "anything", InvalidFields, {"row": "not_allowed"}),
        ("42501", "new row violates row-level security policy", Forbidden, {}),
        ("25006", "table lab_orders takes no writes here any more", Fenced, {}),
    ],
)  # fmt: skip
def test_what_legacy_refuses(code, message, kind, fields):
    found = refusal(code, message).refusal(ORDERS, removing=False)
    assert found is not None
    assert type(found) is kind
    assert {one.field: one.code for one in found.errors} == fields


def test_who_is_referred_to_stays():
    found = refusal("23503", 'violates foreign key constraint "x"').refusal(ORDERS, removing=True)
    assert isinstance(found, Conflict)
    assert [one.code for one in found.errors] == ["others_refer_to_it"]


@pytest.mark.parametrize(
    ("body", "spoken"),
    [
        (b'{"code":"57014","message":"canceling statement"}', True),
        (b'{"code":"PGRST003"}', True),
        (b'{"code":503}', False),
        (b'{"message":"upstream"}', False),
        (b"<html>", False),
        (b"[]", False),
        (b"", False),
    ],
)
def test_who_has_spoken(body, spoken):
    found = LegacyRefusal(body)
    assert found.spoken is spoken
    assert found.refusal(ORDERS, removing=False) is None


@pytest.mark.parametrize(
    ("code", "trouble"), [("53100", "storage_full"), ("57014", "upstream_timeout"), ("08006", "")]
)
def test_what_is_no_fault_of_the_write(code, trouble):
    assert refusal(code, "could not extend file").trouble == trouble
