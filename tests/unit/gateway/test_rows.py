"""Rows keep their bytes, but for what the catalog declares as converted."""

import msgspec
import pytest

from catalog import assets
from gateway.disagreement import Disagreement
from gateway.order import position, rank
from gateway.postgrest import select
from gateway.rows import Translation, decode_rows, encode_list, text_of
from routes.match import match
from routes.query import parse_list

pytestmark = pytest.mark.unit

KEY = b"k" * 32


def test_numbers_and_text_keep_every_digit_and_escape() -> None:
    body = b'[{"a":12.50,"b":9007199254740993,"c":"\\u00e9\\n","d":{"x": [1.0, 2]},"e":null}]'
    rows = decode_rows(body)
    assert encode_list(rows, None, None) == b'{"items":' + body + b',"next":null}'


def test_the_envelope() -> None:
    assert encode_list([], "abc", 0) == b'{"items":[],"next":"abc","total":0}'


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"[{]", b'{"message":"no"}', b"null"])
def test_what_is_no_list_of_rows_is_not_passed_on(body: bytes) -> None:
    with pytest.raises(Disagreement):
        decode_rows(body)


def _translation(entity: str) -> tuple[Translation, list[str]]:
    reported: list[str] = []
    asset = assets()[entity]
    return Translation([c for c in asset.kept if c.public], reported.append), reported


def _legacy(entity: str, values: dict[str, bytes]) -> dict[str, msgspec.Raw]:
    """The row as PostgREST answers our own select."""
    columns = [c for c in assets()[entity].kept if c.public]
    names = [word.partition(":")[0] for word in select(columns).split(",")]
    return {name: msgspec.Raw(values.get(name, b"null")) for name in names}


def test_words_amounts_and_merged_columns_are_translated() -> None:
    translation, reported = _translation("lab_orders")
    row = translation.row(
        _legacy("lab_orders", {"status": b'"sent_to_vendor"', "price_minor": b"12.50"})
    )
    assert bytes(row["status"]) == b'"sent"'
    assert bytes(row["price_minor"]) == b"1250"
    translation, _ = _translation("submissions")
    row = translation.row(
        _legacy("submissions", {"_guardian_email": b'"a@b"', "consent_status": b'"given"'})
    )
    assert (
        bytes(row["guardian"])
        == b'{"name": null, "email": "a@b", "phone": null, "relationship": null}'
    )
    assert bytes(row["consent_status"]) == b'"granted"'
    assert bytes(translation.row(_legacy("submissions", {}))["guardian"]) == b"null"
    assert reported == []


def test_what_the_new_model_cannot_show_is_null_and_counted() -> None:
    translation, reported = _translation("lab_orders")
    row = translation.row(_legacy("lab_orders", {"status": b'"lost"', "price_minor": b'"NaN"'}))
    assert bytes(row["status"]) == bytes(row["price_minor"]) == b"null"
    assert reported == ["status", "price_minor"]


def test_a_row_stands_in_the_columns_order_without_hidden_ones() -> None:
    translation, _ = _translation("partner_payouts")
    row = translation.row(_legacy("partner_payouts", {}) | {"_origin": msgspec.Raw(b'"legacy"')})
    assert list(row) == [c.target for c in assets()["partner_payouts"].kept if c.public]


@pytest.mark.parametrize(
    ("raw", "text"), [(b"null", None), (b'"a\\u00e9"', "aé"), (b"12.50", "12.50"), (b"-3", "-3")]
)
def test_texts_of_scalars(raw: bytes, text: str | None) -> None:
    assert text_of(msgspec.Raw(raw)) == text


def test_a_missing_order_field_is_loud() -> None:
    with pytest.raises(Disagreement):
        text_of(None)


def _rank(order: str, **values: bytes) -> object:
    found = match(b"/v2/compliance")
    assert found is not None
    query = parse_list(
        found.resource, f"order={order}".encode(), staff=True, parent=None, cursor_key=KEY
    )
    row = {"id": b'"00000000-0000-4000-8000-000000000001"', **values}
    return rank(position({k: msgspec.Raw(v) for k, v in row.items()}, query.order), query.order)


def test_order_is_by_value_with_nulls_last_both_ways() -> None:
    early, late = b'"2024-01-01T00:00:00.5+00:00"', b'"2024-01-01T02:00:00.25+01:00"'
    assert _rank("due_at", due_at=early) < _rank("due_at", due_at=late)  # type: ignore[operator]
    assert _rank("-due_at", due_at=late) < _rank("-due_at", due_at=early)  # type: ignore[operator]
    for order in ("due_at", "-due_at"):
        assert _rank(order, due_at=early) < _rank(order, due_at=b"null")  # type: ignore[operator]
        assert _rank(order, due_at=b'"infinity"') < _rank(order, due_at=b"null")  # type: ignore[operator]
    assert _rank("priority", priority=b"9") < _rank("priority", priority=b"10")  # type: ignore[operator]


def test_a_value_that_is_none_of_its_type_is_loud() -> None:
    with pytest.raises(Disagreement):
        _rank("due_at", due_at=b'"tomorrow"')
