"""Slots: in working hours by the clock on the wall, clear of appointments, none missing, whatever the clocks do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduling.slots import Interval, Slot, Span, free_slots

pytestmark = pytest.mark.unit

LONDON, NEW_YORK = "Europe/London", "America/New_York"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HALF = 30 * MINUTE


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def hours(opens: str, closes: str, weekday: int, zone: str = LONDON) -> Span:
    def since_midnight(text: str) -> timedelta:
        hour, minute = text.split(":")
        return int(hour) * HOUR + int(minute) * MINUTE

    return Span(
        weekday=weekday, opens=since_midnight(opens), closes=since_midnight(closes), time_zone=zone
    )


def starts(
    spans: list[Span],
    day: str,
    *,
    zone: str = LONDON,
    busy: tuple[Interval, ...] = (),
    duration: timedelta = HALF,
) -> list[str]:
    """On one local day: starts as the clock on the wall shows them, with the offset."""
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    asked = (midnight.astimezone(UTC), (midnight + DAY).astimezone(UTC))
    found = free_slots(spans, busy, asked, duration)
    assert all(slot.ends_at - slot.starts_at == duration for slot in found)
    return [slot.starts_at.astimezone(ZoneInfo(zone)).strftime("%H:%M%z") for slot in found]


def test_a_day_with_a_break_and_an_appointment():
    spans = [hours("09:00", "10:30", 1), hours("13:00", "14:15", 1), hours("09:00", "17:00", 2)]
    busy = ((at("2025-01-06T09:40Z"), at("2025-01-06T09:50Z")),)
    found = starts(spans, "2025-01-06", busy=busy)
    assert found == ["09:00+0000", "10:00+0000", "13:00+0000", "13:30+0000"]


def test_what_only_touches_a_slot_does_not_take_it():
    busy = (
        (at("2025-01-06T08:00Z"), at("2025-01-06T09:00Z")),
        (at("2025-01-06T09:30Z"), at("2025-01-06T10:00Z")),
    )
    assert starts([hours("09:00", "10:30", 1)], "2025-01-06", busy=busy) == [
        "09:00+0000",
        "10:00+0000",
    ]


def test_a_long_appointment_hides_behind_a_short_later_one():
    busy = (
        (at("2025-01-06T08:00Z"), at("2025-01-06T12:00Z")),
        (at("2025-01-06T09:00Z"), at("2025-01-06T09:10Z")),
    )
    assert starts([hours("11:00", "13:00", 1)], "2025-01-06", busy=busy) == [
        "12:00+0000",
        "12:30+0000",
    ]


def test_the_grid_stays_where_it_is_whatever_is_asked():
    spans = [hours("09:00", "11:00", 1)]
    asked = (at("2025-01-06T09:10Z"), at("2025-01-06T10:50Z"))
    found = free_slots(spans, (), asked, HALF)
    assert [slot.starts_at for slot in found] == [at("2025-01-06T09:30Z"), at("2025-01-06T10:00Z")]


@pytest.mark.parametrize(
    ("zone", "day", "span", "expected"),
    [
        # 01:00 becomes 02:00
        (LONDON, "2025-03-30", ("00:30", "03:00"), "00:30+0000 02:00+0100 02:30+0100"),
        (LONDON, "2025-03-30", ("01:30", "03:00"), "02:00+0100 02:30+0100"),
        (LONDON, "2025-03-30", ("00:00", "01:30"), "00:00+0000 00:30+0000"),
        (LONDON, "2025-03-30", ("01:00", "02:00"), ""),
        (LONDON, "2025-03-30", ("09:00", "10:00"), "09:00+0100 09:30+0100"),
        # 02:00 becomes 01:00
        (
            LONDON, "2025-10-26", ("00:30", "02:30"),
            "00:30+0100 01:00+0100 01:30+0100 01:00+0000 01:30+0000 02:00+0000",
        ),
        (LONDON, "2025-10-26", ("09:00", "10:00"), "09:00+0000 09:30+0000"),
        # 02:00 becomes 03:00
        (NEW_YORK, "2025-03-09", ("01:30", "04:00"), "01:30-0500 03:00-0400 03:30-0400"),
        (NEW_YORK, "2025-03-09", ("02:00", "03:00"), ""),
        # 02:00 becomes 01:00
        (
            NEW_YORK, "2025-11-02", ("01:00", "02:30"),
            "01:00-0400 01:30-0400 01:00-0500 01:30-0500 02:00-0500",
        ),
        # Half an hour only: 02:00 becomes 01:30
        ("Australia/Lord_Howe", "2025-04-06", ("01:00", "02:30"), "01:00+1100 01:30+1100 01:30+1030 02:00+1030"),
    ],
)  # fmt: skip
def test_when_the_clocks_change(zone: str, day: str, span: tuple[str, str], expected: str):
    weekday = datetime.fromisoformat(day).isoweekday()
    found = starts([hours(*span, weekday, zone)], day, zone=zone)
    assert found == expected.split()


def test_the_grid_goes_on_over_a_change_of_the_clocks_at_which_nobody_looks():
    """Neither the change nor what is asked for lies on a step of it."""
    span = hours("00:45", "02:30", 7)
    asked = (at("2025-10-25T23:17:23Z"), at("2025-10-26T03:00Z"))
    found = free_slots([span], (), asked, 45 * MINUTE)
    assert [slot.starts_at for slot in found] == [
        at(f"{clock}Z") for clock in ("2025-10-25T23:45", "2025-10-26T00:30", "2025-10-26T01:15")
    ]


def test_a_missing_hour_begins_on_the_second_whenever_one_asks():
    asked = (at("2025-03-29T23:17:23Z"), at("2025-03-30T03:00Z"))
    found = free_slots([hours("00:00", "01:30", 7)], (), asked, 15 * MINUTE)
    assert [slot.starts_at for slot in found] == [
        at(f"2025-03-30T00:{minute:02}Z") for minute in (0, 15, 30, 45)
    ]


def test_a_night_is_two_spans():
    """No span crosses midnight; 24:00 is a day's end, so no time between the two is lost."""
    night = [hours("22:00", "24:00", 6), hours("00:00", "02:00", 7)]
    asked = (at("2025-03-29T12:00Z"), at("2025-03-30T12:00Z"))
    found = [slot.starts_at for slot in free_slots(night, (), asked, HOUR)]
    assert found == [at(f"2025-03-29T{hour}:00Z") for hour in (22, 23)] + [at("2025-03-30T00:00Z")]


def test_spans_of_two_zones_offer_a_time_once():
    spans = [hours("09:00", "10:00", 1), hours("04:00", "05:00", 1, NEW_YORK)]
    assert starts(spans, "2025-01-06") == ["09:00+0000", "09:30+0000"]


_ZONES = st.sampled_from((LONDON, NEW_YORK, "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"))
_CHANGES = [
    at(f"{day}T00:00Z")
    for day in ("2025-03-30", "2025-10-26", "2025-03-09", "2025-11-02", "2025-04-06", "2025-07-02")
]


@st.composite
def spans_of_a_zone(draw: st.DrawFn) -> list[Span]:
    """Some spans that do not overlap, at quarters of an hour."""
    zone = draw(_ZONES)
    marks = sorted(draw(st.sets(st.integers(0, 96), min_size=2, max_size=6)))
    quarter = 15 * MINUTE
    return [
        Span(weekday=weekday, opens=low * quarter, closes=high * quarter, time_zone=zone)
        for weekday in draw(st.sets(st.integers(1, 7), min_size=1))
        for low, high in zip(marks[::2], marks[1::2], strict=False)
    ]


@st.composite
def ranges(draw: st.DrawFn) -> Interval:
    begin = draw(st.sampled_from(_CHANGES)) + draw(st.integers(-2000, 700)) * MINUTE
    return begin, begin + draw(st.integers(30, 2400)) * MINUTE


@st.composite
def appointments(draw: st.DrawFn) -> list[Interval]:
    around = draw(st.sampled_from(_CHANGES))
    return [
        (begin, begin + draw(st.integers(1, 200)) * MINUTE)
        for begin in (
            around + offset * MINUTE for offset in draw(st.lists(st.integers(-2000, 2000)))
        )
    ]


def worked(instant: datetime, spans: list[Span]) -> Span | None:
    """The span that the clock on the wall shows at an instant."""
    for span in spans:
        local = instant.astimezone(ZoneInfo(span.time_zone))
        clock = local.hour * HOUR + local.minute * MINUTE
        if local.isoweekday() == span.weekday and span.opens <= clock < span.closes:
            return span
    return None


@settings(max_examples=80, deadline=None)
@given(spans_of_a_zone(), appointments(), ranges(), st.sampled_from((15, 20, 30, 45, 60)))
def test_slots_are_those_that_a_walk_minute_by_minute_finds(
    spans: list[Span], busy: list[Interval], asked: Interval, minutes: int
):
    found = free_slots(spans, busy, asked, minutes * MINUTE)
    assert found == walked(spans, busy, asked, minutes)


def walked(spans: list[Span], busy: list[Interval], asked: Interval, minutes: int) -> list[Slot]:
    """The same by another way: a clock is watched from days before, and a slot is every `minutes` of one span unbroken."""
    found = []
    at_work: Span | None = None
    begun = asked[0]
    instant = asked[0] - 2 * DAY
    while instant <= asked[1]:
        now = worked(instant, spans)
        if now is not at_work:
            at_work, begun = now, instant
        if now is not None and (instant - begun) % (minutes * MINUTE) == timedelta(0):
            end = instant + minutes * MINUTE
            whole = all(worked(instant + n * MINUTE, spans) is now for n in range(minutes))
            free = not any(low < end and high > instant for low, high in busy)
            if whole and free and asked[0] <= instant and end <= asked[1]:
                found.append(Slot(starts_at=instant, ends_at=end, time_zone=now.time_zone))
        instant += MINUTE
    return found
