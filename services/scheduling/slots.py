"""Free times of a clinician. Pure.

A clinician works while the clock on the wall shows a time of a span. So a span over a missing hour is an hour shorter and
one over a repeated hour an hour longer, and what is computed with is instants alone. Slots stand in a grid that begins
where a span does, so the same times are offered whatever range is asked for.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)

Interval = tuple[datetime, datetime]
"""Two instants in UTC; the second is not in it."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Working hours of one weekday (1 is Monday). `opens` and `closes` are wall-clock times since midnight, up to 24 hours."""

    weekday: int
    opens: timedelta
    closes: timedelta
    time_zone: str


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A free time; `time_zone` is that of the working hours it lies in."""

    starts_at: datetime
    ends_at: datetime
    time_zone: str


def free_slots(
    spans: Iterable[Span], busy: Iterable[Interval], asked: Interval, duration: timedelta
) -> Sequence[Slot]:
    """Every slot of the grid that lies in `asked` and meets nothing in `busy`, each start once, in order."""
    taken = _joined(sorted(busy))
    found: dict[datetime, Slot] = {}
    for span in spans:
        for interval in _working(span, asked):
            for begin in _grid(interval, asked, duration):
                if not _meets(taken, begin, begin + duration):
                    found.setdefault(
                        begin,
                        Slot(starts_at=begin, ends_at=begin + duration, time_zone=span.time_zone),
                    )
    return [found[begin] for begin in sorted(found)]


def _grid(interval: Interval, asked: Interval, duration: timedelta) -> Iterator[datetime]:
    opened, closed = interval
    # Rounded up: the first step of the grid that is not before what was asked for.
    begin = opened + max(0, -((opened - asked[0]) // duration)) * duration
    while begin + duration <= min(closed, asked[1]):
        yield begin
        begin += duration


def _working(span: Span, asked: Interval) -> Iterator[Interval]:
    """The whole intervals of a span on each local day that can reach into `asked`."""
    low, high = asked[0].replace(microsecond=0) - 2 * _DAY, asked[1] + 2 * _DAY
    regimes = _regimes(ZoneInfo(span.time_zone), low, high)
    for day in _days(asked[0].date() - _DAY, asked[1].date() + _DAY):
        if day.isoweekday() == span.weekday:
            midnight = datetime.combine(day, time(), UTC)
            yield from _joined(
                (max(begin, midnight + span.opens - offset), min(end, midnight + span.closes - offset))
                for begin, end, offset in regimes
            )  # fmt: skip


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _regimes(
    zone: ZoneInfo, low: datetime, high: datetime
) -> Sequence[tuple[datetime, datetime, timedelta]]:
    """The parts of a range in which the zone's offset stays the same. No zone changes it twice within an hour."""
    found = []
    begin, offset = low, _offset(zone, low)
    at = low
    while at < high:
        after = min(at + _HOUR, high)
        if _offset(zone, after) != offset:
            change = _change(zone, at, after)
            found.append((begin, change, offset))
            begin, offset = change, _offset(zone, after)
        at = after
    found.append((begin, high, offset))
    return found


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first whole second with the new offset."""
    low, high = 0, -((before - after) // _SECOND)
    old = _offset(zone, before)
    while low < high:
        middle = (low + high) // 2
        if _offset(zone, before + middle * _SECOND) == old:
            low = middle + 1
        else:
            high = middle
    return before + low * _SECOND


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 - a time of a zone has one
    return offset


def _joined(intervals: Iterable[Interval]) -> Sequence[Interval]:
    """Intervals in order of their beginnings, without empty ones, and with those that touch as one."""
    found: list[Interval] = []
    for begin, end in intervals:
        if begin >= end:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _meets(taken: Sequence[Interval], begin: datetime, end: datetime) -> bool:
    """Whether one of the joined intervals overlaps: of those that begin before `end`, the last one ends last."""
    before = bisect_left(taken, end, key=lambda interval: interval[0])
    return before > 0 and taken[before - 1][1] > begin
