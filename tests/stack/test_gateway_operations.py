"""Operations through the gateway: for users whom the service serves; the other side hears of what they change."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import pytest

from benchmarks.world import everybody_at, gateway
from catalog.stage import Stage
from runtime.eventlog.protocol import BEGINNING
from runtime.eventlog.redis_log import RedisLog
from runtime.intent import TOPIC, Intent, decode
from runtime.stack import Stack
from sandbox.seed.people import CLINICIANS
from tests.world import SEEDED_SUBMISSION

pytestmark = pytest.mark.stack

DATABASE = 7
DAY = "2031-05-05"


@pytest.fixture(scope="module")
def world(written_world: Stack) -> Stack:
    return written_world


@pytest.fixture(scope="module")
def live(world: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("operations")
    with gateway(
        world, folder, name="live", flags=everybody_at(Stage.LIVE), redis_number=DATABASE
    ) as one:
        yield one.url


@pytest.fixture(scope="module")
def early(world: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("early")
    with gateway(
        world, folder, name="early", flags=everybody_at(Stage.DUAL_WRITE), redis_number=DATABASE + 1
    ) as one:
        yield one.url


async def send(
    url: str,
    world: Stack,
    method: str,
    path: str,
    user: str = "clinician",
    *,
    body: Any = None,
    key: str | None = None,
) -> httpx.Response:
    headers = {"authorization": f"Bearer {world.tokens[user]}"}
    if key is not None:
        headers["idempotency-key"] = f'"{key}"'
    content = None
    if body is not None:
        headers["content-type"] = "application/json"
        content = json.dumps(body).encode()
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.request(method, f"{url}/v2{path}", content=content, headers=headers)


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


SLOTS = (
    f"/appointments/slots?clinician_id={CLINICIANS[0].id}&from={DAY}T00:00:00Z&to={DAY}T23:59:00Z"
    "&duration_minutes=30"
)


async def test_free_times_come_from_the_service(live: str, world: Stack) -> None:
    found = await send(live, world, "GET", SLOTS, "patient")
    assert found.status_code == 200
    assert found.json()["items"]
    bad = await send(live, world, "GET", "/appointments/slots?clinician_id=x", "patient")
    assert code(bad) == (400, "invalid_query")
    head = await send(live, world, "HEAD", SLOTS, "patient")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", SLOTS, None),
        ("POST", f"/appointment-requests/{uuid4()}/claim", {}),
        ("POST", "/partner/labels/1/claim", {"printer": "p"}),
        ("GET", f"/action-plans/{uuid4()}/content", None),
        ("POST", "/lab-orders/vendor-updates", {}),
    ],
)
async def test_below_live_there_is_no_such_thing_yet(
    early: str, world: Stack, method: str, path: str, body: Any
) -> None:
    assert code(await send(early, world, method, path, body=body)) == (
        409,
        "not_available_at_stage",
    )


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/appointments/slots", "GET, HEAD"),
        ("GET", f"/appointment-requests/{uuid4()}/claim", "POST"),
        ("POST", f"/action-plans/{uuid4()}/content", "GET, HEAD, PUT"),
    ],
)
async def test_methods(live: str, world: Stack, method: str, path: str, allow: str) -> None:
    found = await send(live, world, method, path, body={} if method == "POST" else None)
    assert (code(found), found.headers["allow"]) == ((405, "method_not_allowed"), allow)


async def test_a_request_becomes_an_appointment(live: str, world: Stack) -> None:
    submissions = await send(live, world, "GET", SEEDED_SUBMISSION, "patient")
    body = {"submission_id": submissions.json()["items"][0]["id"], "notes": "mornings"}
    asked = await send(
        live, world, "POST", "/appointment-requests", "patient", body=body, key=str(uuid4())
    )
    assert asked.status_code == 201
    path = f"/appointment-requests/{asked.json()['id']}"
    assert (await send(live, world, "POST", f"{path}/claim", body={})).status_code == 200
    other = await send(live, world, "POST", f"{path}/claim", "clinician-b", body={})
    assert code(other) == (409, "claimed")
    assert int(other.headers["retry-after"]) > 0
    slot = (await send(live, world, "GET", SLOTS)).json()["items"][0]
    booking = {name: slot[name] for name in ("starts_at", "ends_at", "clinician_id")}
    key = str(uuid4())
    confirmed, again = [
        await send(live, world, "POST", f"{path}/confirm", body=booking, key=key) for _ in range(2)
    ]
    assert confirmed.status_code == 200
    assert again.content == confirmed.content
    missing = await send(live, world, "POST", f"{path}/confirm", body=booking)
    assert code(missing) == (400, "idempotency_key_missing")
    there = await send(live, world, "GET", path)
    assert there.json()["status"] == "confirmed"
    taken = (await send(live, world, "GET", SLOTS)).json()["items"]
    assert slot not in taken
    assert ("appointment_requests", (asked.json()["id"],)) in await intents(world)


async def intents(world: Stack) -> set[tuple[str, tuple[str, ...] | None]]:
    log = RedisLog(f"{world.redis}/{DATABASE}")
    try:
        found = []
        for partition in range(len(await log.end(TOPIC))):
            found += await log.read(TOPIC, {partition: BEGINNING}, limit=10_000)
        said = [decode(entry.value) for entry in found]
        return {(s.entity, s.key) for s in said if isinstance(s, Intent)}
    finally:
        await log.close()


async def test_a_label_is_claimed_and_printed(live: str, world: Stack) -> None:
    made = await send(
        live, world, "POST", "/partner/labels", "partner", body={"site_code": "S"}, key=str(uuid4())
    )
    path = f"/partner/labels/{made.json()['id']}"

    async def do(word: str, **members: Any) -> httpx.Response:
        return await send(
            live, world, "POST", f"{path}/{word}", "partner", body={"printer": "p1", **members}
        )

    assert (await do("claim")).json()["status"] == "printing"
    assert code(await do("claim", printer="p2")) == (409, "claimed")
    assert (await do("failed", error="jam")).json()["status"] == "queued"
    assert (await do("claim")).json()["attempts"] == 2
    assert (await do("printed")).json()["status"] == "printed"


# --- files, and waiting


def part(number: int) -> bytes:
    return bytes([number % 251]) * 64 * 1024


async def test_a_file_goes_through_in_pieces_and_comes_back_the_same(
    live: str, world: Stack
) -> None:
    submissions = await send(live, world, "GET", SEEDED_SUBMISSION)
    body = {"submission_id": submissions.json()["items"][0]["id"], "title": f"Plan {uuid4()}"}
    made = await send(live, world, "POST", "/action-plans", body=body, key=str(uuid4()))
    path = f"/action-plans/{made.json()['id']}"
    content = b"".join(part(number) for number in range(200))
    digest = b64encode(sha256(content).digest()).decode()

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(200):
            yield part(number)

    headers = {
        "authorization": f"Bearer {world.tokens['clinician']}",
        "content-type": "application/pdf",
        "content-digest": f"sha-256=:{digest}:",
    }
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        put = await client.put(f"{live}/v2{path}/content", content=pieces(), headers=headers)
        assert put.status_code == 200, put.text
        assert put.json()["content_length"] == len(content)
        got = await client.get(f"{live}/v2{path}/content", headers=headers)
        assert (got.status_code, got.content == content) == (200, True)
        assert got.headers["content-type"] == "application/pdf"
        assert digest in got.headers["repr-digest"]
        wrong = {**headers, "content-digest": f"sha-256=:{b64encode(b'x' * 32).decode()}:"}
        refused = await client.put(f"{live}/v2{path}/content", content=pieces(), headers=wrong)
        assert refused.status_code == 422
        again = await client.get(f"{live}/v2{path}/content", headers=headers)
        assert again.content == content


async def test_a_file_that_is_too_large_is_refused_before_it_comes(live: str, world: Stack) -> None:
    host, _, port = live.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"PUT /v2/action-plans/{uuid4()}/content HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {world.tokens['clinician']}\r\nContent-Length: {50 * 1024 * 1024 + 1}\r\n\r\n"
    )
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), timeout=10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too_large" in answer


async def test_a_change_is_waited_for(live: str, world: Stack) -> None:
    submissions = await send(live, world, "GET", SEEDED_SUBMISSION)
    body = {"submission_id": submissions.json()["items"][0]["id"], "test_code": "X"}
    made = await send(live, world, "POST", "/lab-orders", body=body, key=str(uuid4()))
    path = f"/lab-orders/{made.json()['id']}"
    headers = {
        "authorization": f"Bearer {world.tokens['clinician-b']}",
        "if-none-match": made.headers["etag"],
        "prefer": "wait=20",
    }
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        waiting = asyncio.ensure_future(client.get(f"{live}/v2{path}", headers=headers))  # noqa: TID251 - beside the change
        await asyncio.sleep(0.3)
        assert not waiting.done()
        changed = await send(live, world, "PATCH", path, body={"priority": 1})
        answer = await waiting
    assert (answer.status_code, answer.json()["priority"]) == (200, 1)
    assert answer.headers["etag"] == changed.headers["etag"]
