"""Tags: equal values are seen as equal, and nothing else is seen."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.keyring import UnknownKey
from runtime.tagger import Likeness, Tagger, likeness
from tests.fakes.keys import keyring

pytestmark = pytest.mark.unit

TAGGER = Tagger(keyring("e1"))
NAME = "Zoe Nunez"


def test_the_same_value_of_the_same_field_has_the_same_tag() -> None:
    one, other = (Tagger(keyring("e1")).tag("lab_orders", "note", NAME) for _ in range(2))
    assert likeness(one, other) is Likeness.EQUAL
    assert likeness(one, TAGGER.tag("lab_orders", "note", "else")) is Likeness.DIFFERENT


WORDS = st.text(max_size=5)
PLACES = st.tuples(WORDS, WORDS, WORDS)


@given(PLACES, PLACES)
def test_other_fields_do_not_link(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Nor do parts whose borders have moved."""
    assert (TAGGER.tag(*one) == TAGGER.tag(*other)) == (one == other)


def test_it_is_hmac_sha256_over_parts_with_their_lengths() -> None:
    """Written out once more, so that no rebuild changes what stored tags mean."""
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in (b"a", b"b", "ü".encode()))
    expected = hmac.new(keyring("e1").newest_key, parts, hashlib.sha256).hexdigest()
    assert TAGGER.tag("a", "b", "ü").hex == expected[:32]


def test_across_keys_nobody_knows() -> None:
    old = TAGGER.tag("lab_orders", "note", NAME)
    rotated = Tagger(keyring("e2", "e1"))
    new = rotated.tag("lab_orders", "note", NAME)
    assert (old.key_id, new.key_id) == ("e1", "e2")
    assert old.hex != new.hex
    assert likeness(old, new) is Likeness.UNKNOWN
    again = rotated.tag("lab_orders", "note", NAME, key_id=old.key_id)
    assert likeness(old, again) is Likeness.EQUAL
    with pytest.raises(UnknownKey, match="e2"):
        TAGGER.tag("lab_orders", "note", NAME, key_id=new.key_id)


def test_without_the_key_a_dictionary_finds_nothing() -> None:
    tag = TAGGER.tag("lab_orders", "note", NAME).hex
    guesses = {hashlib.sha256(NAME.encode()).hexdigest()[:32]}
    guesses |= {Tagger(keyring(f"x{n}")).tag("lab_orders", "note", NAME).hex for n in range(100)}
    assert tag not in guesses
    assert len(bytes.fromhex(tag)) * 8 >= 128


def test_no_value_and_no_key_shows() -> None:
    tag = TAGGER.tag("lab_orders", "note", NAME)
    assert "Zoe" not in repr(tag) + str(tag) + repr(TAGGER)
    assert "**" not in repr(TAGGER)
