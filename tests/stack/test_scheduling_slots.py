"""GET /v2/appointments/slots: what the calendar has left, for whoever is signed in."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import asyncpg
import httpx
import pytest

from catalog.service import Service
from sandbox.seed.hours import HOURS, load_hours
from sandbox.seed.people import CLINICIANS
from tests.services_world import ServicesDatabase
from tests.writing_world import CLINICIAN, PATIENT, World, code, fields

pytestmark = pytest.mark.stack

GRACE = str(CLINICIANS[0].id)
"""London, Monday to Friday 9 to 12:30 and 13:30 to 17."""
MONDAY = "2031-01-06"


@pytest.fixture
def world(writing_world: World) -> World:
    return writing_world


async def ask(world: World, user: str = PATIENT, **parameters: Any) -> httpx.Response:
    given = {
        "clinician_id": GRACE,
        "from": f"{MONDAY}T00:00:00Z",
        "to": f"{MONDAY}T23:59:59Z",
        **parameters,
    }
    return await world.send(
        Service.SCHEDULING, "GET", f"/appointments/slots?{urlencode(given)}", user
    )


async def starts(world: World, **parameters: Any) -> list[str]:
    found = await ask(world, **parameters)
    assert found.status_code == 200, found.text
    return [item["starts_at"] for item in found.json()["items"]]


def at(clock: str) -> str:
    return f"{MONDAY}T{clock}:00+00:00"


async def test_a_day_of_slots(world: World) -> None:
    found = await ask(world, duration_minutes=60)
    assert found.json() == {
        "items": [
            {
                "clinician_id": GRACE,
                "starts_at": at(f"{hour:02}:{minute:02}"),
                "ends_at": at(f"{hour + 1:02}:{minute:02}"),
                "time_zone": "Europe/London",
            }
            for hour, minute in ((9, 0), (10, 0), (11, 0), (13, 30), (14, 30), (15, 30))
        ],
        "next": None,
    }
    assert len(await starts(world)) == 14
    assert await starts(world, clinician_id=str(uuid4())) == []


async def test_what_others_booked_is_taken_and_shown_to_nobody(world: World) -> None:
    """A patient sees none of these appointments; what counts is booked or begun, marked or not."""
    add = (
        "insert into scheduling.appointment (id, submission_id, clinician_id, status, modality, starts_at, ends_at, time_zone,"
        " metadata, created_at, updated_at, row_version, origin) values (gen_random_uuid(), gen_random_uuid(), $1::text::uuid,"
        " $2::text::scheduling.appointment_status, 'video', $3::text::timestamptz, $3::text::timestamptz + interval '20 minutes',"
        " 'UTC', '{}', now(), now(), 1, 'legacy') returning nonconforming"
    )
    async with world.owner.transaction():
        await world.owner.execute("select set_config('banyan.apply', 'on', true)")
        marked = [
            await world.owner.fetchval(add, GRACE, status, at(clock))
            for status, clock in (
                ("booked", "09:00"),
                ("booked", "09:15"),
                ("arrived", "10:10"),
                ("cancelled", "11:00"),
                ("proposed", "11:30"),
                ("fulfilled", "12:00"),
                ("no_show", "13:30"),
            )
        ]
    assert marked == [False, True, *[False] * 5]
    taken = {at(clock) for clock in ("09:00", "09:30", "10:00")}
    free = await starts(world, user=PATIENT)
    assert len(free) == 11
    assert not taken & set(free)
    listed = await world.send(
        Service.SCHEDULING, "GET", f"/appointments?clinician_id={GRACE}&starts_at[gte]={MONDAY}T00:00:00Z", PATIENT
    )  # fmt: skip
    assert listed.json()["items"] == []


async def test_a_booked_slot_is_gone_and_comes_back(world: World) -> None:
    body = {
        "submission_id": await world.submission(), "clinician_id": GRACE,
        "starts_at": at("09:30"), "ends_at": at("10:00"),
    }  # fmt: skip
    made = await world.send(Service.SCHEDULING, "POST", "/appointments", body=body, key="b")
    assert made.status_code == 201
    assert at("09:30") not in await starts(world)
    path = f"/appointments/{made.json()['id']}"
    await world.send(Service.SCHEDULING, "PATCH", path, body={"status": "cancelled"})
    assert at("09:30") in await starts(world)


async def test_who_does_not_book_asks_all_the_same_and_a_stranger_to_all_does_not(
    world: World,
) -> None:
    for user in (PATIENT, CLINICIAN, "partner", "stranger"):
        assert len((await ask(world, user)).json()["items"]) == 14
    path = f"/v2/appointments/slots?clinician_id={GRACE}"
    assert (await world.clients[Service.SCHEDULING].get(path)).status_code == 401


async def test_pages_go_on_by_from(world: World) -> None:
    begin = datetime(2031, 1, 6, tzinfo=UTC)
    end = (begin + timedelta(days=31)).isoformat()
    first = (await ask(world, to=end, duration_minutes=10)).json()
    assert len(first["items"]) == 500
    assert first["next"].endswith("Z")
    found = [item["starts_at"] for item in first["items"]]
    next_ = first["next"]
    while next_ is not None:
        page = (await ask(world, **{"from": next_, "to": end, "duration_minutes": 10})).json()
        found += [item["starts_at"] for item in page["items"]]
        next_ = page["next"]
    assert found == sorted(set(found))
    # 23 weekdays and four Saturdays of two hours
    assert len(found) == 23 * 42 + 4 * 12


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [
        ({"clinician_id": "me"}, {"clinician_id": "expected_uuid"}),
        ({"from": "tomorrow"}, {"from": "expected_timestamp_with_offset"}),
        ({"to": f"{MONDAY}T00:00:00Z"}, {"to": "not_behind_from"}),
        ({"to": "2031-02-06T00:00:01Z"}, {"to": "more_than_31_days"}),
        (
            {"from": "0001-01-01T00:00:00Z", "to": "0001-01-02T00:00:00Z"},
            {"from": "too_far_away"},
        ),
        ({"duration_minutes": "4"}, {"duration_minutes": "below_the_least"}),
        ({"duration_minutes": "481"}, {"duration_minutes": "above_the_most"}),
        ({"duration_minutes": "1.5"}, {"duration_minutes": "expected_integer"}),
        ({"colour": "red"}, {"colour": "unknown_field"}),
    ],
)
async def test_what_is_not_understood(
    world: World, parameters: dict[str, str], refused: dict[str, str]
) -> None:
    found = await ask(world, **parameters)
    assert (code(found), fields(found)) == ((400, "invalid_query"), refused)


async def test_working_hours_do_not_overlap(world: World) -> None:
    with pytest.raises(asyncpg.ExclusionViolationError):
        await world.owner.execute(
            "insert into scheduling.working_hours values ($1, 1, '12:00', '13:00', 'Europe/London')",
            CLINICIANS[0].id,
        )
    await world.owner.execute(
        "insert into scheduling.working_hours values ($1, 7, '20:00', '24:00', 'UTC'), ($1, 1, '00:00', '02:00', 'UTC')",
        CLINICIANS[0].id,
    )
    sunday = {"from": "2031-01-05T23:00:00Z", "to": f"{MONDAY}T01:00:00Z"}
    assert await starts(world, **sunday) == [
        "2031-01-05T23:00:00+00:00", "2031-01-05T23:30:00+00:00", at("00:00"), at("00:30"),
    ]  # fmt: skip


async def test_the_sample_hours_are_loaded_once(own_services: ServicesDatabase) -> None:
    await load_hours(own_services.owner)
    owner = await asyncpg.connect(own_services.owner)
    assert await owner.fetchval("select count(*) from scheduling.working_hours") == len(HOURS)
    await owner.close()
