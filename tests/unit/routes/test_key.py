"""Keys in paths: what is written is read again, and every part means itself."""

from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog import assets
from routes.key import parse_key, parse_part, read_key, write_key
from routes.value import ValueRefused

pytestmark = pytest.mark.unit

ORDERS, EVENTS, STOCK = (
    assets()[entity] for entity in ("lab_orders", "lab_order_events", "partner_stock_levels")
)
ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
parts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(st.uuids(), parts, parts)
@example(ID, "~", "%")
@example(ID, "a~b", "%7E")
@example(ID, "", " ")
@example(ID, "..", "+")
@example(ID, "Zürich/2", "李👩")
@settings(deadline=None)
def test_composite_keys_round_trip(partner, site, sku):
    key = (str(partner), site, sku)
    segment = write_key(key)
    assert parse_key(STOCK, segment.encode()) == key
    assert segment.count("~") == 2
    assert not set(segment) & set("/ ?#&;")


@pytest.mark.parametrize(
    ("segment", "key"),
    [
        (f"{ID}~LDN-1~SKU%201", (ID, "LDN-1", "SKU 1")),
        (f"{ID.upper()}~a+b~c", (ID, "a+b", "c")),
        (f"{ID}~%7e~%2525", (ID, "~", "%25")),
        (f"{ID}~ä~b".encode(), (ID, "ä", "b")),
    ],
)
def test_composite_keys_are_read(segment, key):
    raw = segment if isinstance(segment, bytes) else segment.encode()
    assert parse_key(STOCK, raw) == key


def test_single_keys():
    assert parse_key(ORDERS, ID.upper().encode()) == (ID,)
    assert parse_key(EVENTS, b"%30042") == ("42",)
    assert write_key((ID,)) == ID


@pytest.mark.parametrize(
    ("asset", "segment", "code"),
    [
        (ORDERS, b"", "expected_uuid"),
        (ORDERS, b"1", "expected_uuid"),
        (ORDERS, f"{ID}~a".encode(), "expected_uuid"),
        (ORDERS, f"{ID}%00".encode(), "nul_byte"),
        (EVENTS, b"1.0", "expected_integer"),
        (EVENTS, b"9223372036854775808", "expected_integer"),
        (EVENTS, b"%ff", "not_utf8"),
        (EVENTS, b"%3", "broken_percent_escape"),
        (STOCK, ID.encode(), "expected_partner_id~site_code~sku"),
        (STOCK, f"{ID}~a".encode(), "expected_partner_id~site_code~sku"),
        (STOCK, f"{ID}~a~b~c".encode(), "expected_partner_id~site_code~sku"),
        (STOCK, b"~a~b", "expected_uuid"),
        (STOCK, f"{ID}~a~%00".encode(), "nul_byte"),
        (STOCK, f"{ID}~%zz~b".encode(), "broken_percent_escape"),
    ],
)
def test_refusals(asset, segment, code):
    with pytest.raises(ValueRefused) as refused:
        parse_key(asset, segment)
    assert refused.value.code == code


@pytest.mark.parametrize("asset", [ORDERS, EVENTS, STOCK], ids=lambda asset: asset.entity)
@given(segment=st.binary(max_size=80))
@settings(deadline=None)
def test_hostile_segments_are_keys_or_refused(asset, segment):
    try:
        key = parse_key(asset, segment)
    except ValueRefused:
        return
    assert parse_key(asset, write_key(key).encode()) == key


def test_a_parents_key_is_one_part():
    column = EVENTS.by_target["lab_order_id"]
    assert parse_part(column, ID.upper().encode()) == ID  # type: ignore[arg-type]
    with pytest.raises(ValueRefused, match="expected_uuid"):
        parse_part(column, unquote("%7Bid%7D").encode())  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [("17",), ("",), ("a~b", "%7E", ""), ("ü /", "~", "\x00\n")])
def test_what_is_written_is_read(key):
    assert read_key(write_key(key)) == key
