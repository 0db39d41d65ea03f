"""A cursor goes on with the query that it was made for, and nothing else passes for one."""

import base64
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routes.cursor import CursorRefused, read_cursor, write_cursor

pytestmark = pytest.mark.unit

KEY = b"0123456789abcdef0123456789abcdef"
POSITION = ("2025-03-30T01:00:00+00:00", None, "6f9619ff-8b86-d011-b42d-00cf4fc964ff")
ALPHABET = string.ascii_letters + string.digits + "-_"


def refusal(text: str, fingerprint: str = "query", key: bytes = KEY) -> str:
    with pytest.raises(CursorRefused) as refused:
        read_cursor(text, fingerprint, key)
    assert str(refused.value) == refused.value.code
    return refused.value.code


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(
    st.lists(st.none() | texts, max_size=6).map(tuple), texts, st.binary(min_size=32, max_size=64)
)
@settings(deadline=None)
def test_round_trip(position, fingerprint, key):
    text = write_cursor(position, fingerprint, key)
    assert set(text) <= set(ALPHABET)
    assert read_cursor(text, fingerprint, key) == position


def test_equal_positions_have_equal_cursors():
    assert write_cursor(POSITION, "query", KEY) == write_cursor(POSITION, "query", KEY)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_every_change_of_a_character_is_refused(length):
    """At each of base64's three endings, where the last character holds bits that mean nothing."""
    cursor = write_cursor(("a" * length,), "query", KEY)
    for place, kept in enumerate(cursor):
        for other in ALPHABET:
            if other != kept:
                assert refusal(cursor[:place] + other + cursor[place + 1 :]) == "invalid_cursor"


@pytest.mark.parametrize("length", [1, 2, 3])
def test_what_base64_would_overlook_is_refused(length):
    cursor = write_cursor(("a" * length,), "query", KEY)
    padding = "=" * (-len(cursor) % 4)
    changed = [
        *(cursor[:-n] for n in range(1, len(cursor) + 1)),
        *(cursor + tail for tail in ("A", "=", "==", "\n", " ", "é", "&", padding + "=")),
        *(head + cursor for head in ("A", " ", "\n")),
        cursor[:10] + "\n" + cursor[10:],
        cursor[:10] + "." + cursor[10:],
        cursor.swapcase(),
    ]
    if padding:
        changed.append(cursor + padding)
    assert {refusal(text) for text in changed} == {"invalid_cursor"}


def test_the_standard_alphabet_is_not_ours():
    for n in range(200):
        cursor = write_cursor((str(n),), "query", KEY)
        other = cursor.replace("-", "+").replace("_", "/")
        if other != cursor:
            assert refusal(other) == "invalid_cursor"
            return
    pytest.fail("no cursor with one of the two characters")


def test_a_cursor_of_another_query_is_told_so():
    cursor = write_cursor(POSITION, "query", KEY)
    assert refusal(cursor, fingerprint="another") == "cursor_of_another_query"


def test_a_cursor_under_another_key_is_refused():
    cursor = write_cursor(POSITION, "query", KEY)
    assert refusal(cursor, key=KEY[::-1]) == "invalid_cursor"


def test_a_cursor_too_long_to_be_ours_is_refused():
    cursor = write_cursor(("a" * 5000,), "query", KEY)
    assert refusal(cursor) == "invalid_cursor"


def test_nothing_of_the_query_can_be_read_in_it():
    raw = base64.urlsafe_b64decode(write_cursor(("1",), "secret filter", KEY) + "==")
    assert b"secret" not in raw


@given(st.text(max_size=200))
@settings(deadline=None)
def test_hostile_texts_are_refused(text):
    assert refusal(text) == "invalid_cursor"
