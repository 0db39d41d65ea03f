"""The table of header names says what `lower()` says."""

import pytest

from runtime.headernames import LOWER

pytestmark = pytest.mark.unit


def test_each_is_its_own_lower_case_and_has_no_underscore() -> None:
    assert [name for name, lower in LOWER.items() if name.lower() != lower] == []
    assert [name for name in LOWER if b"_" in name] == []
    assert {b"Authorization", b"authorization", b"ETag", b"x-correlation-id"} <= LOWER.keys()
