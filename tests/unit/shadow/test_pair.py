"""What two answers to one question say about the two sides."""

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest

from benchmarks.shadow.rows import changed, drawn_rows, respelt, text_of
from catalog.column import Column
from routes import resources
from routes.resource import Resource
from shadow.difference import Difference, Kind
from shadow.pair import Answer, Comparison, Reason, Result, compare
from shadow.shape import By, Shape

pytestmark = pytest.mark.unit

ALL = [pytest.param(resource, id=resource.path) for resource in resources()]
[ORDERS] = [resource for resource in resources() if resource.path == "/lab-orders"]
ROUNDS = 12


def shape(resource: Resource, *, listed: bool = True, **more: Any) -> Shape:
    return Shape(
        columns=resource.columns(staff=True), key=resource.asset.key, listed=listed, **more
    )


def answer(body: Any, dice: Random | None = None, **headers: str) -> Answer:
    raw = text_of(body, dice or Random(0))
    return Answer(status=200, headers={"content-type": "application/json", **headers}, body=raw)


def page(rows: list[Any], next_: str | None = None) -> dict[str, Any]:
    return {"items": rows, "next": next_}


def rows(resource: Resource, count: int, seed: int = 1) -> list[dict[str, Any]]:
    return drawn_rows(resource.columns(staff=True), resource.asset.key, count, Random(seed))


def kinds(found: Comparison) -> list[tuple[Kind, str]]:
    return [(one.kind, one.path) for one in found.differences]


# --- the same


@pytest.mark.parametrize("resource", ALL)
def test_the_same_rows_spelt_otherwise_match(resource: Resource) -> None:
    for seed in range(ROUNDS):
        dice = Random(seed)
        own = rows(resource, dice.randint(0, 20), seed)
        other = [respelt(resource.columns(staff=True), row, dice) for row in own]
        dice.shuffle(other)
        found = compare(shape(resource), answer(page(own), dice), answer(page(other), dice))
        assert (found.result, kinds(found)) == (Result.MATCH, [])
        if own:
            item = compare(
                shape(resource, listed=False), answer(own[0], dice),
                answer(respelt(resource.columns(staff=True), own[0], dice), dice),
            )  # fmt: skip
            assert item.result is Result.MATCH


# --- one real change


@pytest.mark.parametrize("resource", ALL)
def test_one_real_change_is_found_and_nothing_else(resource: Resource) -> None:
    columns = resource.columns(staff=True)
    for seed, column in enumerate(columns):
        if column.target in resource.asset.key:
            continue
        dice = Random(seed)
        own = rows(resource, 5, seed)
        other = [respelt(columns, row, dice) for row in own]
        hit = dice.randrange(5)
        other[hit][column.target] = changed(column, own[hit][column.target], dice)
        found = compare(shape(resource), answer(page(own), dice), answer(page(other), dice))
        assert found.result is Result.MISMATCH
        named = {one.column.target for one in found.differences if one.column is not None}
        assert named == {column.target}
        keys = {one.row for one in found.differences}
        assert keys == {tuple(str(own[hit][name]) for name in resource.asset.key)}


def test_a_column_that_one_side_lacks() -> None:
    [row] = rows(ORDERS, 1)
    less = {name: value for name, value in row.items() if name != "priority"}
    of = shape(ORDERS, listed=False)
    assert kinds(compare(of, answer(row), answer(less))) == [(Kind.MISSING, "priority")]
    assert kinds(compare(of, answer(less), answer(row))) == [(Kind.EXTRA, "priority")]


def test_a_member_that_nobody_has_declared_leaves_no_name() -> None:
    [row] = rows(ORDERS, 1)
    found = compare(
        shape(ORDERS, listed=False), answer(row), answer({**row, "Zebulon Quickwater": 1})
    )
    assert kinds(found) == [(Kind.EXTRA, "*")]


def test_members_that_nobody_has_declared_are_compared_all_the_same() -> None:
    [row] = rows(ORDERS, 1)
    of = shape(ORDERS, listed=False)
    one, other = {**row, "Zebulon": {"a": [1]}}, {**row, "Zebulon": {"a": [2]}}
    assert compare(of, answer(one), answer(one)).result is Result.MATCH
    assert kinds(compare(of, answer(one), answer(other))) == [(Kind.VALUE, "*.*[0]")]
    assert kinds(compare(of, answer(one), answer(row))) == [(Kind.MISSING, "*")]


def test_null_and_absent_are_the_same_where_it_is_declared() -> None:
    [row] = rows(ORDERS, 1)
    row["test_name"] = None
    less = {name: value for name, value in row.items() if name != "test_name"}
    columns = ORDERS.columns(staff=True)
    lenient = tuple(
        replace(c, absent_is_null=True) if isinstance(c, Column) else c for c in columns
    )
    of = shape(ORDERS, listed=False)
    assert kinds(compare(of, answer(row), answer(less))) == [(Kind.MISSING, "test_name")]
    of = replace(of, columns=lenient)
    assert compare(of, answer(row), answer(less)).result is Result.MATCH
    found = compare(of, answer({**row, "test_name": "x"}), answer(less))
    assert kinds(found) == [(Kind.MISSING, "test_name")]


def test_a_path_into_json_shows_declared_members_alone() -> None:
    [submissions] = [r for r in resources() if r.path == "/submissions"]
    [row] = rows(submissions, 1)
    row |= {"answers": {"Zebulon": [1, {"x": 1}]}, "guardian": {"name": "a", "phone": None}}
    other = {**row, "answers": {"Zebulon": [1, {"x": 2}]}, "guardian": {"name": "b", "phone": None}}
    found = compare(shape(submissions, listed=False), answer(row), answer(other))
    assert sorted(kinds(found)) == [
        (Kind.VALUE, "answers.*[1].*"),
        (Kind.VALUE, "guardian.name"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "kind", "path"),
    [
        ([1, 2], [1, 2, 3], Kind.LENGTH, "vendor_payload"),
        ([1, 2], [2, 1], Kind.ORDER, "vendor_payload"),
        ([1, 2], [1, 3], Kind.VALUE, "vendor_payload[1]"),
        ({"a": 1}, {"a": "1"}, Kind.TYPE, "vendor_payload.*"),
        ({"a": 1}, {"b": 1}, Kind.MISSING, "vendor_payload.*"),
        ({"a": 1}, [1], Kind.TYPE, "vendor_payload"),
        ({"a": 1}, None, Kind.VALUE, "vendor_payload"),
    ],
)
def test_the_kinds_inside_json(one: Any, other: Any, kind: Kind, path: str) -> None:
    [row] = rows(ORDERS, 1)
    left, right = {**row, "vendor_payload": one}, {**row, "vendor_payload": other}
    found = compare(shape(ORDERS, listed=False), answer(left), answer(right))
    assert (kind, path) in kinds(found)


def test_tags_have_no_order() -> None:
    [row] = rows(ORDERS, 1)
    of = shape(ORDERS, listed=False)

    def found(one: list[str], other: list[str]) -> list[tuple[Kind, str]]:
        return kinds(compare(of, answer({**row, "tags": one}), answer({**row, "tags": other})))

    assert found(["a", "b", "b"], ["b", "a", "b"]) == []
    assert found(["a", "b"], ["b", "c"]) == [(Kind.VALUE, "tags[]")]
    assert found(["a"], ["a", "a"]) == [(Kind.LENGTH, "tags")]


# --- rows


def test_a_row_on_one_side_only_is_one_difference() -> None:
    own = rows(ORDERS, 5)
    for less in (own[1:], own[:-1], [*own[:2], *own[3:]]):
        assert kinds(compare(shape(ORDERS), answer(page(own)), answer(page(less)))) == [(Kind.VISIBILITY, "items[]")]  # fmt: skip
        assert kinds(compare(shape(ORDERS), answer(page(less)), answer(page(own)))) == [(Kind.VISIBILITY, "items[]")]  # fmt: skip


def in_order(count: int, *, descending: bool = False) -> list[dict[str, Any]]:
    """By creation, the key deciding between the two that were made at once."""
    found = rows(ORDERS, count)
    for number, row in enumerate(sorted(found, key=lambda row: UUID(row["id"]))):
        row["created_at"] = f"2026-01-01T00:00:{max(number, 1):02d}Z"
    return sorted(found, key=lambda r: (r["created_at"], UUID(r["id"])), reverse=descending)


def by_creation(*, descending: bool) -> Shape:
    order = (By("created_at", descending), By("id", descending))
    return shape(ORDERS, order=order, limit=10)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("ahead", [1, 2])
def test_what_is_pushed_onto_the_next_page_is_no_difference(ahead: int, descending: bool) -> None:
    own = in_order(12, descending=descending)
    one, other = page(own[ahead : 10 + ahead], "n"), page(own[:10], "m")
    for left, right in ((one, other), (other, one)):
        found = compare(by_creation(descending=descending), answer(left), answer(right))
        assert [one.row for one in found.differences] == [(row["id"],) for row in own[:ahead]]
        assert {one.kind for one in found.differences} == {Kind.VISIBILITY}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("lost", [0, 4, 9])
def test_a_row_that_is_lost_from_a_full_page_pulls_another_one_in(
    lost: int, descending: bool
) -> None:
    """Also the last one: the page ends with another row, but one is lost."""
    own = in_order(11, descending=descending)
    less = [*own[:lost], *own[lost + 1 :]]
    of = by_creation(descending=descending)
    for left, right in ((own[:10], less), (less, own[:10])):
        found = compare(of, answer(page(left, "n")), answer(page(right, "m")))
        assert [one.row for one in found.differences] == [(own[lost]["id"],)]


def test_one_more_and_one_less_are_two() -> None:
    own = in_order(12)
    left, right = own[1:11], [own[0], *own[1:5], *own[6:11]]
    found = compare(
        by_creation(descending=False), answer(page(left, "n")), answer(page(right, "m"))
    )
    assert sorted(one.row for one in found.differences) == sorted(
        [(own[0]["id"],), (own[5]["id"],)]
    )


def test_the_end_of_a_page_that_is_not_full_is_no_tail() -> None:
    own = in_order(6)
    found = compare(by_creation(descending=False), answer(page(own[:5])), answer(page(own[1:])))
    assert len(found.differences) == 2


def test_behind_a_null_or_a_text_nothing_is_certain() -> None:
    own = rows(ORDERS, 11)
    for number, row in enumerate(own):
        row["test_name"] = None if number < 2 else f"n{number:02d}"
    of = shape(ORDERS, order=(By("test_name"), By("id")), limit=10)
    found = compare(of, answer(page(own[:10], "n")), answer(page(own[1:], "m")))
    assert len(found.differences) == 2


def test_rows_that_are_alike_come_in_any_order() -> None:
    own = rows(ORDERS, 4)
    for row, priority in zip(own, (2, 1, 1, 0), strict=True):
        row["priority"] = priority
    swapped = [own[0], own[2], own[1], own[3]]
    moved = [own[1], own[0], own[2], own[3]]

    def found(others: list[Any], *order: str) -> list[tuple[Kind, str]]:
        of = shape(ORDERS, order=tuple(map(By, order)))
        return kinds(compare(of, answer(page(own)), answer(page(others))))

    assert found(swapped, "priority") == []
    assert found(moved, "priority") == [(Kind.ORDER, "items")]
    assert found(swapped, "priority", "id") == [(Kind.ORDER, "items")]
    assert found(moved) == []


def test_a_row_shown_twice() -> None:
    own = rows(ORDERS, 3)
    of = shape(ORDERS)
    assert kinds(compare(of, answer(page(own)), answer(page([*own, own[0]])))) == [(Kind.EXTRA, "items[]")]  # fmt: skip
    assert kinds(compare(of, answer(page([*own, own[0]])), answer(page(own)))) == [(Kind.MISSING, "items[]")]  # fmt: skip


def test_one_side_ends_the_list() -> None:
    own = rows(ORDERS, 3)
    assert kinds(compare(shape(ORDERS), answer(page(own, "n")), answer(page(own)))) == [(Kind.MISSING, "next")]  # fmt: skip
    assert compare(shape(ORDERS), answer(page(own, "n")), answer(page(own, "m"))).result is Result.MATCH  # fmt: skip


# --- statuses and bodies


def refusal(status: int, code: str = "") -> Answer:
    return Answer(status=status, body=json.dumps({"code": code}).encode() if code else b"")


ROW = answer(rows(ORDERS, 1)[0])


@pytest.mark.parametrize(
    ("primary", "candidate", "expected"),
    [
        (ROW, refusal(404), (Kind.VISIBILITY, "")),
        (refusal(404), ROW, (Kind.VISIBILITY, "")),
        (refusal(403), ROW, (Kind.VISIBILITY, "")),
        (ROW, refusal(400, "invalid_query"), (Kind.STATUS, "status")),
        (refusal(400, "a"), refusal(404, "a"), (Kind.STATUS, "status")),
        (refusal(400, "a"), refusal(400, "b"), (Kind.ERROR_CLASS, "code")),
        (refusal(400, "a"), refusal(400), (Kind.ERROR_CLASS, "code")),
        (ROW, Answer(status=200, headers=ROW.headers, body=ROW.body[:-1]), (Kind.UNREADABLE, "")),
        (ROW, Answer(status=200, headers=ROW.headers, body=b'{"id":1,"id":2}'), (Kind.UNREADABLE, "")),
        (ROW, Answer(status=200, headers=ROW.headers, body=b'{"id":NaN}'), (Kind.UNREADABLE, "")),
        (ROW, Answer(status=200, headers=ROW.headers, body=b"\xff"), (Kind.UNREADABLE, "")),
        (ROW, Answer(status=200, headers=ROW.headers, body=b"[" * 100_000), (Kind.UNREADABLE, "")),
        (ROW, Answer(status=206, headers=ROW.headers, body=ROW.body), (Kind.STATUS, "status")),
        (ROW, Answer(status=200, headers={"content-type": "text/html"}, body=ROW.body), (Kind.HEADER, "content-type")),
        (ROW, Answer(status=200, headers={**ROW.headers, "etag": '"x"'}, body=ROW.body), (Kind.HEADER, "etag")),
    ],
)  # fmt: skip
def test_answers_of_different_kinds(
    primary: Answer, candidate: Answer, expected: tuple[Kind, str]
) -> None:
    found = compare(shape(ORDERS, listed=False), primary, candidate)
    assert (found.result, kinds(found)) == (Result.MISMATCH, [expected])


@pytest.mark.parametrize(
    ("primary", "candidate"),
    [
        (refusal(404, "a"), refusal(404, "a")),
        (refusal(400), refusal(400)),
        (Answer(status=400, body=b"<html>"), Answer(status=400, body=b"<html lang='en'>")),
    ],
)
def test_the_same_refusal_is_a_match(primary: Answer, candidate: Answer) -> None:
    assert compare(shape(ORDERS, listed=False), primary, candidate).result is Result.MATCH


@pytest.mark.parametrize("status", [401, 408, 429, 499, 500, 502, 503, 504])
def test_a_side_that_failed_is_neither_match_nor_mismatch(status: int) -> None:
    of = shape(ORDERS, listed=False)
    for primary, candidate, reason in (
        (ROW, refusal(status), Reason.CANDIDATE_FAILED),
        (refusal(status), ROW, Reason.PRIMARY_FAILED),
        (refusal(status), refusal(status), Reason.PRIMARY_FAILED),
    ):
        found = compare(of, primary, candidate)
        assert (found.result, found.reason) == (Result.INCONCLUSIVE, reason)


def test_a_primary_that_makes_no_sense_is_not_the_candidates_fault() -> None:
    broken = Answer(status=200, body=b"{}")
    found = compare(shape(ORDERS), broken, answer(page([])))
    assert (found.result, found.reason) == (Result.INCONCLUSIVE, Reason.PRIMARY_FAILED)


# --- what is counted, and what is not shown


def test_values_are_counted_by_member() -> None:
    own = rows(ORDERS, 7)
    found = compare(shape(ORDERS), answer(page(own)), answer(page(own)))
    assert set(found.fields.values()) == {7}
    assert set(found.fields) == {c.target for c in ORDERS.columns(staff=True)}
    assert not compare(shape(ORDERS), answer(page([])), answer(page([]))).fields


def test_a_difference_does_not_show_its_values() -> None:
    one = Difference(kind=Kind.VALUE, path="x", row=("key",), left="secret", right=Decimal("4711"))
    assert not {"key", "secret", "4711"} & set(
        repr(one).replace("'", " ").replace(")", " ").split()
    )
    assert "secret" not in repr(Answer(status=200, body=b"secret"))


def test_the_rows_that_tests_draw_use_every_type() -> None:
    seen = Counter(c.type for r in resources() for c in r.columns(staff=True))
    assert len(seen) >= 12
