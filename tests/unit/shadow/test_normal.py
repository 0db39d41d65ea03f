"""Two spellings of one value have one normal form; two values never do."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from catalog.column import Column, Compare, Type
from shadow.normal import normal

pytestmark = pytest.mark.unit


def column(type_: Type, **more: Any) -> Column:
    return Column(source="x", target="x", type=type_, **more)


ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
TAGS = column(Type.TEXT_ARRAY, compare=Compare.UNORDERED)
SAME = [
    (column(Type.UUID), ID, ID.upper()),
    (column(Type.NUMERIC), Decimal("12.10"), Decimal("12.1")),
    (column(Type.NUMERIC), Decimal("12.0"), 12),
    (column(Type.NUMERIC), Decimal("-0.0"), 0),
    (column(Type.REAL), Decimal("36.6"), Decimal("36.599998")),
    (column(Type.REAL), 0, Decimal("-0.0")),
    (column(Type.TIMESTAMPTZ), "2026-03-29T00:30:00Z", "2026-03-29T01:30:00.000+01:00"),
    (column(Type.TIMESTAMPTZ), "2026-03-29T00:30:00.1+00:00", "2026-03-29T00:30:00.100000Z"),
    (column(Type.TIMESTAMPTZ, places=3), "2026-03-29T00:30:00.123456Z", "2026-03-29T00:30:00.123Z"),
    (column(Type.JSONB), {"a": 1, "b": [Decimal("1.50")]}, {"b": [Decimal("1.5")], "a": Decimal("1.0")}),
    (TAGS, ["a", "b", "a"], ["b", "a", "a"]),
    (column(Type.TIMESTAMPTZ), "infinity", "infinity"),
]  # fmt: skip
OTHER = [
    (column(Type.UUID), ID, ID[:-1] + "e"),
    (column(Type.BIGINT), 2**53, 2**53 + 1),
    (column(Type.BIGINT), 1, Decimal("1.0")),
    (column(Type.INTEGER), 1, True),
    (column(Type.INTEGER), 0, None),
    (column(Type.NUMERIC), Decimal("0.1"), Decimal("0.10000000000000000555")),
    (column(Type.NUMERIC), Decimal("1"), "1"),
    (column(Type.REAL), Decimal("36.6"), Decimal("36.61")),
    (column(Type.TIMESTAMPTZ), "2026-03-29T00:30:00Z", "2026-03-29T00:30:00.000001Z"),
    (column(Type.TIMESTAMPTZ), "2026-03-29T00:30:00Z", "2026-03-29T00:30:00"),
    (column(Type.TIMESTAMPTZ), "infinity", "-infinity"),
    (column(Type.DATE), "2024-02-29", "2024-02-28"),
    (column(Type.TEXT), "a", "a "),
    (column(Type.TEXT), "\u00e9", "e\u0301"),
    (column(Type.TEXT), "", None),
    (column(Type.JSONB), {"a": None}, {}),
    (column(Type.JSONB), [1, 2], [2, 1]),
    (column(Type.JSONB), {"a": True}, {"a": 1}),
    (TAGS, ["a", "a", "b"], ["a", "b", "b"]),
    (replace(TAGS, compare=Compare.VALUE), ["a", "b"], ["b", "a"]),
]  # fmt: skip


@pytest.mark.parametrize(("of", "one", "other"), SAME)
def test_spellings_of_one_value(of: Column, one: Any, other: Any) -> None:
    assert normal(of, one) == normal(of, other)


@pytest.mark.parametrize(("of", "one", "other"), OTHER)
def test_different_values(of: Column, one: Any, other: Any) -> None:
    assert normal(of, one) != normal(of, other)


def test_what_no_reader_makes_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        normal(column(Type.JSONB), [1.5])
    assert normal(TAGS, "a") == ("text", "a")


@pytest.mark.parametrize("type_", list(Type))
@pytest.mark.parametrize("value", [None, True, 7, Decimal("1.5"), "text", [1], {"a": 1}, 10**300, Decimal("1e300")])  # fmt: skip
def test_whatever_stands_there_has_a_form_that_equals_itself(type_: Type, value: Any) -> None:
    values = {"a": "a"} if type_ is Type.ENUM else {}
    of = column(type_, values=values)
    assert normal(of, value) == normal(of, value)
    assert hash(normal(of, value)) is not None
