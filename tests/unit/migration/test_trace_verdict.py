"""What became of a write, from lines of every kind."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.stage import Side
from migration.trace.timeline import CONTROL, LEGACY, Findings, Line, What, timeline
from migration.trace.verdict import LOST, SOLVED, WON, Measure, State, Write, writes

pytestmark = pytest.mark.unit

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVICE = "service diagnostics"
LOG = "log mirror"


def at(ms: float) -> datetime:
    return START + timedelta(milliseconds=ms)


def line(what: What, ms: float, where: str = LOG, word: str = "", **members: Any) -> Line:
    known = {"entity": "lab_orders", "key": "k1", "origin": Side.LEGACY, "intent": "i1"}
    return Line(at=at(ms), where=where, what=what, word=word, **(known | members))


def copy(
    where: str, ms: float, *, stamp: float = 10, committed: bool = True, **members: Any
) -> Line:
    what = members.pop("what", What.ROW)
    return line(what, ms, where, updated_at=at(stamp), committed=committed, **members)


def verdict(*lines: Line) -> Write:
    [write] = writes(timeline(Findings(lines=list(lines))).lines)
    return write


ANNOUNCED = line(What.ANNOUNCED, 0)
CLOSED = line(What.CLOSED, 20, word="applied")
REFUSED = line(What.CLOSED, 20, word="not_applied")
SETTLED = line(What.SETTLED, 90)
HERE, THERE = copy(LEGACY, 12), copy(SERVICE, 62)
RECORDED = line(What.RECORDED, 11, SERVICE, updated_at=at(10))
PUBLISHED = line(What.PUBLISHED, 30, SERVICE)
POISON = line(What.DIVERGED, 40, CONTROL, "quarantined", facts={"reason": "23514"})


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([ANNOUNCED, CLOSED, HERE, THERE, SETTLED], State.SETTLED),
        ([HERE, THERE], State.SETTLED),
        ([ANNOUNCED, CLOSED, SETTLED], State.SETTLED),
        (
            [copy(LEGACY, 12, what=What.TOMBSTONE), copy(SERVICE, 62, what=What.TOMBSTONE)],
            State.SETTLED,
        ),
        ([ANNOUNCED, CLOSED, HERE], State.OPEN),
        ([ANNOUNCED, HERE, THERE], State.OPEN),
        ([line(What.OPEN, 5, CONTROL, "unknown"), HERE, THERE], State.OPEN),
        ([line(What.OPEN, 5, CONTROL, "unknown"), SETTLED, HERE, THERE], State.SETTLED),
        ([ANNOUNCED, SETTLED, line(What.ANNOUNCED, 1, intent="i2"), HERE], State.OPEN),
        ([RECORDED, HERE], State.OPEN),
        ([RECORDED, PUBLISHED, HERE], State.ALONE),
        ([HERE], State.ALONE),
        ([HERE, copy(SERVICE, 62, stamp=9)], State.ALONE),
        ([RECORDED, PUBLISHED], State.GONE),
        ([ANNOUNCED, REFUSED, SETTLED], State.REFUSED),
        ([ANNOUNCED, REFUSED], State.REFUSED),
        ([ANNOUNCED, REFUSED, HERE], State.OPEN),
        ([ANNOUNCED, CLOSED, HERE, POISON], State.DIVERGED),
        ([HERE, THERE, line(What.DIVERGED, 40, CONTROL, SOLVED)], State.SETTLED),
        ([HERE, line(What.CONFLICT, 50, CONTROL, LOST)], State.OVERWRITTEN),
        ([HERE, THERE, line(What.CONFLICT, 50, CONTROL, WON)], State.SETTLED),
        ([HERE, copy(SERVICE, 70, stamp=11, what=What.OTHER)], State.SUPERSEDED),
        ([HERE, copy(SERVICE, 5, stamp=5, what=What.OTHER)], State.ALONE),
        ([RECORDED, PUBLISHED, copy(LEGACY, 70, stamp=11, what=What.OTHER)], State.SUPERSEDED),
    ],
)
def test_what_became_of_it(lines: list[Line], state: State) -> None:
    assert verdict(*lines).state is state


def test_a_lag_lies_between_commits_where_both_databases_know_them() -> None:
    write = verdict(ANNOUNCED, CLOSED, HERE, THERE, SETTLED)
    assert (write.lag_ms, write.measure) == (50, Measure.COMMITS)
    assert (write.written_at, write.arrived_at) == (at(10), at(62))


def test_else_between_closed_and_settled() -> None:
    unknown = copy(SERVICE, 10, committed=False)
    write = verdict(ANNOUNCED, CLOSED, HERE, unknown, SETTLED)
    assert (write.lag_ms, write.measure, write.arrived_at) == (70, Measure.LOG, at(90))


def test_a_stamp_that_was_copied_is_no_time_of_arrival() -> None:
    write = verdict(HERE, copy(SERVICE, 10, committed=False))
    assert (write.state, write.arrived_at, write.lag_ms) == (State.SETTLED, None, None)


def test_what_was_not_applied_has_arrived_nowhere() -> None:
    write = verdict(ANNOUNCED, REFUSED, SETTLED)
    assert (write.written_at, write.arrived_at, write.lag_ms) == (None, None, None)


def test_a_divergence_says_why_and_a_conflict_whose() -> None:
    assert verdict(ANNOUNCED, HERE, POISON).reason == "quarantined 23514"
    assert verdict(HERE, THERE, line(What.CONFLICT, 50, CONTROL, WON)).won
    assert not verdict(HERE, THERE).won


def test_each_row_and_each_side_is_a_write_of_its_own() -> None:
    """A db-<xid> of one database is not the other's."""
    found = writes(
        [HERE, copy(SERVICE, 13, stamp=13, origin=Side.SERVICE), copy(LEGACY, 14, key="k2")]
    )
    assert [(one.key, one.origin, one.state) for one in found] == [
        ("k1", Side.LEGACY, State.ALONE),
        ("k1", Side.SERVICE, State.ALONE),
        ("k2", Side.LEGACY, State.ALONE),
    ]


def test_a_request_alone_is_no_write() -> None:
    request = Line(at=at(0), where="gateway", what=What.REQUEST, word="200", entity="lab_orders")
    assert writes([request]) == []


def test_lines_stand_by_time_and_rows_are_numbered_as_they_come() -> None:
    late, early = copy(LEGACY, 30, key="late"), copy(LEGACY, 20, key="early")
    found = timeline(Findings(lines=[late, SETTLED, early]))
    assert [one.at for one in found.lines] == [at(20), at(30), at(90)]
    assert found.numbers == {
        ("lab_orders", "early"): 1,
        ("lab_orders", "late"): 2,
        ("lab_orders", "k1"): 3,
    }
