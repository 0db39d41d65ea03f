"""Pairs are counted by column, each once, however many rows of it differ."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from benchmarks.shadow.rows import drawn_rows, text_of
from catalog.column import Compare
from routes import resources
from shadow.pair import Answer, Comparison, Reason, Result, compare
from shadow.shape import Shape
from shadow.tally import Tally, counted
from shadow.verdict import WHOLE, Outcome, Why, route_verdict

pytestmark = pytest.mark.unit

[ORDERS] = [resource for resource in resources() if resource.path == "/lab-orders"]
COLUMNS = ORDERS.columns(staff=True)
SHAPE = Shape(columns=COLUMNS, key=ORDERS.asset.key, listed=True)
ROWS = drawn_rows(COLUMNS, ORDERS.asset.key, 4, Random(1))


def pair(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> Comparison:
    one, other = (
        Answer(status=200, body=text_of({"items": found, "next": None}, Random(2)))
        for found in (rows, others)
    )
    return compare(SHAPE, one, other)


def changed(**values: Any) -> list[dict[str, Any]]:
    return [{**row, **values} for row in ROWS]


CLEAN = pair(ROWS, ROWS)
FAILED = Comparison(result=Result.INCONCLUSIVE, reason=Reason.CANDIDATE_FAILED)


def tallied(*found: Comparison) -> Tally:
    tally = Tally()
    for one in found:
        tally.add(counted(one))
    return tally


def test_a_pair_counts_once_for_a_column() -> None:
    wrong = pair(changed(currency="EUR"), changed(currency="USD"))
    tally = tallied(CLEAN, wrong, FAILED)
    assert (tally.pairs, tally.mismatches, dict(tally.wrong)) == (2, 1, {"currency": 1})
    assert tally.compared["currency"] == tally.compared[WHOLE] == 2
    assert dict(tally.inconclusive) == {"candidate_failed": 1}
    route = tally.route()
    assert (route.fields["currency"].pairs, route.fields["currency"].wrong) == (2, 1)
    assert route.fields["status"].wrong == 0


def test_an_empty_page_says_nothing_about_columns() -> None:
    tally = tallied(pair([], []))
    assert dict(tally.compared) == {WHOLE: 1}


@pytest.mark.parametrize(
    ("clean", "outcome"), [(0, Outcome.INSUFFICIENT), (200, Outcome.INSUFFICIENT), (3_000, Outcome.PASS)]
)  # fmt: skip
def test_so_many_clean_pairs(clean: int, outcome: Outcome) -> None:
    assert route_verdict(tallied(*[CLEAN] * clean, *[FAILED] * 50).route()).outcome is outcome


def test_one_column_that_is_always_wrong() -> None:
    wrong = pair(changed(currency="EUR"), changed(currency="USD"))
    found = route_verdict(tallied(*[wrong] * 2_000).route())
    assert (found.outcome, found.fields["currency"].outcome) == (Outcome.FAIL, Outcome.FAIL)
    assert found.fields["currency"].rate == 1.0


def test_what_is_ignored_does_not_decide_and_stays_counted() -> None:
    wrong = pair(changed(currency="EUR"), changed(currency="USD"))
    tally = tallied(*[wrong] * 3_000)
    found = route_verdict(tally.route(ignored={"currency"}))
    assert found.outcome is Outcome.PASS
    assert tally.wrong["currency"] == 3_000


def test_a_row_that_is_lost_decides_at_once() -> None:
    found = route_verdict(tallied(*[CLEAN] * 5_000, pair(ROWS, ROWS[1:])).route())
    assert (found.outcome, found.why) == (Outcome.FAIL, Why.VISIBILITY)


def test_noise_of_the_same_column_is_taken_off() -> None:
    wrong = pair(changed(currency="EUR"), changed(currency="USD"))
    noise = tallied(*[CLEAN] * 100_000, *[wrong] * 20)
    tally = tallied(*[CLEAN] * 100_000, *[wrong] * 20)
    assert route_verdict(tally.route(noise=noise)).outcome is Outcome.PASS


def test_a_column_that_the_catalog_keeps_out_makes_no_mismatch() -> None:
    columns = tuple(replace(c, compare=Compare.IGNORED) if c.target == "currency" else c for c in COLUMNS)  # fmt: skip
    of = replace(SHAPE, columns=columns)
    one, other = (
        Answer(status=200, body=text_of({"items": changed(currency=word), "next": None}, Random(1)))
        for word in ("EUR", "USD")
    )
    found = compare(of, one, other)
    assert (found.result, len(found.differences)) == (Result.MATCH, len(ROWS))
    tally = tallied(*[found] * 3_000)
    assert (tally.mismatches, tally.wrong["currency"]) == (0, 3_000)
    assert route_verdict(tally.route()).outcome is Outcome.PASS


def test_equal_pairs_are_added_at_once() -> None:
    tally, one_by_one = Tally(), tallied(*[CLEAN] * 7)
    tally.add_equal([column.target for column in COLUMNS], 7)
    assert tally.document() == one_by_one.document()


def test_a_tally_comes_back_from_its_document_and_adds_up() -> None:
    wrong = pair(changed(currency="EUR"), changed(currency="USD"))
    one, two = tallied(CLEAN, wrong, FAILED), tallied(pair(ROWS, ROWS[1:]), FAILED)
    stored = Tally.of(json.loads(json.dumps(one.document())))
    assert stored.document() == one.document()
    stored.merge(two)
    assert (
        stored.document() == tallied(CLEAN, wrong, FAILED, pair(ROWS, ROWS[1:]), FAILED).document()
    )
    assert stored.route().visibility == 1
