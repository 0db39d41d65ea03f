"""What is kept of a difference holds no value, and still tells equal ones."""

import hashlib
import json
from dataclasses import asdict
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from benchmarks.shadow.rows import changed, drawn, drawn_rows, respelt
from catalog.column import Type
from routes import resources
from shadow.difference import Difference, Kind
from shadow.evidence import Evidence, evidence
from shadow.normal import normal, normal_text
from shadow.pair import Answer, compare
from shadow.row import row_differences
from shadow.shape import Shape

pytestmark = pytest.mark.unit

ALL = [pytest.param(resource, id=resource.path) for resource in resources()]
[SUBMISSIONS] = [resource for resource in resources() if resource.path == "/submissions"]


def tag(entity: str, field: str, text: str) -> str:
    return "k1:" + hashlib.sha256(f"{entity}/{field}/{text}".encode()).hexdigest()[:32]


def _of(column: Any) -> Shape:
    return Shape(columns=(column,), key=(), listed=False)


def of(name: str, left: Any, right: Any) -> Evidence:
    """The one difference of a submission's column."""
    columns = SUBMISSIONS.columns(staff=True)
    [column] = [c for c in columns if c.target == name]
    [found] = row_differences(_of(column), {name: left}, {name: right})
    return evidence("submissions", found, tag, "row")


def test_equal_values_are_seen_as_equal_whatever_their_spelling() -> None:
    one = of("family_name", "Quickwater", "Other")
    two = of("family_name", "Other", "Quickwater")
    assert one.left.tag == two.right.tag != one.right.tag == two.left.tag
    assert one.left.tag.startswith("k1:")
    assert (one.left.type, one.left.length) == ("text", "8-31")
    assert of("given_name", "Quickwater", "Other").left.tag != one.left.tag


@pytest.mark.parametrize("resource", ALL)
def test_spellings_have_one_text(resource: Any) -> None:
    columns, dice = resource.columns(staff=True), Random(3)
    for row in drawn_rows(columns, resource.asset.key, 20, dice):
        other = respelt(columns, row, dice)
        for column in columns:
            one, two = normal(column, row[column.target]), normal(column, other[column.target])
            assert normal_text(one) == normal_text(two)


def test_different_values_have_different_texts() -> None:
    dice = Random(5)
    for resource in resources():
        for column in resource.columns(staff=True):
            value = drawn(column, dice)
            other = changed(column, value, dice)
            assert normal_text(normal(column, value)) != normal_text(normal(column, other))


def test_columns_of_few_values_leave_no_tag() -> None:
    for resource in resources():
        for column in resource.columns(staff=True):
            if not (column.low_entropy or column.type in (Type.BOOLEAN, Type.ENUM)):
                continue
            dice = Random(1)
            value = drawn(column, dice)
            other = changed(column, value, dice)
            name = column.target
            for found in row_differences(_of(column), {name: value}, {name: other}):
                kept = evidence(resource.entity, found, tag, "")
                assert (kept.left.tag, kept.right.tag) == ("", "")
                assert "k1:" not in json.dumps(asdict(kept))


def test_in_json_texts_alone_leave_a_tag() -> None:
    assert of("answers", {"a": "long enough"}, {"a": "other"}).left.tag
    for one, other in ((1, 2), (True, False), (Decimal("1.5"), 2), ({"b": 1}, "text"), ([1], {"a": 1})):  # fmt: skip
        assert of("answers", {"a": one}, {"a": other}).left.tag == ""


def test_of_a_header_its_type_alone_is_kept() -> None:
    header = Difference(kind=Kind.HEADER, path="etag", left='"secret"', right="")
    kept = evidence("submissions", header, tag, "")
    assert (kept.left.type, kept.left.tag, kept.left.said) == ("text", "", "")


@pytest.mark.parametrize("code", ["Zebulon Quickwater", "", 7, ["not_found"]])
def test_a_code_that_is_none_of_ours_is_not_said(code: Any) -> None:
    of_all = Shape(columns=SUBMISSIONS.columns(staff=True), key=("id",), listed=False)
    ours = Answer(status=404, body=b'{"code": "not_found"}')
    theirs = Answer(status=404, body=json.dumps({"code": code}).encode())
    [found] = compare(of_all, ours, theirs).differences
    kept = evidence("submissions", found, tag, "")
    assert (kept.left.said, kept.right.said) == ("not_found", "no code of ours")


def test_statuses_and_lengths_are_said() -> None:
    status = Difference(kind=Kind.STATUS, path="status", left=200, right=500)
    kept = evidence("submissions", status, tag, "")
    assert (kept.left.said, kept.right.said) == ("200", "500")
    assert of("answers", [1], [1, 2]).right.said == "2"


@pytest.mark.parametrize(
    ("text", "length"), [("", "0"), ("a", "1-7"), ("a" * 8, "8-31"), ("a" * 127, "32-127"), ("a" * 128, "128+")]
)  # fmt: skip
def test_a_length_is_a_class(text: str, length: str) -> None:
    assert of("notes" if "notes" in SUBMISSIONS.asset.by_target else "family_name", text, "zz" * 40).left.length == length  # fmt: skip


def test_no_value_is_in_what_is_kept() -> None:
    """Markers in every place of a row that holds text."""
    dice = Random(9)
    for resource in resources():
        columns = resource.columns(staff=True)
        for column in columns:
            mark = f"Zebulon{dice.getrandbits(32)}"
            values = {
                Type.JSONB: {mark: [mark, {mark: mark}]},
                Type.TEXT_ARRAY: [mark],
            }
            left = values.get(column.type, mark)
            other = {Type.JSONB: {mark: [mark + "x"], "b": mark}, Type.TEXT_ARRAY: [mark + "x"]}
            right = other.get(column.type, mark + "x")
            name = column.target
            differences = list(row_differences(_of(column), {name: left}, {name: right}))
            assert differences
            for found in differences:
                kept = json.dumps(asdict(evidence(resource.entity, found, tag, "")))
                assert mark not in kept
                assert mark not in repr(found)
