"""What only a real connection shows: an answer that breaks off, a client that leaves in the middle of what it asked for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from catalog.service import Service
from runtime.objectstore import ObjectStore, open_store
from runtime.tasks import spawn
from services.app import create_app
from tests.services_world import Issuer, ServicesDatabase, settings_for
from tests.until import until_async
from tests.writing_world import World

pytestmark = pytest.mark.stack

CONTENT = bytes(3 * 1024 * 1024)
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[int]:
    """The app behind a server of this process; its port."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, http="httptools", log_config=None)
    )
    running = spawn(server.serve(), name="test.server")

    async def started() -> bool:
        return server.started

    await until_async(started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def asking(port: int, head: str, headers: dict[str, str]) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{head} HTTP/1.1", "host: localhost", *(f"{n}: {v}" for n, v in headers.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
def store(tmp_path) -> ObjectStore:
    return open_store(f"file://{tmp_path}/objects")


@pytest.fixture
async def ports(
    own_services: ServicesDatabase, issuer: Issuer, tmp_path
) -> AsyncIterator[dict[Service, tuple[int, FastAPI]]]:
    settings = settings_for(own_services.service, object_store_url=f"file://{tmp_path}/objects")
    async with AsyncExitStack() as stack:
        found = {}
        for service in (Service.CARE_PLANS, Service.DIAGNOSTICS):
            app = create_app(service, settings, keys=issuer.keys())
            found[service] = (await stack.enter_async_context(listening(app)), app)
        yield found


async def plan(writing_world: World) -> str:
    body = {"submission_id": await writing_world.submission(), "title": "T"}
    made = await writing_world.send(Service.CARE_PLANS, "POST", "/action-plans", body=body, key="p")
    return str(made.json()["id"])


async def put(port: int, path: str, headers: dict[str, str], content: bytes) -> Any:
    sized = {**headers, "content-length": str(len(content)), "connection": "close"}
    async with asking(port, f"PUT {path}", sized) as (reader, writer):
        writer.write(content)
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200")
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_a_file_that_is_not_what_was_put_breaks_off(
    writing_world: World, ports: dict[Service, tuple[int, FastAPI]], store: ObjectStore
) -> None:
    port, _ = ports[Service.CARE_PLANS]
    key = await plan(writing_world)
    path, headers = f"/v2/action-plans/{key}/content", writing_world.issuer.headers("clinician")
    await put(port, path, headers, CONTENT)

    async def got() -> bytes:
        async with asking(port, f"GET {path}", {**headers, "connection": "close"}) as (reader, _):
            return (await reader.read()).partition(b"\r\n\r\n")[2]

    assert await got() == CONTENT
    (name,) = [found.name async for found in store.list("")]

    async def changed() -> AsyncIterator[bytes]:
        yield CONTENT[:-1] + b"x"

    await store.put(name, changed())
    assert len(await got()) < len(CONTENT)


async def test_an_upload_that_is_cut_changes_nothing(
    writing_world: World, ports: dict[Service, tuple[int, FastAPI]], store: ObjectStore
) -> None:
    port, app = ports[Service.CARE_PLANS]
    key = await plan(writing_world)
    path, headers = f"/v2/action-plans/{key}/content", writing_world.issuer.headers("clinician")
    sized = {**headers, "content-length": str(len(CONTENT))}
    objects: ObjectStore = app.state.deps.objects

    async def putting(number: int) -> bool:
        return objects.putting == number

    async with asking(port, f"PUT {path}", sized) as (_, writer):
        writer.write(CONTENT[:-1])
        await writer.drain()
        await until_async(lambda: putting(1))
    await until_async(lambda: putting(0))
    assert [found async for found in store.list("")] == []
    row = await writing_world.owner.fetchrow(
        "select content_sha256, row_version from care_plans.action_plan where id = $1", key
    )
    assert row is not None
    assert (row["content_sha256"], row["row_version"]) == (None, 1)
    await put(port, path, headers, CONTENT)


async def test_who_leaves_while_waiting_frees_the_place(
    writing_world: World, ports: dict[Service, tuple[int, FastAPI]]
) -> None:
    port, app = ports[Service.DIAGNOSTICS]
    made = await writing_world.order()
    wishes = {"if-none-match": made.headers["etag"], "prefer": "wait=25"}
    headers = writing_world.issuer.headers("clinician", **wishes)

    async def waiting(number: int) -> bool:
        return bool(app.state.deps.changes.waiting == number)

    async with asking(port, f"GET /v2/lab-orders/{made.json()['id']}", headers):
        await until_async(lambda: waiting(1))
    await until_async(lambda: waiting(0))
