"""Bodies have one meaning, or are refused by a stable word."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routes.json_body import DEEPEST, BodyRefused, canonical_json, read_object, write_json

pytestmark = pytest.mark.unit


def refusal(raw: bytes) -> str:
    with pytest.raises(BodyRefused) as refused:
        read_object(raw)
    return refused.value.code


def test_numbers_keep_their_digits():
    raw = b'{"a":12.50,"b":9007199254740993,"c":1e2,"d":-0.0000001}'
    found = read_object(raw)
    assert found == {
        "a": Decimal("12.50"),
        "b": 9007199254740993,
        "c": Decimal("1E+2"),
        "d": Decimal("-1E-7"),
    }
    assert write_json(found["a"]) == "12.50"
    assert read_object(write_json(found).encode()) == found


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b'{"a":-Infinity}', "not_json"),
        (b"{'a':1}", "not_json"),
        (b'{"a":1}{"a":1}', "not_json"),
        (b'\xef\xbb\xbf{"a":1}', "not_json"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b"[]", "expected_an_object"),
        (b"null", "expected_an_object"),
        (b'{"a":1,"a":1}', "repeated_member"),
        (b'{"x":{"a":1,"b":2,"a":1}}', "repeated_member"),
        (b'{"a":"\\u0000"}', "text_that_cannot_be_stored"),
        (b'{"a":["\\ud800"]}', "text_that_cannot_be_stored"),
        (b'{"\\u0000":1}', "text_that_cannot_be_stored"),
        (b'{"a":1e999999999}', "number_too_long"),
        (b'{"a":1e-999999999}', "number_too_long"),
        (b'{"a":' + b"9" * 500 + b"}", "number_too_long"),
        (b'{"a":0.' + b"9" * 500 + b"}", "number_too_long"),
        (b'{"a":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", "too_deep"),
        (b'{"a":' + b"[" * 100_000, "not_json"),
    ],
)
def test_what_is_refused(raw, code):
    assert refusal(raw) == code


def test_the_deepest_that_is_taken():
    inner = b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1)
    assert "a" in read_object(b'{"a":' + inner + b"}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_the_canonical_form_does_not_depend_on_the_order(value):
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
