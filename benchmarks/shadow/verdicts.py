"""What a report says of traffic whose truth is known: real pairs of every route, compared, counted, stored as JSON, read and judged."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from random import Random
from typing import Any

from benchmarks.claim import Claim
from benchmarks.shadow.rows import changed, drawn_rows, respelt, text_of
from benchmarks.size import Size
from catalog.stage import Side
from routes import resources
from routes.problem import PROBLEMS
from routes.resource import Resource
from runtime.shadowstore import Count
from shadow.durations import Durations
from shadow.pair import Answer, compare
from shadow.report import Exposed, Report, Sums, exposed, report
from shadow.shape import Shape
from shadow.tally import Tally, counted
from shadow.verdict import Outcome

TOPIC = "shadow"
_PROCESSES = 2
_FEW = 200
_ENOUGH = 3_000
_SEEN_ONCE_IN = 100_000
_ENTITY, _COLUMN = "lab_orders", "currency"
"""What is always wrong, in the answers of its item route."""
_WRONG_ROUTE = "/v2/lab-orders/{key}"
_MOST_OVERALL = 0.0005
_SAID_NOTHING = (401, 408, 425, 429, 500, 502, 503, 504)
_REFUSALS = tuple(
    code for code, problem in sorted(PROBLEMS.items()) if problem.status in (400, 403, 404)
)

Answers = tuple[Answer, Answer]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """`document`: of a tally, as JSON text; `values`: how many were compared, of which `wrong` differed."""

    document: str
    pairs: int
    values: int
    wrong: int


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was counted of one route, by what its traffic was like."""

    route: Exposed
    few: Traffic
    clean: Traffic
    wrong: Traffic
    failed: Traffic
    refused: Traffic
    hidden: Traffic


async def run(size: Size) -> AsyncIterator[Claim]:
    """Needs nothing but processors."""
    entities = {one.entity for one in resources()}
    of = [
        one for one in exposed() if one.entity in size.of(entities, {_ENTITY, "partner_checkins"})
    ]
    wrong, most_rows = size.of(2_000, 100), size.of(16, 4)
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        seen = await asyncio.gather(
            *(loop.run_in_executor(pool, _seen, one, wrong, most_rows) for one in of)
        )
    for claim in _claims(seen):
        yield claim


# --- real pairs


def _seen(route: Exposed, wrong: int, most_rows: int) -> Seen:
    asked = _Asked(route, Random(f"verdicts {route.route}"), most_rows)
    few, clean = asked.few_and_clean()
    return Seen(
        route=route,
        few=few,
        clean=clean,
        wrong=asked.traffic(wrong, asked.wrong) if route.route == _WRONG_ROUTE else clean,
        failed=asked.traffic(_ENOUGH, asked.failed),
        refused=asked.traffic(_ENOUGH, asked.refused),
        hidden=asked.traffic(1, asked.hidden),
    )


class _Asked:
    """Requests of one route, as staff ask them."""

    def __init__(self, route: Exposed, dice: Random, most_rows: int) -> None:
        self._listed = not route.route.endswith("/{key}")
        self._resource = _resource(route)
        self._columns = self._resource.columns(staff=True)
        self._dice = dice
        self._most_rows = most_rows if self._listed else 1
        key = self._resource.asset.key
        self._shape = Shape(columns=self._columns, key=key, listed=self._listed)

    def few_and_clean(self) -> tuple[Traffic, Traffic]:
        """The first of the clean pairs, and all of them."""
        few = self.traffic(_FEW, self.clean)
        return few, _both(few, self.traffic(_ENOUGH - _FEW, self.clean))

    def traffic(self, pairs: int, answers: Callable[[], Answers]) -> Traffic:
        tally, values, wrong = Tally(), 0, 0
        for _ in range(pairs):
            found = compare(self._shape, *answers())
            tally.add(counted(found))
            values += sum(found.fields.values())
            wrong += len(found.differences)
        text = json.dumps(tally.document())
        return Traffic(document=text, pairs=pairs, values=values, wrong=wrong)

    def clean(self) -> Answers:
        rows = self._rows()
        return self._answer(rows), self._answer(self._respelt(rows))

    def wrong(self) -> Answers:
        rows = self._rows()
        others = self._respelt(rows)
        [column] = [one for one in self._columns if one.target == _COLUMN]
        others[0][_COLUMN] = changed(column, rows[0][_COLUMN], self._dice)
        return self._answer(rows), self._answer(others)

    def failed(self) -> Answers:
        """One side or both have no answer."""
        rows, status = self._rows(), self._dice.choice(_SAID_NOTHING)
        sides = [self._answer(rows), Answer(status=status), Answer(status=status)]
        at = self._dice.randrange(3)
        return sides[at], sides[at - 1]

    def refused(self) -> Answers:
        """Both refuse alike."""
        code = self._dice.choice(_REFUSALS)
        body = json.dumps({"code": code}).encode()
        one = Answer(status=PROBLEMS[code].status, body=body)
        return one, one

    def hidden(self) -> Answers:
        """The candidate lacks a row."""
        rows = self._rows()
        if not self._listed:
            return self._answer(rows), Answer(status=404)
        return self._answer(rows), self._answer(self._respelt(rows[1:]))

    def _rows(self) -> list[dict[str, Any]]:
        count = self._dice.randint(1, self._most_rows)
        return drawn_rows(self._columns, self._resource.asset.key, count, self._dice)

    def _respelt(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        found = [respelt(self._columns, row, self._dice) for row in rows]
        self._dice.shuffle(found)
        return found

    def _answer(self, rows: Sequence[Mapping[str, Any]]) -> Answer:
        body = {"items": rows, "next": None} if self._listed else rows[0]
        return Answer(
            status=200,
            headers={"content-type": "application/json"},
            body=text_of(body, self._dice),
        )


def _resource(route: Exposed) -> Resource:
    path = route.route.removesuffix("/{key}")
    [found] = [one for one in resources() if one.collection_path == path]
    return found


def _both(one: Traffic, other: Traffic) -> Traffic:
    tally = Tally.of(json.loads(one.document))
    tally.merge(Tally.of(json.loads(other.document)))
    return Traffic(
        document=json.dumps(tally.document()),
        pairs=one.pairs + other.pairs,
        values=one.values + other.values,
        wrong=one.wrong + other.wrong,
    )


# --- reports


def _reported(traffic: Iterable[tuple[Exposed, Traffic]], of: Sequence[Exposed]) -> Report:
    """As `banyan shadow report` makes one of what gateways have stored."""
    sums = Sums()
    for route, one in traffic:
        sums.add(_count(route, one))
    return report(sums, of=of)


def _count(route: Exposed, traffic: Traffic) -> Count:
    return Count(
        slot=datetime.fromtimestamp(0, UTC),
        writer="benchmark",
        release="benchmark",
        route=route.route,
        candidate=Side.SERVICE.value,
        noise=False,
        document={
            "tally": json.loads(traffic.document),
            "primary": Durations().classes,
            "candidate": Durations().classes,
        },
    )


def _outcomes(found: Report) -> list[Outcome]:
    """Of every route, and the whole."""
    return [*(one.verdict.outcome for one in found.routes), found.overall]


def _hidden_once(seen: Sequence[Seen], at: Seen) -> Report:
    """Every route with its clean pairs over and over; one of them has the one difference as well."""
    times = _SEEN_ONCE_IN // _ENOUGH + 1
    clean = [(one.route, one.clean) for one in seen for _ in range(times)]
    return _reported([*clean, (at.route, at.hidden)], [one.route for one in seen])


def _claims(seen: Sequence[Seen]) -> list[Claim]:
    of = [one.route for one in seen]
    how = (
        f"{len(of)} routes, lists and items of {len({one.entity for one in of})} resources; rows drawn by the columns' types, the candidate's spelt"
        " otherwise; compared (shadow.pair), counted (shadow.tally), written and read as JSON, added up and judged (shadow.report)"
    )
    clean = [(one.route, one.clean) for one in seen]
    few = _outcomes(_reported([(one.route, one.few) for one in seen], of))
    enough = _outcomes(_reported(clean, of))
    nothing = _outcomes(_reported([], of))
    failed = _outcomes(_reported([(one.route, one.failed) for one in seen], of))
    refused = _outcomes(_reported([(one.route, one.refused) for one in seen], of))
    return [
        _claim(f"verdicts: {_FEW} clean requests of each route that are not insufficient", few, {Outcome.INSUFFICIENT}, how),
        _claim(f"verdicts: {_ENOUGH:,} clean requests of each route that do not pass", enough, {Outcome.PASS}, how),
        _one_field(seen, how),
        _claim(
            "verdicts: no traffic, or no answer but errors, that passes", [*nothing, *failed], {Outcome.INSUFFICIENT, Outcome.FAIL},
            f"no pair at all; {_ENOUGH:,} pairs of each route in which one side or both said {', '.join(map(str, _SAID_NOTHING))}; {how}",
        ),
        _claim(
            "verdicts: nothing but refusals, equal on both sides, that passes", refused, {Outcome.INSUFFICIENT, Outcome.FAIL},
            f"{_ENOUGH:,} pairs of each route, both sides with the same 400, 403 or 404: no row was compared; {how}",
        ),
        _seen_once(seen, how),
    ]  # fmt: skip


def _claim(claim: str, found: Sequence[Outcome], right: set[Outcome], how: str) -> Claim:
    wrong = sum(one not in right for one in found)
    return Claim(
        topic=TOPIC, claim=claim, value=wrong, unit="verdicts, the whole's included", target="0", ok=not wrong, n=len(found), how=how
    )  # fmt: skip


def _one_field(seen: Sequence[Seen], how: str) -> Claim:
    of = [one.route for one in seen]
    traffic = [one.wrong for one in seen]
    share = sum(one.wrong for one in traffic) / sum(one.values for one in traffic)
    found = _reported(zip(of, traffic, strict=True), of)
    [route] = [one for one in found.routes if one.route == _WRONG_ROUTE]
    failed = [one.name for one in route.fields if one.judged.outcome is Outcome.FAIL]
    others = [one.verdict.outcome for one in found.routes if one is not route]
    right = (
        failed == [_COLUMN],
        route.verdict.outcome is Outcome.FAIL,
        found.overall is Outcome.FAIL,
        set(others) == {Outcome.PASS},
        share <= _MOST_OVERALL,
    )
    pairs = next(one.wrong.pairs for one in seen if one.route.route == _WRONG_ROUTE)
    return Claim(
        topic=TOPIC, claim="verdicts: one field always wrong fails its column, its route and the whole, at so few values overall",
        value=round(100 * share, 4), unit="% of all values", target=f"<= {100 * _MOST_OVERALL:g}, and fail", ok=all(right), n=pairs,
        how=f"{_ENTITY}.{_COLUMN} in each of {pairs} pairs of {_WRONG_ROUTE}; the other {len(others)} routes have {_ENOUGH:,} clean pairs each and"
        f" must pass; columns that fail: {', '.join(failed) or 'none'}, route {route.verdict.outcome}, whole {found.overall}; {how}",
    )  # fmt: skip


def _seen_once(seen: Sequence[Seen], how: str) -> Claim:
    reports = [(one.route.route, _hidden_once(seen, one)) for one in seen]
    outcomes = [
        outcome
        for at, found in reports
        for outcome in (
            next(one.verdict.outcome for one in found.routes if one.route == at),
            found.overall,
        )
    ]
    return _claim(
        f"verdicts: a row that one side alone shows, once in {_SEEN_ONCE_IN:,} clean pairs, that passes", outcomes,
        {Outcome.INSUFFICIENT, Outcome.FAIL},
        f"in each route in turn: the {_ENOUGH:,} clean pairs {_SEEN_ONCE_IN // _ENOUGH + 1} times over in every route, and one pair in which the candidate"
        f" lacks a row, or says 404; {how}",
    )  # fmt: skip
