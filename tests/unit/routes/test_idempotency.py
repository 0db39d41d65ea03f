"""The header is one Structured Field string; the key of a row follows from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routes.idempotency import (
    fingerprinted,
    read_idempotency_key,
    row_id,
    write_idempotency_key,
)
from routes.refused import IdempotencyKeyInvalid

pytestmark = pytest.mark.unit


def test_no_header_is_no_key():
    assert read_idempotency_key(()) is None


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b'"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b'\t "a b" ', "a b"),
        (rb'"a\"b\\c"', r"a\"b\c".replace(r"\"", '"')),
        (b'"' + b"x" * 255 + b'"', "x" * 255),
    ],
)
def test_what_is_taken(value, key):
    assert read_idempotency_key([value]) == key


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b'""'],
        [b"8e03978e"],
        [b'"a'],
        [b'"a" "b"'],
        [b'"a", "b"'],
        [b'"a";x=1'],
        [b'"\\n"'],
        [b'"\x7f"'],
        ['"é"'.encode()],
        [b'"' + b"x" * 256 + b'"'],
        [b'"a"', b'"a"'],
        [b'"a"\n'],
    ],
)
def test_what_is_refused(values):
    with pytest.raises(IdempotencyKeyInvalid):
        read_idempotency_key(values)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=255))
def test_a_key_that_is_written_reads_the_same(key):
    assert read_idempotency_key([write_idempotency_key(key)]) == key


def test_a_row_id_belongs_to_one_entity_user_and_key():
    ids = {
        row_id(entity, sub, key)
        for entity in ("lab_orders", "submissions")
        for sub in ("a", "ab")
        for key in ("c", "bc", "1:c")
    }
    assert len(ids) == 12
    assert row_id("lab_orders", "a", "c") == row_id("lab_orders", "a", "c")
    assert row_id("lab_orders", "a", "c").version == 5


parts = st.tuples(st.text("ab:1", max_size=3), st.text("ab:1", max_size=3))


@given(parts, parts)
def test_lengths_keep_parts_apart(one, other):
    assert (row_id("x", *one) == row_id("x", *other)) == (one == other)
    first, second = (fingerprinted("POST", a.encode(), b.encode(), b"") for a, b in (one, other))
    assert (first == second) == (one == other)
