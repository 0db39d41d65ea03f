"""Bookings: no clinician is in two places, however many book at once, move what is booked, or come from elsewhere."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from catalog.service import Service
from routes.appointments import RESOURCES
from runtime.postgres import create_pool
from sandbox.seed.people import CLINICIANS
from services.scheduling.rules import AppointmentRules
from services.transaction import system_author, writing
from tests.services_world import USERS, ServicesDatabase
from tests.writing_world import CLINICIAN, World, code, fields

pytestmark = pytest.mark.stack

(APPOINTMENTS,) = RESOURCES
BOOKED = {"starts_at": "clinician_is_booked"}
MORNING = datetime(2031, 1, 6, 9, tzinfo=UTC)
HALF = timedelta(minutes=30)


@pytest.fixture
def world(writing_world: World) -> World:
    return writing_world


async def book(
    world: World, starts_at: datetime, *, clinician: int = 0, **members: Any
) -> httpx.Response:
    body = {
        "submission_id": await world.submission(),
        "clinician_id": str(CLINICIANS[clinician].id),
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + HALF).isoformat(),
        **members,
    }
    return await world.send(
        Service.SCHEDULING, "POST", "/appointments", body=body, key=str(uuid4())
    )


async def change(world: World, booked: httpx.Response, **members: Any) -> httpx.Response:
    path = f"/appointments/{booked.json()['id']}"
    return await world.send(Service.SCHEDULING, "PATCH", path, body=members)


async def from_elsewhere(world: World, starts_at: datetime) -> str:
    """An appointment that legacy took although the clinician was booked: stored, and marked."""
    id_ = str(uuid4())
    async with world.owner.transaction():
        await world.owner.execute("select set_config('banyan.apply', 'on', true)")
        marked = await world.owner.fetchval(
            "insert into scheduling.appointment (id, submission_id, clinician_id, status, modality, starts_at, ends_at,"
            " time_zone, metadata, created_at, updated_at, row_version, origin)"
            " values ($1::text::uuid, gen_random_uuid(), $2, 'booked', 'video', $3, $4, 'UTC', '{}', now(), now(), 1, 'legacy')"
            " returning nonconforming",
            id_,
            CLINICIANS[0].id,
            starts_at,
            starts_at + HALF,
        )
    assert marked
    return id_


async def test_of_many_at_once_one_gets_each_slot(world: World) -> None:
    slots = [MORNING + n * HALF for n in range(6)]
    found = await asyncio.gather(*(book(world, slot) for slot in slots * 15))
    made = [one.json()["starts_at"] for one in found if one.status_code == 201]
    assert sorted(made) == sorted(slot.isoformat() for slot in slots)
    refused = [one for one in found if one.status_code != 201]
    assert {code(one) for one in refused} == {(409, "conflict")}
    assert {tuple(fields(one).items()) for one in refused} == {tuple(BOOKED.items())}
    stored = await world.owner.fetchval(
        "select count(*) from scheduling.appointment where clinician_id = $1 and starts_at between $2 and $3",
        CLINICIANS[0].id,
        slots[0],
        slots[-1],
    )
    assert stored == len(slots)


async def test_bookings_at_once_do_not_wait_for_each_other(own_services: ServicesDatabase) -> None:
    """An exclusion constraint looks behind the insert: without the calendar's lock, two inserts at once are a deadlock."""
    several = 10
    author = replace(system_author("test"), claims=USERS[CLINICIAN].row_claims)
    together = asyncio.Barrier(several)
    pool = await create_pool(own_services.service, name="test", size=several)

    async def book_one(starts_at: datetime) -> str:
        values = {
            "id": str(uuid4()), "submission_id": str(uuid4()), "clinician_id": str(CLINICIANS[0].id),
            "status": "booked", "modality": "video", "time_zone": "UTC", "metadata": {},
            "starts_at": starts_at.isoformat(), "ends_at": (starts_at + HALF).isoformat(),
        }  # fmt: skip
        try:
            async with writing(
                pool, Service.SCHEDULING, author, "test-0001", wait=30, deadline=30
            ) as transaction:
                await together.wait()
                ready = await AppointmentRules().create(transaction, values)
                await transaction.insert(APPOINTMENTS, ready)
        except asyncpg.ExclusionViolationError:
            return "refused"
        except asyncpg.DeadlockDetectedError:
            return "deadlock"
        return "booked"

    for number in range(80):
        slot = MORNING + number * HALF
        found = await asyncio.gather(*(book_one(slot) for _ in range(several)))
        assert Counter(found) == {"booked": 1, "refused": several - 1}
    await pool.close()


async def test_a_clinician_has_a_calendar_of_its_own(world: World) -> None:
    assert (await book(world, MORNING)).status_code == 201
    assert (await book(world, MORNING, clinician=1)).status_code == 201
    assert fields(await book(world, MORNING + HALF / 2)) == BOOKED
    assert (await book(world, MORNING + HALF)).status_code == 201


async def test_an_appointment_is_not_moved_into_a_booked_time(world: World) -> None:
    await book(world, MORNING)
    other = await book(world, MORNING + 2 * HALF)
    moved = await change(
        world, other, starts_at=MORNING.isoformat(), ends_at=(MORNING + HALF).isoformat()
    )
    assert (code(moved), fields(moved)) == ((409, "conflict"), BOOKED)
    later = MORNING + 4 * HALF
    moved = await change(
        world, other, starts_at=later.isoformat(), ends_at=(later + HALF).isoformat()
    )
    assert moved.status_code == 200
    assert (await book(world, MORNING + 2 * HALF)).status_code == 201


async def test_two_that_move_into_one_time_at_once(world: World) -> None:
    several = [await book(world, MORNING + n * HALF) for n in range(4)]
    into = MORNING + 8 * HALF
    times = {"starts_at": into.isoformat(), "ends_at": (into + HALF).isoformat()}
    moved = await asyncio.gather(*(change(world, one, **times) for one in several))
    assert sorted(one.status_code for one in moved) == [200, 409, 409, 409]


@pytest.mark.parametrize("status", ["cancelled", "no_show"])
async def test_what_is_called_off_or_missed_frees_its_time(world: World, status: str) -> None:
    first = await book(world, MORNING)
    assert fields(await book(world, MORNING)) == BOOKED
    assert (await change(world, first, status=status)).json()["status"] == status
    assert (await book(world, MORNING)).status_code == 201
    back = await change(world, first, status="booked")
    assert code(back) == (409, "illegal_transition")


async def test_a_proposal_is_booked_only_while_its_time_is_free(world: World) -> None:
    proposed = await book(world, MORNING, status="proposed")
    await book(world, MORNING)
    assert fields(await change(world, proposed, status="booked")) == BOOKED


async def test_a_booking_meets_what_came_from_elsewhere_and_overlaps(world: World) -> None:
    """The constraint passes over marked rows; the clinician is not free all the same."""
    first = await book(world, MORNING)
    await from_elsewhere(world, MORNING + HALF / 2)
    await change(world, first, status="cancelled")
    assert fields(await book(world, MORNING + HALF)) == BOOKED
    assert (await book(world, MORNING - HALF)).status_code == 201


async def test_a_marked_appointment_that_a_user_moves_is_judged_like_any_other(
    world: World,
) -> None:
    await book(world, MORNING)
    await book(world, MORNING + 4 * HALF)
    id_ = await from_elsewhere(world, MORNING)
    path = f"/appointments/{id_}"
    noted = await world.send(Service.SCHEDULING, "PATCH", path, body={"reason": "R"})
    assert noted.status_code == 200

    async def move(to: datetime) -> httpx.Response:
        body = {"starts_at": to.isoformat(), "ends_at": (to + HALF).isoformat()}
        return await world.send(Service.SCHEDULING, "PATCH", path, body=body)

    assert fields(await move(MORNING + 4 * HALF)) == BOOKED
    assert (await move(MORNING + 6 * HALF)).status_code == 200
    assert not await world.owner.fetchval(
        "select nonconforming from scheduling.appointment where id = $1::text::uuid", id_
    )
    assert fields(await book(world, MORNING + 6 * HALF)) == BOOKED
