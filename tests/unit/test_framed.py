"""Parts keep their borders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.framed import framed

pytestmark = pytest.mark.unit

PARTS = st.lists(st.binary(max_size=6), max_size=4)


@given(PARTS, PARTS)
def test_other_parts_are_other_bytes(one: list[bytes], other: list[bytes]) -> None:
    assert (framed(*one) == framed(*other)) == (one == other)


def test_borders_count() -> None:
    assert framed(b"ab", b"c") != framed(b"a", b"bc")
    assert framed(b"abc") != framed(b"abc", b"")
