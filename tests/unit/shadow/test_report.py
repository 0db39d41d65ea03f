"""Counts of many processes and hours become a verdict for each route, each column, and the whole."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from catalog.stage import Side
from routes import resources
from routes.match import match
from shadow.difference import Kind
from shadow.durations import Durations
from shadow.pair import Reason, Result
from shadow.report import Report, RouteReport, Sums, exposed
from shadow.report import report as judged_report
from shadow.tally import Counted, Tally
from shadow.verdict import WHOLE, Outcome, Why

pytestmark = pytest.mark.unit

LIST, ITEM = "/v2/lab-orders", "/v2/lab-orders/{key}"
FIELDS = ("currency", "status", "tags")
CLEAN = Counted(result=Result.MATCH, fields=frozenset(FIELDS))
WRONG = Counted(
    result=Result.MISMATCH,
    fields=frozenset(FIELDS),
    kinds=frozenset({("currency", Kind.VALUE), ("currency", Kind.TYPE)}),
)
LOST = Counted(result=Result.MISMATCH, kinds=frozenset({(WHOLE, Kind.VISIBILITY)}))
SILENT = Counted(result=Result.INCONCLUSIVE, reason=Reason.CANDIDATE_FAILED)


@dataclass(frozen=True, kw_only=True)
class Slot:
    route: str = LIST
    release: str = "r1"
    candidate: str = "service"
    noise: bool = False
    document: dict[str, Any]


def slot(
    clean: int = 0,
    *others: Counted,
    primary: Sequence[float] = (),
    candidate_took: Sequence[float] = (),
    **values: Any,
) -> Slot:
    tally, times = Tally(), (Durations(), Durations())
    tally.add_equal(FIELDS, clean)
    for one in others:
        tally.add(one)
    for found, seconds in zip(times, (primary, candidate_took), strict=True):
        for each in seconds:
            found.add(each)
    document = {
        "tally": tally.document(),
        "primary": times[0].classes,
        "candidate": times[1].classes,
    }
    return Slot(document=json.loads(json.dumps(document)), **values)


def report(counts: Sequence[Slot], **values: Any) -> Report:
    sums = Sums()
    for one in counts:
        sums.add(one)
    return judged_report(sums, **values)


def of(made: Report, route: str, candidate: Side = Side.SERVICE) -> RouteReport:
    [found] = [one for one in made.routes if (one.route, one.candidate) == (route, candidate)]
    return found


def everything(clean: int, **values: Any) -> list[Slot]:
    return [slot(clean, route=one.route, **values) for one in exposed()]


def test_what_is_exposed_is_what_paths_match() -> None:
    found = {}
    for resource in resources():
        path = resource.collection_path.replace("{id}", "x").encode()
        for each in (path, path + b"/y"):
            matched = match(each)
            if matched is not None and not (resource.nested and each != path):
                found[matched.pattern] = matched.entity
    assert {one.route: one.entity for one in exposed()} == found
    assert len(exposed()) == len(found)


def test_without_traffic_every_route_is_there_and_nothing_passes() -> None:
    made = report([])
    assert [one.route for one in made.routes] == [one.route for one in exposed()]
    assert {(one.verdict.outcome, one.verdict.why) for one in made.routes} == {
        (Outcome.INSUFFICIENT, Why.NO_TRAFFIC)
    }
    assert (made.overall, made.releases) == (Outcome.INSUFFICIENT, ())
    assert not any(one.used for one in made.routes)
    assert of(made, LIST).primary.p50 is None


def test_slots_of_many_processes_add_up() -> None:
    made = report([slot(1_000), slot(1_000, WRONG), slot(2_000, SILENT), slot(5, route=ITEM)])
    found = of(made, LIST)
    assert (found.pairs, found.mismatches, found.inconclusive) == (
        4_001, 1, {"candidate_failed": 1},
    )  # fmt: skip
    assert of(made, ITEM).pairs == 5
    assert found.used


def test_the_whole_passes_if_every_route_does() -> None:
    assert report(everything(3_000)).overall is Outcome.PASS
    one_missing = everything(3_000)[1:]
    assert report(one_missing).overall is Outcome.INSUFFICIENT
    assert report([*one_missing, slot(0, *[WRONG] * 9, route=exposed()[0].route)]).overall is Outcome.FAIL  # fmt: skip


def test_of_some_routes_alone() -> None:
    orders = [one for one in exposed() if one.entity == "lab_orders"]
    made = report([slot(3_000), slot(3_000, route=ITEM)], of=orders)
    assert [one.route for one in made.routes] == [LIST, ITEM]
    assert made.overall is Outcome.PASS


def test_a_threshold_decides() -> None:
    found = [slot(300)]
    assert of(report(found), LIST).verdict.outcome is Outcome.INSUFFICIENT
    assert of(report(found, threshold=0.01), LIST).verdict.outcome is Outcome.PASS


def test_columns_come_worst_first_with_their_kinds() -> None:
    found = of(report([slot(100, *[WRONG] * 50)]), LIST)
    assert [one.name for one in found.fields] == ["currency", WHOLE, "status", "tags"]
    assert found.fields[0].kinds == {"value": 50, "type": 50}
    assert found.fields[0].judged.outcome is Outcome.FAIL
    assert found.fields[1].kinds == {}
    assert (found.verdict.outcome, found.verdict.why) == (Outcome.FAIL, Why.RATE)


def test_an_ignored_column_is_counted_and_shown_and_does_not_decide() -> None:
    counts = [slot(0, *[WRONG] * 3_000)]
    found = of(report(counts, ignored={"lab_orders.currency"}), LIST)
    assert found.verdict.outcome is Outcome.PASS
    last = found.fields[-1]
    assert (last.name, last.ignored, last.decides) == ("currency", True, False)
    assert (last.judged.counts.wrong, last.judged.rate) == (3_000, 1.0)
    assert found.mismatches == 3_000
    elsewhere = of(report(counts, ignored={"appointments.currency"}), LIST)
    assert elsewhere.verdict.outcome is Outcome.FAIL


def test_a_column_that_the_catalog_keeps_out_is_marked() -> None:
    kept_out = Counted(
        result=Result.MATCH,
        fields=frozenset(FIELDS),
        kinds=frozenset({("tags", Kind.VALUE)}),
        undecided=frozenset({"tags"}),
    )
    found = of(report([slot(0, *[kept_out] * 3_000)]), LIST)
    assert found.verdict.outcome is Outcome.PASS
    assert [(one.name, one.judged.counts.wrong) for one in found.fields if one.undecided] == [
        ("tags", 3_000)
    ]


def test_noise_is_shown_and_taken_off_whichever_side_was_the_candidate() -> None:
    service = slot(100_000, *[WRONG] * 20)
    noise = [slot(50_000, *[WRONG] * 10, noise=True, candidate=side) for side in Side]
    assert of(report([service]), LIST).verdict.outcome is Outcome.PASS
    loud = slot(10_000, *[WRONG] * 100)
    for by, outcome in (([], Outcome.FAIL), ([slot(10_000, *[WRONG] * 100, noise=True)], Outcome.INSUFFICIENT)):  # fmt: skip
        assert of(report([loud, *by]), LIST).verdict.outcome is outcome
    found = of(report([service, *noise]), LIST)
    assert (found.noise_pairs, found.noise_mismatches) == (100_020, 20)
    [currency] = [one for one in found.fields if one.name == "currency"]
    assert (currency.judged.counts.noise_wrong, currency.judged.rate) == (20, 0.0)
    assert currency.noise_kinds == {"value": 20, "type": 20}
    assert found.pairs == 100_020, "noise is no pair of the candidate's"


def test_the_two_directions_are_apart_and_the_whole_is_of_the_service() -> None:
    reverse = slot(0, *[WRONG] * 100, candidate="legacy")
    made = report([*everything(3_000), reverse])
    assert of(made, LIST).verdict.outcome is Outcome.PASS
    assert of(made, LIST, Side.LEGACY).verdict.outcome is Outcome.FAIL
    assert made.overall is Outcome.PASS
    assert len(made.routes) == len(exposed()) + 1
    only_reverse = report([reverse])
    assert of(only_reverse, LIST).verdict.why is Why.NO_TRAFFIC


def test_a_row_that_one_side_alone_shows_fails_the_route_even_where_columns_are_ignored() -> None:
    found = of(report([slot(5_000, LOST)], ignored={"lab_orders."}), LIST)
    assert (found.verdict.why, found.visibility) == (Why.VISIBILITY, 1)


def test_latencies_of_both_sides() -> None:
    made = report(
        [slot(1, primary=[0.010] * 99, candidate_took=[0.001] * 50), slot(1, primary=[1.0])]
    )
    found = of(made, LIST)
    assert (found.primary.count, found.other.count) == (100, 50)
    assert found.primary.p50 == pytest.approx(0.010, rel=0.3)
    assert found.other.p99 == pytest.approx(0.001, rel=0.3)


def test_what_cannot_be_counted_is_said() -> None:
    strange = [
        slot(3_000, route="/v1/of-old"),
        Slot(document={}),
        Slot(document={"tally": {"pairs": 1}, "primary": [], "candidate": []}),
        Slot(document={**slot(3_000).document, "primary": [1, 2]}),
        Slot(document={**slot(3_000).document, "tally": {**slot().document["tally"], "kinds": [["a", "of_tomorrow", 1]]}}),
    ]  # fmt: skip
    made = report(strange)
    assert (dict(made.unknown), made.unreadable) == ({"/v1/of-old": 1}, 4)
    assert not of(made, LIST).used


def test_releases_are_named() -> None:
    assert report([slot(1, release="r2"), slot(1), slot(1, release="r2")]).releases == ("r1", "r2")
