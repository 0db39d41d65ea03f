"""What one side being a moment behind looks like is told from what is different."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from benchmarks.shadow.rows import drawn_rows, text_of
from routes import resources
from shadow.difference import Kind
from shadow.finding import MOST, Finding, findings
from shadow.lag import certain, persisting
from shadow.pair import Answer, compare
from shadow.shape import By, Shape

pytestmark = pytest.mark.unit

[ORDERS] = [resource for resource in resources() if resource.path == "/lab-orders"]
COLUMNS = ORDERS.columns(staff=True)
LIST = Shape(columns=COLUMNS, key=ORDERS.asset.key, listed=True, stamp="updated_at")
ITEM = replace(LIST, listed=False)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WINDOW = 5.0


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


ROWS = [
    {**row, "updated_at": ago(3600)} for row in drawn_rows(COLUMNS, ORDERS.asset.key, 3, Random(1))
]


def tag(entity: str, field: str, text: str) -> str:
    return f"k1:{field}:{text}"


def seal(key: tuple[str, ...]) -> bytes:
    return b"sealed"


def found(
    rows: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], shape: Shape = LIST
) -> tuple[Finding, ...]:
    one, other = (
        Answer(status=200, body=text_of({"items": list(some), "next": None}, Random(2)))
        for some in (rows, others)
    )
    return findings("lab_orders", compare(shape, one, other), tag, tag, seal)


def item(row: dict[str, Any], other: dict[str, Any], **headers: str) -> tuple[Finding, ...]:
    one = Answer(status=200, body=text_of(row, Random(2)))
    two = Answer(status=200, body=text_of(other, Random(3)), headers=headers)
    return findings("lab_orders", compare(ITEM, one, two), tag, tag, seal)


def changed(seconds: float, **values: Any) -> list[dict[str, Any]]:
    return [{**ROWS[0], **values, "updated_at": ago(seconds)}, *ROWS[1:]]


def sure(some: Sequence[Finding]) -> bool:
    return certain(some, NOW.timestamp(), WINDOW)


def stands(first: Sequence[Finding], second: Sequence[Finding]) -> list[Kind]:
    return [one.evidence.kind for one in persisting(first, second, NOW.timestamp(), WINDOW)]


OLD = changed(3600, currency="EUR")
WRONG = changed(3600, currency="USD")


def test_rows_that_have_been_the_same_for_long_are_certain() -> None:
    assert sure(found(OLD, WRONG))
    assert found(OLD, WRONG)[0].changed_at == (NOW - timedelta(hours=1)).timestamp()


@pytest.mark.parametrize("seconds", [-60, 0, 4.9])
def test_a_row_that_was_changed_lately_on_either_side_is_not(seconds: float) -> None:
    assert not sure(found(OLD, changed(seconds, currency="USD")))
    assert not sure(found(changed(seconds, currency="USD"), OLD))
    assert not sure(item(OLD[0], changed(seconds, currency="USD")[0], etag='"1"'))


def test_no_row_that_is_shown_on_one_side_alone_is_certain_however_old() -> None:
    assert not sure(found(ROWS, ROWS[1:]))


def test_without_a_stamp_nothing_is_certain() -> None:
    assert not sure(found(OLD, WRONG, replace(LIST, stamp="")))
    assert not sure(found([{**OLD[0], "updated_at": "soon"}], [{**WRONG[0], "updated_at": "soon"}]))


def test_order_and_end_of_a_list_are_dated_by_nothing() -> None:
    ordered = replace(LIST, order=(By("id"),))
    assert [one.evidence.kind for one in found(ROWS, ROWS[::-1], ordered)] == [Kind.ORDER]
    assert not sure(found(ROWS, ROWS[::-1], ordered))


def test_what_the_code_does_is_no_matter_of_time() -> None:
    one, two = Answer(status=400, body=b"{}"), Answer(status=409, body=b"{}")
    status = findings("lab_orders", compare(LIST, one, two), tag, tag, seal)
    assert [one.evidence.kind for one in status] == [Kind.STATUS]
    assert sure(status)
    typed = item(
        {**ROWS[0], "updated_at": ago(0)},
        {**ROWS[0], "updated_at": ago(0)},
        **{"content-type": "x"},
    )
    assert [one.evidence.path for one in typed] == ["content-type"]
    assert sure(typed)


def test_the_second_reading_keeps_what_was_there_the_first_time() -> None:
    gone = found(ROWS, ROWS[1:])
    assert stands(gone, gone) == [Kind.VISIBILITY]
    assert stands(gone, found(ROWS, ROWS[:-1])) == []
    assert stands(gone, ()) == []


def test_the_second_reading_keeps_what_is_certain_by_then() -> None:
    assert stands(found(OLD, changed(1, currency="USD")), found(OLD, WRONG)) == [Kind.VALUE]


def test_a_row_that_was_changed_once_more_says_nothing() -> None:
    hot = found(OLD, changed(1, currency="USD"))
    assert stands(hot, hot) == []


def test_a_row_that_has_come_meanwhile_on_one_side_says_nothing() -> None:
    come = [*ROWS, {**ROWS[0], "id": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "updated_at": ago(1)}]
    assert stands(found(ROWS, come), found(ROWS, come)) == []


def test_of_many_findings_every_kind_and_column_has_one() -> None:
    many = drawn_rows(COLUMNS, ORDERS.asset.key, 90, Random(7))
    others = [{**row, "currency": "EUR" if row["currency"] == "USD" else "USD"} for row in many]
    others[-1] = {**others[-1], "status": "?", "updated_at": ago(0)}
    some = found(many, others)
    assert len(some) == MOST
    assert some[0].evidence.path in ("items[].status", "items[].updated_at", "items[].currency")
    assert {one.evidence.field for one in some} >= {"currency", "status"}
    assert {one.key for one in some} == {b"sealed"}
    assert {one.evidence.row for one in some} <= {f"k1:key:{row['id']}" for row in many}
