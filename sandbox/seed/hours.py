"""When the sample clinicians can be booked. Legacy has no such table, so this goes to the services directly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from uuid import UUID

import asyncpg

from sandbox.seed.people import CLINICIANS
from sandbox.seed.scheduling import LONDON, NEW_YORK

MONDAY, FRIDAY, SATURDAY = 1, 5, 6


@dataclass(frozen=True, kw_only=True)
class Hours:
    """A span of one weekday, in local time."""

    clinician_id: UUID
    weekday: int
    opens: time
    closes: time
    time_zone: str


def _week(number: int, zone: str, *spans: tuple[time, time]) -> list[Hours]:
    return [
        Hours(
            clinician_id=CLINICIANS[number].id,
            weekday=weekday,
            opens=opens,
            closes=closes,
            time_zone=zone,
        )
        for weekday in range(MONDAY, FRIDAY + 1)
        for opens, closes in spans
    ]


HOURS: Sequence[Hours] = (
    *_week(0, LONDON, (time(9), time(12, 30)), (time(13, 30), time(17))),
    Hours(
        clinician_id=CLINICIANS[0].id,
        weekday=SATURDAY,
        opens=time(9),
        closes=time(11),
        time_zone=LONDON,
    ),
    *_week(1, NEW_YORK, (time(8), time(12)), (time(13), time(16))),
    *_week(2, "Asia/Kathmandu", (time(10), time(18))),
)


async def load_hours(dsn: str) -> None:
    """Brings the hours there; run again, it changes nothing. `dsn`: the services' database, as its owner."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.executemany(
            "insert into scheduling.working_hours (clinician_id, weekday, opens, closes, time_zone) values ($1, $2, $3, $4, $5)"
            " on conflict (clinician_id, weekday, opens) do update set closes = excluded.closes, time_zone = excluded.time_zone",
            [
                (one.clinician_id, one.weekday, one.opens, one.closes, one.time_zone)
                for one in HOURS
            ],
        )
    finally:
        await connection.close()
