"""Files of action plans: put, got, verified, superseded; and what is left behind where that ends in the middle."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from catalog.service import Service
from routes.operation import LARGEST_STREAM
from runtime.objectstore import ObjectStore, open_store
from services.app import create_app
from services.care_plans import orphans
from services.care_plans.content import Corrupt
from tests.services_world import USERS, Issuer, ServicesDatabase, settings_for
from tests.writing_world import CLINICIAN, PATIENT, World, code, fields

pytestmark = pytest.mark.stack

MEBIBYTE = 1024 * 1024
PDF = b"%PDF-1.7 synthetic"


@pytest.fixture
def folder(tmp_path) -> str:
    return f"file://{tmp_path}/objects"


@pytest.fixture
async def world(
    writing_world: World, own_services: ServicesDatabase, issuer: Issuer, folder: str
) -> AsyncIterator[World]:
    """With the files in a folder that the tests can look into."""
    settings = settings_for(own_services.service, object_store_url=folder)
    app = create_app(Service.CARE_PLANS, settings, keys=issuer.keys())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://plans") as client:
            writing_world.clients[Service.CARE_PLANS] = client
            yield writing_world


@pytest.fixture
def store(folder: str) -> ObjectStore:
    return open_store(folder)


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


async def plan(world: World, **members: Any) -> dict[str, Any]:
    body = {"submission_id": await world.submission(), "title": str(uuid4()), **members}
    made = await world.send(
        Service.CARE_PLANS, "POST", "/action-plans", body=body, key=str(uuid4())
    )
    assert made.status_code == 201
    return {**made.json(), "etag": made.headers["etag"]}


async def put(
    world: World, plan: dict[str, Any], content: Any = PDF, user: str = CLINICIAN, **headers: str
) -> httpx.Response:
    found = {n.replace("_", "-"): v for n, v in headers.items()}
    return await world.clients[Service.CARE_PLANS].put(
        f"/v2/action-plans/{plan['id']}/content",
        content=content,
        headers=world.issuer.headers(user, **found),
    )


async def get(
    world: World, plan: dict[str, Any], user: str = CLINICIAN, method: str = "GET", **headers: str
) -> httpx.Response:
    found = {n.replace("_", "-"): v for n, v in headers.items()}
    return await world.clients[Service.CARE_PLANS].request(
        method,
        f"/v2/action-plans/{plan['id']}/content",
        headers=world.issuer.headers(user, **found),
    )


async def stored(store: ObjectStore) -> set[str]:
    return {found.name async for found in store.list("")}


async def row(world: World, plan: dict[str, Any]) -> asyncpg.Record:
    found = await world.owner.fetchrow(
        "select * from care_plans.action_plan where id = $1", plan["id"]
    )
    assert found is not None
    return found


async def pieces(size: int, step: int = MEBIBYTE) -> AsyncIterator[bytes]:
    for start in range(0, size, step):
        yield bytes(min(step, size - start))


async def test_a_file_is_put_and_got(world: World, store: ObjectStore) -> None:
    made = await plan(world)
    done = await put(world, made, content_type="application/pdf", if_match=made["etag"])
    assert done.status_code == 200
    assert done.json()["content_length"] == len(PDF)
    assert done.json()["content_sha256"] == hashlib.sha256(PDF).hexdigest()
    found = await get(world, made)
    assert (found.status_code, found.content) == (200, PDF)
    expected = {
        "etag": done.headers["etag"],
        "content-type": "application/pdf",
        "content-length": str(len(PDF)),
        "repr-digest": digest(PDF),
        "content-disposition": f'attachment; filename="action-plan-{made["id"][:8]}-1.pdf"',
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "accept-ranges": "none",
    }
    assert {name: found.headers[name] for name in expected} == expected
    head = await get(world, made, method="HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(PDF)))
    same = await get(world, made, if_none_match=done.headers["etag"])
    assert (same.status_code, same.content) == (304, b"")
    named = await row(world, made)
    assert await stored(store) == {f"action-plans/{named['object_key']}"}
    assert named["object_key"].startswith(f"{made['id']}/1/")
    event = await world.owner.fetchval(
        "select count(*) from care_plans.outbox where key = jsonb_build_object('id', $1::text)",
        made["id"],
    )
    assert event == 2


async def test_a_file_of_many_parts_comes_back_whole(world: World) -> None:
    made, size = await plan(world), LARGEST_STREAM
    done = await put(world, made, pieces(size))
    assert (done.status_code, done.json()["content_length"]) == (200, size)
    assert len((await get(world, made)).content) == size


async def test_more_than_is_taken_is_refused_as_soon_as_it_is_seen(
    world: World, store: ObjectStore
) -> None:
    made, taken = await plan(world), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += MEBIBYTE
            yield bytes(MEBIBYTE)

    refused = await put(world, made, endless())
    assert code(refused) == (413, "too_large")
    assert taken <= LARGEST_STREAM + 2 * MEBIBYTE
    declared = await put(world, made, b"", content_length=str(LARGEST_STREAM + 1))
    assert code(declared) == (413, "too_large")
    assert await stored(store) == set()
    assert (await row(world, made))["content_sha256"] is None


async def test_digests_are_held_against_what_came(world: World, store: ObjectStore) -> None:
    made = await plan(world)
    both = {"content_digest": digest(PDF), "repr_digest": digest(PDF)}
    assert (await put(world, made, **both)).status_code == 200
    before, objects = await row(world, made), await stored(store)
    wrong = await put(world, made, b"other", content_digest=digest(PDF), repr_digest=digest(PDF))
    assert (code(wrong), fields(wrong)) == (
        (422, "invalid_fields"),
        {"content-digest": "does_not_match", "repr-digest": "does_not_match"},
    )
    bad = await put(world, made, content_digest="sha-256=:AAAA:")
    assert fields(bad) == {"content-digest": "expected_sha_256"}
    assert fields(await put(world, made, content_type="pdf")) == {
        "content-type": "expected_media_type"
    }
    assert (await row(world, made), await stored(store)) == (before, objects)


async def test_only_the_version_that_is_named_is_replaced(world: World, store: ObjectStore) -> None:
    made = await plan(world)
    first = await put(world, made, b"first", if_match=made["etag"])
    stale = await put(world, made, b"second", if_match=made["etag"])
    assert code(stale) == (412, "version_changed")
    assert (await get(world, made)).content == b"first"
    assert len(await stored(store)) == 1
    second = await put(world, made, b"second", if_match=first.headers["etag"])
    assert second.status_code == 200
    assert (await get(world, made)).content == b"second"


async def test_of_two_that_race_on_one_version_one_wins(world: World, store: ObjectStore) -> None:
    made = await plan(world)
    found = await asyncio.gather(
        *(put(world, made, f"{n}".encode(), if_match=made["etag"]) for n in range(6))
    )
    assert sorted(response.status_code for response in found) == [200, *[412] * 5]
    (winner,) = (n for n, response in enumerate(found) if response.status_code == 200)
    assert (await get(world, made)).content == f"{winner}".encode()
    assert await stored(store) == {f"action-plans/{(await row(world, made))['object_key']}"}


async def test_a_published_file_stands(world: World, store: ObjectStore) -> None:
    made = await plan(world)
    await put(world, made)
    path = f"/action-plans/{made['id']}"
    published = await world.send(
        Service.CARE_PLANS, "PATCH", path, body={"published_at": "2031-01-01T00:00:00Z"}
    )
    assert published.status_code == 200
    refused = await put(world, made, b"other")
    assert (code(refused), fields(refused)) == (
        (409, "conflict"),
        {"published_at": "published_already"},
    )
    assert (await get(world, made)).content == PDF
    assert len(await stored(store)) == 1


async def test_a_file_that_is_published_while_it_is_replaced_stands(
    world: World, store: ObjectStore
) -> None:
    made = await plan(world)
    await put(world, made)

    async def slow() -> AsyncIterator[bytes]:
        yield b"other"
        done = await world.send(
            Service.CARE_PLANS,
            "PATCH",
            f"/action-plans/{made['id']}",
            body={"published_at": "2031-01-01T00:00:00Z"},
        )
        assert done.status_code == 200
        yield b"more"

    refused = await put(world, made, slow())
    assert fields(refused) == {"published_at": "published_already"}
    assert (await get(world, made)).content == PDF
    assert len(await stored(store)) == 1


async def test_who_may_put_and_who_may_get(world: World, store: ObjectStore) -> None:
    subject = await world.owner.fetchval(
        "select submission_id from care_plans.subject_access where user_id = $1 limit 1",
        USERS[PATIENT].sub,
    )
    made = await plan(world, submission_id=str(subject))
    await put(world, made)
    assert code(await get(world, made, PATIENT)) == (404, "not_found")
    assert code(await put(world, made, b"mine", PATIENT)) == (404, "not_found")
    await world.send(
        Service.CARE_PLANS,
        "PATCH",
        f"/action-plans/{made['id']}",
        body={"published_at": "2031-01-01T00:00:00Z"},
    )
    assert (await get(world, made, PATIENT)).content == PDF
    assert code(await put(world, made, b"mine", PATIENT)) == (403, "forbidden")
    assert code(await put(world, made, b"mine", "compliance")) == (403, "forbidden")
    assert code(await get(world, made, "patient-b")) == (404, "not_found")
    assert len(await stored(store)) == 1


async def test_a_plan_whose_file_is_not_here(world: World) -> None:
    made = await plan(world)
    assert code(await get(world, made)) == (404, "file_not_here")
    seeded = await world.owner.fetch("select id::text from care_plans.action_plan limit 20")
    for old in seeded:
        assert code(await get(world, {"id": old["id"]})) == (404, "file_not_here")


async def test_a_file_that_was_changed_in_the_store_does_not_come_out(
    world: World, store: ObjectStore
) -> None:
    made = await plan(world)
    content = bytes(3 * MEBIBYTE)
    await put(world, made, content)
    (name,) = await stored(store)

    async def changed() -> AsyncIterator[bytes]:
        yield content[:-1] + b"x"

    await store.put(name, changed())
    with pytest.raises(Corrupt):
        await get(world, made)

    async def shorter() -> AsyncIterator[bytes]:
        yield content[:-1]

    await store.put(name, shorter())
    assert code(await get(world, made)) == (500, "internal")


async def test_a_body_that_breaks_off_changes_nothing(world: World, store: ObjectStore) -> None:
    made = await plan(world)

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(6 * MEBIBYTE)
        raise ConnectionError

    assert (await put(world, made, broken())).status_code == 503
    assert (await row(world, made))["content_sha256"] is None
    assert await stored(store) == set()


async def test_a_new_plan_of_the_same_title_is_the_next_revision(world: World) -> None:
    body = {"submission_id": await world.submission(), "title": "T"}

    async def post(key: str, **members: Any) -> httpx.Response:
        return await world.send(
            Service.CARE_PLANS, "POST", "/action-plans", body={**body, **members}, key=key
        )

    found = await asyncio.gather(*(post(f"k{n}") for n in range(8)))
    assert {response.status_code for response in found} == {201}
    assert sorted(response.json()["revision"] for response in found) == list(range(1, 9))
    assert (await post("k0")).content == found[0].content
    assert fields(await post("named", revision=3)) == {"revision": "taken"}
    assert (await post("far", revision=20)).json()["revision"] == 20
    assert (await post("next")).json()["revision"] == 21
    assert (await post("other", title="U")).json()["revision"] == 1


async def test_orphans_are_what_no_row_names(
    world: World, store: ObjectStore, own_services: ServicesDatabase
) -> None:
    made = await plan(world)
    await put(world, made, b"first")
    await put(world, made, b"second")
    assert len(await stored(store)) == 2
    later = datetime.now(UTC) + timedelta(minutes=1)
    async with asyncpg.create_pool(own_services.service, min_size=1, max_size=1) as pool:
        found = await orphans.find(store, pool, later)
        assert (len(found.orphans), found.named, found.young) == (1, 1, 0)
        assert (await orphans.find(store, pool, later - timedelta(hours=1))).orphans == ()
    await orphans.sweep(store, found.orphans)
    assert (await get(world, made)).content == b"second"
    assert len(await stored(store)) == 1
