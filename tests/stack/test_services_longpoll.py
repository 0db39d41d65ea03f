"""Waiting for an order's next version through services that share a database, as two processes would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
import httpx
import pytest

from catalog.service import Service
from services.app import create_app
from services.changes import Changes
from tests.services_world import USERS, Issuer, ServicesDatabase, settings_for
from tests.until import until_async

pytestmark = pytest.mark.stack

WAITERS = 300
"""Many more than a pool has connections."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """A diagnostics service, as one of several over the same database."""

    client: httpx.AsyncClient
    changes: Changes
    pool: asyncpg.Pool


@dataclass(frozen=True, kw_only=True)
class World:
    here: Process
    there: Process
    owner: asyncpg.Connection
    database: ServicesDatabase
    issuer: Issuer
    order: str
    """The path of one that a patient sees."""

    async def tag(self) -> str:
        found = await self.here.client.get(self.order, headers=self.issuer.headers("clinician"))
        return str(found.headers["etag"])

    async def wait(self, seconds: int, *, tag: str, user: str = "clinician") -> httpx.Response:
        wishes = {"if-none-match": tag, "prefer": f"wait={seconds}"}
        return await self.here.client.get(self.order, headers=self.issuer.headers(user, **wishes))

    async def change(self, process: Process, **members: object) -> httpx.Response:
        found = await process.client.patch(
            self.order, json=members, headers=self.issuer.headers("clinician")
        )
        assert found.status_code == 200
        return found

    async def waiting(self, number: int) -> None:
        async def there() -> bool:
            return self.here.changes.waiting == number

        await until_async(there)

    async def idle(self) -> None:
        """Nobody holds a connection of the pool's."""

        async def there() -> bool:
            return self.here.pool.get_idle_size() == self.here.pool.get_size()

        await until_async(there)

    async def listening(self) -> None:
        async def there() -> bool:
            return self.here.changes.listening

        await until_async(there)


@pytest.fixture
async def world(own_services: ServicesDatabase, issuer: Issuer) -> AsyncIterator[World]:
    owner = await asyncpg.connect(own_services.owner)
    order = await owner.fetchval(
        "select o.id from diagnostics.lab_order o join diagnostics.subject_access a using (submission_id)"
        " where a.user_id = $1 limit 1",
        USERS["patient"].sub,
    )
    async with AsyncExitStack() as stack:
        processes = []
        for _ in range(2):
            # All look once at the same moment: how soon a busy process sends them away is not asked here.
            settings = settings_for(own_services.service, pool_wait_seconds=30.0)
            app = create_app(Service.DIAGNOSTICS, settings, keys=issuer.keys())
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=app), base_url="http://diagnostics"
                )
            )
            deps = app.state.deps
            processes.append(Process(client=client, changes=deps.changes, pool=deps.pool))
        found = World(
            here=processes[0],
            there=processes[1],
            owner=owner,
            database=own_services,
            issuer=issuer,
            order=f"/v2/lab-orders/{order}",
        )
        await found.listening()
        yield found
    await owner.close()


async def test_many_wait_for_what_another_process_writes_and_hold_no_connection(
    world: World,
) -> None:
    tag = await world.tag()
    asking = asyncio.gather(*(world.wait(25, tag=tag) for _ in range(WAITERS)))
    await world.waiting(WAITERS)
    await world.idle()
    assert await world.tag() == tag
    changed = await world.change(world.there, priority=5)
    found = await asking
    assert {(r.status_code, r.content) for r in found} == {(200, changed.content)}
    assert {(r.headers["etag"], r.headers["preference-applied"]) for r in found} == {
        (changed.headers["etag"], "wait=25")
    }
    assert world.here.changes.waiting == 0


async def test_a_row_that_does_not_change_is_304_in_the_end(world: World) -> None:
    tag = await world.tag()
    found = await world.wait(1, tag=tag)
    assert (found.status_code, found.content) == (304, b"")
    assert (found.headers["etag"], found.headers["preference-applied"]) == (tag, "wait=1")


async def test_without_a_tag_or_with_an_old_one_nobody_waits(world: World) -> None:
    for known in ('"1.legacy"', "", "*"):
        found = await world.wait(25, tag=known)
        assert found.status_code == (304 if known == "*" else 200)
    head = await world.here.client.head(
        world.order,
        headers=world.issuer.headers(
            "clinician", **{"if-none-match": await world.tag(), "prefer": "wait=25"}
        ),
    )
    assert (head.status_code, "preference-applied" in head.headers) == (304, False)


async def test_who_may_not_see_the_row_any_more_is_told_so(world: World) -> None:
    asking = asyncio.gather(world.wait(25, tag=await world.tag(), user="patient"))
    await world.waiting(1)
    await world.owner.execute("update diagnostics.subject_access set user_id = null")
    await world.change(world.there, priority=1)
    (found,) = await asking
    assert (found.status_code, found.json()["code"]) == (404, "not_found")


async def test_an_apply_wakes_as_well(world: World) -> None:
    tag = await world.tag()
    asking = asyncio.gather(world.wait(25, tag=tag))
    await world.waiting(1)
    await world.owner.execute("set banyan.apply = 'on'")
    await world.owner.execute(
        "update diagnostics.lab_order set priority = 4, updated_at = updated_at + interval '1 second' where id = $1",
        world.order.rpartition("/")[2],
    )
    (found,) = await asking
    assert (found.status_code, found.json()["priority"]) == (200, 4)


async def test_a_lost_connection_loses_no_change_and_comes_back(world: World) -> None:
    tag = await world.tag()
    asking = asyncio.gather(world.wait(25, tag=tag))
    await world.waiting(1)
    itself = await asyncpg.connect(world.database.service)
    ended = await itself.fetchval(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where application_name = 'banyan diagnostics changes' and datname = current_database()"
    )
    await itself.close()
    assert ended == 2

    async def lost() -> bool:
        return not world.here.changes.listening

    await until_async(lost)
    await world.change(world.there, priority=2)
    (found,) = await asking
    assert (found.status_code, found.json()["priority"]) == (200, 2)
    await world.listening()
    asking = asyncio.gather(world.wait(25, tag=found.headers["etag"]))
    await world.waiting(1)
    await world.change(world.there, priority=3)
    (found,) = await asking
    assert found.json()["priority"] == 3
