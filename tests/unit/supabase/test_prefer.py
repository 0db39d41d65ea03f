"""The Prefer header."""

import pytest

from sandbox.supabase.errors import RestError
from sandbox.supabase.prefer import parse

pytestmark = pytest.mark.unit


def test_the_first_of_each_counts_over_all_lines() -> None:
    found = parse(["return=minimal, count=exact", "return=representation,max-affected=5"])
    assert (found.returning, found.count, found.max_affected) == ("minimal", "exact", 5)


def test_what_was_applied_comes_in_a_fixed_order() -> None:
    found = parse(
        ["max-affected=3, timezone=UTC, handling=strict, tx=rollback, count=exact,"
         " return=representation, missing=default, resolution=merge-duplicates"]
    )  # fmt: skip
    assert found.applied("insert") == (
        "resolution=merge-duplicates, missing=default, return=representation, count=exact,"
        " handling=strict, timezone=UTC"
    )
    assert found.applied("delete") == (
        "return=representation, count=exact, handling=strict, timezone=UTC, max-affected=3"
    )
    assert found.applied("read") == "count=exact, handling=strict, timezone=UTC"


def test_max_affected_needs_strict() -> None:
    assert parse(["max-affected=3"]).applied("delete") == ""


def test_unknown_ones_matter_only_under_strict() -> None:
    parse(["anything, count=some"]).refuse_unknown()
    with pytest.raises(RestError) as refused:
        parse(["handling=strict", "anything, count=some, tx=commit"]).refuse_unknown()
    assert refused.value.code == "PGRST122"
    assert refused.value.details == "Invalid preferences: anything, count=some"
