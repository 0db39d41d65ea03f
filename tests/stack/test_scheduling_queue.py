"""The request queue: claimed by one at a time, answered once, booked with the answer or not at all, expired by the service itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from catalog.service import Service
from routes.idempotency import row_id
from runtime.postgres import create_pool
from sandbox.seed.people import CLINICIANS
from services.scheduling.expiry import expire
from tests.services_world import USERS, Issuer, ServicesDatabase, serve
from tests.until import until_async
from tests.writing_world import CLINICIAN, COMPLIANCE, PARTNER, PATIENT, World, code, fields, outbox

pytestmark = pytest.mark.stack

OTHER = "clinician-b"
GRACE = str(CLINICIANS[0].id)
MORNING = datetime(2031, 1, 6, 9, tzinfo=UTC)
HALF = timedelta(minutes=30)
TIMES = {"starts_at": MORNING.isoformat(), "ends_at": (MORNING + HALF).isoformat()}
BOOKING = {**TIMES, "clinician_id": GRACE}


@pytest.fixture
def world(writing_world: World) -> World:
    return writing_world


async def asked_for(world: World, **members: Any) -> str:
    """A patient's request."""
    body = {"submission_id": await world.submission(PATIENT), "notes": "N", **members}
    made = await world.send(
        Service.SCHEDULING, "POST", "/appointment-requests", PATIENT, body=body, key=str(uuid4())
    )
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def do(
    world: World,
    word: str,
    request: str,
    user: str = CLINICIAN,
    *,
    key: str | None = None,
    **members: Any,
) -> httpx.Response:
    if word == "confirm":
        members, key = {**BOOKING, **members}, key or str(uuid4())
    path = f"/appointment-requests/{request}/{word}"
    return await world.send(Service.SCHEDULING, "POST", path, user, body=members, key=key)


async def stored(world: World, request: str) -> asyncpg.Record:
    found = await world.owner.fetchrow(
        "select *, status::text as state from scheduling.appointment_request where id = $1::text::uuid",
        request,
    )
    assert found is not None
    return found


async def claims(world: World) -> int:
    found: int = await world.owner.fetchval(
        "select count(*) from scheduling.appointment_request_claim"
    )
    return found


async def let_it_run_out(world: World) -> None:
    """All claims, as if they had been taken long ago."""
    await world.owner.execute(
        "update scheduling.appointment_request_claim set claimed_until = now() - interval '1 second'"
    )


# --- claim


async def test_a_claim_keeps_others_away_and_is_no_version(world: World) -> None:
    request = await asked_for(world)
    claimed = await do(world, "claim", request, lease_seconds=60)
    assert claimed.status_code == 200
    body = claimed.json()
    assert (body["id"], body["claimed_by"]) == (request, USERS[CLINICIAN].sub)
    left = datetime.fromisoformat(body["claimed_until"]) - datetime.now(UTC)
    assert 30 < left.total_seconds() <= 61
    for word in ("claim", "confirm", "decline"):
        refused = await do(world, word, request, OTHER)
        assert code(refused) == (409, "claimed")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    renewed = await do(world, "claim", request, lease_seconds=600)
    assert renewed.json()["claimed_until"] > body["claimed_until"]
    assert (await stored(world, request))["row_version"] == 1
    assert len(await outbox(world, "scheduling", "appointment_requests")) == 1


async def test_a_claim_that_has_ended_is_taken_over(world: World) -> None:
    request = await asked_for(world)
    await do(world, "claim", request)
    await let_it_run_out(world)
    taken = await do(world, "claim", request, OTHER)
    assert taken.json()["claimed_by"] == USERS[OTHER].sub
    assert code(await do(world, "claim", request)) == (409, "claimed")
    assert (await do(world, "decline", request, OTHER)).status_code == 200
    assert await claims(world) == 0


async def test_of_many_that_claim_at_once_one_gets_it(world: World) -> None:
    request = await asked_for(world)
    users = (CLINICIAN, OTHER, "clinician-c", COMPLIANCE, "admin")
    for _ in range(5):
        found = await asyncio.gather(*(do(world, "claim", request, user) for user in users))
        assert sorted(one.status_code for one in found) == [200, *[409] * (len(users) - 1)]
        await let_it_run_out(world)


@pytest.mark.parametrize("word", ["claim", "confirm", "decline"])
async def test_staff_alone_answers(world: World, word: str) -> None:
    """Row security lets a patient change a request of its own; an answer is none of its changes."""
    request = await asked_for(world)
    for user in (PATIENT, "patient-b", PARTNER, "stranger"):
        assert code(await do(world, word, request, user)) == (403, "forbidden")
    assert code(await do(world, word, str(uuid4()))) == (404, "not_found")
    assert (await stored(world, request))["state"] == "pending"


# --- confirm


async def test_a_confirmed_request_has_its_appointment(world: World) -> None:
    request = await asked_for(world)
    await do(world, "claim", request)
    path, body = f"/appointment-requests/{request}/confirm", {**BOOKING, "location": "L"}
    confirmed = await world.send(
        Service.SCHEDULING, "POST", path, body=body, key="c-1", x_correlation_id="corr-0001"
    )
    assert confirmed.status_code == 200, confirmed.text
    id_ = str(row_id("appointments", USERS[CLINICIAN].sub, "c-1"))
    row = confirmed.json()
    assert (row["id"], row["status"], row["appointment_id"]) == (request, "confirmed", id_)
    assert confirmed.headers["etag"].endswith('.service"')
    made = await world.send(Service.SCHEDULING, "GET", f"/appointments/{id_}", PATIENT)
    appointment = made.json()
    assert appointment["submission_id"] == row["submission_id"]
    assert {name: appointment[name] for name in (*BOOKING, "status", "location", "modality")} == {
        **BOOKING, "status": "booked", "location": "L", "modality": "video",
    }  # fmt: skip
    both = await world.owner.fetch(
        "select correlation_id, origin, row_version from scheduling.appointment where id = $1::text::uuid"
        " union all select correlation_id, origin, row_version from scheduling.appointment_request where id = $2::text::uuid",
        id_,
        request,
    )
    assert [tuple(one) for one in both] == [
        ("corr-0001", "service", 1),
        ("corr-0001", "service", 2),
    ]
    events = [
        (event["event_type"], json.loads(event["key"])["id"])
        for entity in ("appointments", "appointment_requests")
        for event in await outbox(world, "scheduling", entity)
    ]
    assert events == [
        ("banyan.appointments.created", id_),
        ("banyan.appointment_requests.created", request),
        ("banyan.appointment_requests.updated", request),
    ]
    assert await claims(world) == 0


async def test_a_repeat_is_the_same_and_a_second_answer_is_refused(world: World) -> None:
    request = await asked_for(world)
    first = await do(world, "confirm", request, key="c")
    again = await do(world, "confirm", request, key="c")
    assert (again.status_code, again.content) == (200, first.content)
    other = await do(world, "confirm", request, key="c", location="elsewhere")
    assert code(other) == (422, "idempotency_mismatch")
    for word in ("confirm", "decline", "claim"):
        refused = await do(world, word, request)
        assert (code(refused), refused.json()["legal"]) == ((409, "illegal_transition"), [])
    assert len(await outbox(world, "scheduling", "appointments")) == 1


async def test_a_lost_record_is_found_by_its_rows(world: World) -> None:
    request, second = await asked_for(world), await asked_for(world)
    first = await do(world, "confirm", request, key="c")
    await world.owner.execute("delete from scheduling.idempotency")
    again = await do(world, "confirm", request, key="c")
    assert (again.status_code, again.json()) == (200, first.json())
    await world.owner.execute("delete from scheduling.idempotency")
    other = await do(world, "confirm", request, key="c", location="elsewhere")
    assert code(other) == (422, "idempotency_mismatch")
    elsewhere = {
        "starts_at": (MORNING + HALF).isoformat(),
        "ends_at": (MORNING + 2 * HALF).isoformat(),
    }
    another = await do(world, "confirm", second, key="c", **elsewhere)
    assert code(another) == (422, "idempotency_mismatch")
    assert len(await outbox(world, "scheduling", "appointments")) == 1
    assert (await stored(world, second))["state"] == "pending"


async def test_a_booked_time_refuses_the_answer_and_leaves_the_request(world: World) -> None:
    request, second = await asked_for(world), await asked_for(world)
    assert (await do(world, "confirm", request)).status_code == 200
    await do(world, "claim", second)
    refused = await do(world, "confirm", second)
    assert (code(refused), fields(refused)) == (
        (409, "conflict"),
        {"starts_at": "clinician_is_booked"},
    )
    row = await stored(world, second)
    assert (row["state"], row["appointment_id"], row["row_version"]) == ("pending", None, 1)
    assert await claims(world) == 1
    later = {"starts_at": (MORNING + HALF).isoformat(), "ends_at": (MORNING + 2 * HALF).isoformat()}
    assert (await do(world, "confirm", second, **later)).status_code == 200


@pytest.mark.parametrize(
    ("members", "refused"),
    [
        ({"ends_at": MORNING.isoformat()}, {"ends_at": "not_behind_starts_at"}),
        ({"time_zone": "Mars/Base"}, {"time_zone": "unknown_time_zone"}),
        ({"modality": "letter"}, {"modality": "unknown_value"}),
        ({"status": "proposed"}, {"status": "unknown_field"}),
        ({"clinician_id": None}, {"clinician_id": "required"}),
    ],
)
async def test_a_booking_that_makes_no_sense(
    world: World, members: dict[str, Any], refused: dict[str, str]
) -> None:
    request = await asked_for(world)
    found = await do(world, "confirm", request, **members)
    assert (code(found), fields(found)) == ((422, "invalid_fields"), refused)
    assert (await stored(world, request))["state"] == "pending"


async def test_a_confirmation_needs_its_key(world: World) -> None:
    request = await asked_for(world)
    path = f"/appointment-requests/{request}/confirm"
    found = await world.send(Service.SCHEDULING, "POST", path, body=BOOKING)
    assert code(found) == (400, "idempotency_key_missing")


async def test_nothing_is_confirmed_while_one_of_the_tables_is_closed(world: World) -> None:
    request = await asked_for(world)
    await world.owner.execute(
        "select scheduling.set_write_mode('appointments', 'closed', 1, 'test', 'test')"
    )
    assert code(await do(world, "confirm", request, key="c")) == (409, "authority_changed")
    assert (await stored(world, request))["state"] == "pending"
    await world.owner.execute(
        "select scheduling.set_write_mode('appointments', 'read_write', 2, 'test', 'test')"
    )
    assert (await do(world, "confirm", request, key="c")).status_code == 200


async def test_of_many_answers_at_once_one_is_given(world: World) -> None:
    """Each at a time of its own, so that nothing but the request is in the way."""
    request = await asked_for(world)
    times = [MORNING + n * HALF for n in range(10)]
    found = await asyncio.gather(
        *(
            do(
                world, "confirm", request, user,
                starts_at=time.isoformat(), ends_at=(time + HALF).isoformat(),
            )
            for user, time in zip((CLINICIAN, OTHER) * 5, times, strict=True)
        ),
        *(do(world, "decline", request, user) for user in (CLINICIAN, OTHER) * 5),
    )  # fmt: skip
    assert sorted(one.status_code for one in found) == [200, *[409] * 19]
    state = (await stored(world, request))["state"]
    booked = len(await outbox(world, "scheduling", "appointments"))
    assert (state, booked) in (("confirmed", 1), ("declined", 0))


async def test_of_many_requests_for_one_time_one_gets_it(world: World) -> None:
    requests = [await asked_for(world) for _ in range(12)]
    found = await asyncio.gather(*(do(world, "confirm", request) for request in requests))
    assert sorted(one.status_code for one in found) == [200, *[409] * 11]
    states = [(await stored(world, request))["state"] for request in requests]
    assert sorted(states) == ["confirmed", *["pending"] * 11]
    assert len(await outbox(world, "scheduling", "appointments")) == 1


# --- decline, cancel


async def test_a_declined_request_stays_declined(world: World) -> None:
    request = await asked_for(world)
    declined = await do(world, "decline", request)
    assert (declined.status_code, declined.json()["status"]) == (200, "declined")
    assert code(await do(world, "confirm", request)) == (409, "illegal_transition")
    called_off = await asked_for(world)
    path = f"/appointment-requests/{called_off}"
    gone = await world.send(
        Service.SCHEDULING, "PATCH", path, PATIENT, body={"status": "cancelled"}
    )
    assert gone.status_code == 200
    assert code(await do(world, "claim", called_off)) == (409, "illegal_transition")


# --- expiry


async def pending_past(world: World, count: int) -> list[str]:
    """Requests whose time is over, written here."""
    rows = await world.owner.fetch(
        "insert into scheduling.appointment_request (id, submission_id, status, preferred_slots, not_after)"
        " select gen_random_uuid(), gen_random_uuid(), 'pending', '[]', now() - n * interval '1 minute'"
        " from generate_series(1, $1::integer) n returning id::text",
        count,
    )
    return [row["id"] for row in rows]


@pytest.fixture
async def pool(own_services: ServicesDatabase) -> AsyncIterator[asyncpg.Pool]:
    made = await create_pool(own_services.service, name="test")
    yield made
    await made.close()


async def sweep(pool: asyncpg.Pool) -> int:
    total = 0
    while count := await expire(pool, wait=10, deadline=10):
        total += count
    return total


async def test_many_sweeps_at_once_expire_each_request_once(
    world: World, pool: asyncpg.Pool
) -> None:
    due = await pending_past(world, 900)
    later = await asked_for(world, not_after="2090-01-01T00:00:00Z")
    endless = await asked_for(world)
    await do(world, "claim", later)
    await do(world, "claim", endless)
    await let_it_run_out(world)
    await do(world, "claim", later)

    counts = await asyncio.gather(*(sweep(pool) for _ in range(5)))
    assert sum(counts) == len(due)
    rows = await world.owner.fetch(
        "select status::text, origin, row_version, correlation_id from scheduling.appointment_request"
        " where id::text = any($1)",
        due,
    )
    assert {tuple(row)[:3] for row in rows} == {("expired", "service", 2)}
    assert all(row["correlation_id"] for row in rows)
    events = await world.owner.fetchval(
        "select count(*) from scheduling.outbox where event_type = 'banyan.appointment_requests.updated'"
    )
    assert events == len(due)
    assert {(await stored(world, one))["state"] for one in (later, endless)} == {"pending"}
    assert await claims(world) == 1
    assert code(await do(world, "confirm", due[0])) == (409, "illegal_transition")


async def test_a_sweep_waits_for_nobody(world: World, pool: asyncpg.Pool) -> None:
    held, *_ = await pending_past(world, 3)
    async with world.owner.transaction():
        await world.owner.execute(
            "select from scheduling.appointment_request where id::text = $1 for update", held
        )
        assert await sweep(pool) == 2
    assert await sweep(pool) == 1


async def test_what_legacy_wrote_is_left_to_it_until_the_authority_has_moved(
    world: World, pool: asyncpg.Pool
) -> None:
    past = (
        "select count(*) from scheduling.appointment_request"
        " where status = 'pending' and origin = 'legacy' and not_after < now()"
    )
    copied = await world.owner.fetchval(past)
    assert copied > 0
    assert await sweep(pool) == 0
    await world.owner.execute(
        "select scheduling.set_write_mode('appointment_requests', 'closed', 1, 'test', 'test')"
    )
    assert await sweep(pool) == 0
    await world.owner.execute(
        "select scheduling.set_write_mode('appointment_requests', 'read_write', 2, 'test', 'test')"
    )
    assert await sweep(pool) == copied


async def test_the_sweep_can_do_nothing_else(own_services: ServicesDatabase) -> None:
    connection = await asyncpg.connect(own_services.service)
    async with connection.transaction():
        await connection.execute(
            "select set_config('role', 'banyan_scheduling', true), set_config('banyan.caller', $1, true)",
            json.dumps({"system": "request_expiry"}),
        )
        for change in ("notes = ''", "status = 'cancelled'", "status = 'expired'"):
            statement = f"update scheduling.appointment_request set {change} where not_after is null or not_after > now()"
            assert await connection.execute(statement) == "UPDATE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "update scheduling.appointment_request set status = 'confirmed' where not_after < now()"
            )
    await connection.close()


async def test_a_service_process_sweeps_by_itself(
    world: World, own_services: ServicesDatabase, issuer: Issuer
) -> None:
    (due,) = await pending_past(world, 1)
    async with AsyncExitStack() as stack:
        await serve(stack, Service.SCHEDULING, own_services, issuer, request_expiry_seconds=0.02)

        async def expired() -> bool:
            return bool((await stored(world, due))["state"] == "expired")

        await until_async(expired)
        (after,) = await pending_past(world, 1)
        due = after
        await until_async(expired)
