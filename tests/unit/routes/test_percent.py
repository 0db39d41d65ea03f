"""Percent-encoding has one reading, or none."""

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routes.percent import decode
from routes.value import ValueRefused

pytestmark = pytest.mark.unit


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
@settings(deadline=None)
def test_what_was_encoded_comes_back(text):
    assert decode(quote(text, safe="").encode()) == text


@pytest.mark.parametrize(
    ("part", "text"), [(b"a+b", "a+b"), (b"%c3%A9", "é"), (b"%2525", "%25"), (b"", "")]
)
def test_one_decoding_and_no_more(part, text):
    assert decode(part) == text


@pytest.mark.parametrize(
    ("part", "code"),
    [
        *(
            (part, "broken_percent_escape")
            for part in (b"%", b"%4", b"%zz", b"a%4g", b"%%41", b"%\xc3\xa9")
        ),
        *((part, "not_utf8") for part in (b"%ff", b"\xff", b"%c3", b"%ed%a0%80", b"%c0%af")),
        *((part, "nul_byte") for part in (b"%00", b"a\x00b")),
    ],
)
def test_refusals(part, code):
    with pytest.raises(ValueRefused) as refused:
        decode(part)
    assert refused.value.code == code


@given(st.binary())
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(part):
    try:
        text = decode(part)
    except ValueRefused:
        return
    assert decode(quote(text, safe="").encode()) == text
