"""A description that would lose data is refused where it is written, with the cure."""

from typing import Any

import pytest

from catalog.column import CatalogError, Column, Merge, Only, Type
from catalog.conversion import MINOR_UNITS

pytestmark = pytest.mark.unit

TWO = {"a": "x", "b": "y"}
ONE = {"a": "x", "b": "x"}


def column(**words: Any) -> Column:
    return Column(source="old", target="new", **words)


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ({"type": Type.ENUM}, "`values` and the type ENUM go together"),
        ({"type": Type.TEXT, "values": TWO}, "`values` and the type ENUM go together"),
        ({"type": Type.ENUM, "values": ONE}, "say why in `lossy`"),
        ({"type": Type.ENUM, "values": TWO, "sort": True}, "drop it or the conversion"),
        ({"type": Type.BIGINT, "convert": MINOR_UNITS, "sort": True}, "drop it or the conversion"),
        ({"type": Type.ENUM, "values": TWO, "convert": MINOR_UNITS}, "one of"),
        ({"type": Type.ENUM, "values": TWO, "padded": True}, "one of"),
        ({"type": Type.BIGINT, "convert": MINOR_UNITS, "padded": True}, "one of"),
        *(({"type": type_, "sort": True}, "drop `sort`") for type_ in (Type.TEXT, Type.REAL)),
        *(
            ({"type": type_, "filter": True}, "drop `filter`")
            for type_ in (Type.JSONB, Type.REAL, Type.TEXT_ARRAY)
        ),
    ],
)
def test_contradictions_are_refused(words, cure):
    with pytest.raises(CatalogError) as refused:
        column(**words)
    assert str(refused.value).startswith("old: ")
    assert cure in str(refused.value)


def test_two_words_may_become_one_with_a_reason():
    assert column(type=Type.ENUM, values=ONE, lossy="they mean the same").lossy


@pytest.mark.parametrize(
    "type_", [Type.UUID, Type.BIGINT, Type.NUMERIC, Type.DATE, Type.TIMESTAMPTZ]
)
def test_what_sorts_alike_everywhere_may_sort(type_):
    assert column(type=type_, sort=True, filter=True).sort


@pytest.mark.parametrize(
    ("sources", "parts"), [(("a", "b"), ("x",)), (("a",), ("x", "y")), (("a", "b"), ("x", "x"))]
)
def test_a_merge_needs_a_part_of_its_own_for_each_source(sources, parts):
    with pytest.raises(CatalogError, match="one distinct part per source"):
        Merge(sources=sources, parts=parts, target="new")


def test_what_is_left_behind_has_its_reason():
    with pytest.raises(CatalogError, match="say why"):
        Only(source="old", lossy="")
    assert Only(source="old", lossy="nobody reads it").sources == ("old",)
