"""A clinician's calendar: when it is open and when it is taken, and how a booking has it to itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.scheduling.slots import Interval, Span
from services.snapshot import Snapshot
from services.sql import Statement
from services.transaction import Transaction


@dataclass(frozen=True, kw_only=True)
class Calendar:
    spans: Sequence[Span]
    busy: Sequence[Interval]
    """Times of all appointments that were booked or begun, whoever may see these."""


async def read_calendar(
    view: Snapshot, clinician_id: str, asked: Interval, *, claims: str
) -> Calendar:
    """Both parts from the same instant."""
    hours = await view.rows(Statement(text=_HOURS, values=(clinician_id,)), claims)
    low, high = (instant.isoformat() for instant in asked)
    busy = await view.rows(Statement(text=_BUSY, values=(clinician_id, low, high)), claims)
    return Calendar(
        spans=[
            Span(
                weekday=row["weekday"],
                opens=timedelta(seconds=row["opens"]),
                closes=timedelta(seconds=row["closes"]),
                time_zone=row["time_zone"],
            )
            for row in hours
        ],
        busy=[(row["starts_at"], row["ends_at"]) for row in busy],
    )


async def hold_calendar(transaction: Transaction, clinician_id: str | None) -> None:
    """Until the end of the transaction nobody else books for this clinician.

    Two that book one time at once would each wait for the other: an exclusion constraint finds out behind the insert.
    """
    if clinician_id is not None:
        await transaction.connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('calendar:' || $1::text, 0))",
            clinician_id,
        )


# Seconds, because Python has no time of day for 24:00.
_HOURS = """
select weekday, extract(epoch from opens)::integer as opens, extract(epoch from closes)::integer as closes, time_zone
from scheduling.working_hours where clinician_id = $1::text::uuid order by weekday, opens
"""
_BUSY = (
    "select * from scheduling.busy($1::text::uuid, $2::text::timestamptz, $3::text::timestamptz)"
)
