"""True conflicts on both sides, collected from real databases."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import pytest
from typing_extensions import override

from catalog import assets
from catalog.service import Service
from catalog.stage import Side
from migration.conflicts import Conflicts, ConflictSource
from migration.converge import Converge
from migration.postgres_store import legacy_store, service_store
from migration.store import Unavailable
from migration.subjects import ServiceSubjects
from runtime.alerts import Alerts
from runtime.control_database import migrate_control
from runtime.postgres import create_pool
from runtime.sealed import Sealer
from runtime.tagger import Tagger
from sandbox.legacy.load import Legacy
from tests.fakes.keys import keyring
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

TASKS = assets()["compliance_tasks"]
TABLES = {Side.LEGACY: "public.compliance_tasks", Side.SERVICE: "compliance.task"}
BOOKS = {Side.LEGACY: "banyan.conflicts", Side.SERVICE: "compliance.conflicts"}
TAGGER = Tagger(keyring("e1"))
SEALER = Sealer(keyring("f1"))


class Crashing(ConflictSource):
    """Dies before it removes what was collected, while `crash`."""

    crash = False

    @override
    async def remove(self, ids: Sequence[int]) -> None:
        if self.crash:
            raise Unavailable("08006")
        await super().remove(ids)


@dataclass(frozen=True, kw_only=True)
class World:
    users: Mapping[Side, asyncpg.Connection]
    converge: Converge
    sources: Mapping[Side, Crashing]
    control: asyncpg.Pool
    conflicts: Conflicts
    alerts: Alerts

    async def clash(self, *, loser: Side) -> str:
        """A task that was written on both sides at once; the key. Who writes later wins."""
        user = self.users[Side.LEGACY]
        key = str(await user.fetchval("select id from public.compliance_tasks order by id limit 1"))
        for side in (loser, loser.other):
            await self.users[side].execute(
                f"update {TABLES[side]} set title = $2 where id = $1::text::uuid", key, f"of {side}"
            )
        found = await self.converge.run("compliance_tasks", [(key,)], loser.other)
        assert found[key,].conflict
        return key

    async def left(self) -> int:
        return sum(
            [int(await self.users[s].fetchval(f"select count(*) from {BOOKS[s]}")) for s in Side]
        )

    async def open(self) -> list[tuple[str, str, int]]:
        return [(a.alert_class, a.detail, a.count) for a in await self.alerts.page()]


@pytest.fixture
async def world(
    legacy: Legacy, own_services: ServicesDatabase, empty_dsn: str
) -> AsyncIterator[World]:
    await migrate_control(empty_dsn)
    users = {
        Side.LEGACY: await asyncpg.connect(legacy.owner),
        Side.SERVICE: await asyncpg.connect(own_services.owner),
    }
    control = await create_pool(empty_dsn, name="test", size=2)
    async with (
        asyncpg.create_pool(legacy.worker, min_size=1, max_size=2) as old,
        asyncpg.create_pool(own_services.apply, min_size=1, max_size=2) as new,
    ):
        pools = dict.fromkeys(Service, new)
        stores = {Side.LEGACY: legacy_store(old), Side.SERVICE: service_store(pools)}
        sources = {
            Side.LEGACY: Crashing(Side.LEGACY, old),
            Side.SERVICE: Crashing(Side.SERVICE, new, Service.COMPLIANCE),
        }
        alerts = Alerts(control)
        yield World(
            users=users,
            converge=Converge(stores, ServiceSubjects(pools)),
            sources=sources,
            control=control,
            conflicts=Conflicts(
                list(sources.values()), control, alerts=alerts, sealer=SEALER, tagger=TAGGER
            ),
            alerts=alerts,
        )
    await control.close()
    for user in users.values():
        await user.close()


@pytest.mark.parametrize("loser", Side)
async def test_a_record_is_moved_with_its_sealed_row_and_rings(world: World, loser: Side) -> None:
    key = await world.clash(loser=loser)
    for _ in range(2):
        await world.conflicts.step()
    assert await world.left() == 0
    [record] = await world.control.fetch("select * from control.conflicts")
    [kept] = await world.control.fetch("select * from control.quarantine")
    stamps = json.loads(record["loser"])
    assert (record["entity"], record["key"], stamps["origin"]) == ("compliance_tasks", key, loser)
    assert json.loads(record["winner"])["origin"] == loser.other
    version = f"{stamps['updated_at']}.{stamps['origin']}"
    row = SEALER.open(kept["sealed"], entity="compliance_tasks", key=key, version=version)
    assert json.loads(row)["title"] == f"of {loser}"
    assert await world.open() == [("conflict", f"lost_on_{loser}", 1)]


async def test_equal_values_of_both_sides_have_equal_tags_and_few_valued_fields_none(
    world: World,
) -> None:
    for loser in Side:
        await world.clash(loser=loser)
        await world.conflicts.step()
    tags = [
        json.loads(row["tags"])
        for row in await world.control.fetch("select tags from control.conflicts order by id")
    ]
    low = {column.target for column in TASKS.kept if column.low_entropy}
    assert low
    for one in tags:
        assert not low & one.keys()
    assert tags[0]["title"] != tags[1]["title"]
    assert tags[0]["id"] == tags[1]["id"]
    shared = tags[0].keys() & tags[1].keys() - {"title", "updated_at"}
    assert len(shared) > 4
    assert {name for name in shared if tags[0][name] != tags[1][name]} == set()
    assert str(TAGGER.tag("compliance_tasks", "title", '"of legacy"')) == tags[0]["title"]


async def test_a_crash_before_the_removal_collects_it_once(world: World) -> None:
    await world.clash(loser=Side.LEGACY)
    world.sources[Side.LEGACY].crash = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await world.conflicts.step()
    assert await world.left() == 1
    world.sources[Side.LEGACY].crash = False
    await world.conflicts.step()
    assert await world.left() == 0
    for table in ("conflicts", "quarantine"):
        assert await world.control.fetchval(f"select count(*) from control.{table}") == 1
    assert await world.open() == [("conflict", "lost_on_legacy", 1)]


async def test_a_sealed_row_goes_after_thirty_days_and_its_record_stays(world: World) -> None:
    await world.clash(loser=Side.LEGACY)
    await world.conflicts.step()
    await world.conflicts.purge()
    assert await world.control.fetchval("select count(*) from control.quarantine") == 1
    await world.control.execute(
        "update control.quarantine set kept_until = kept_until - interval '30 days'"
    )
    await world.conflicts.purge()
    assert await world.control.fetchval("select count(*) from control.quarantine") == 0
    assert await world.control.fetchval("select count(*) from control.conflicts") == 1


async def test_a_row_that_the_catalog_does_not_know_is_kept_without_tags(world: World) -> None:
    key = await world.clash(loser=Side.LEGACY)
    await world.users[Side.LEGACY].execute(
        "update banyan.conflicts set loser_row = jsonb_set(loser_row, '{status}', '\"lost\"')"
    )
    await world.conflicts.step()
    [record] = await world.control.fetch("select key, tags from control.conflicts")
    assert (record["key"], json.loads(record["tags"])) == (key, {})
    assert await world.control.fetchval("select count(*) from control.quarantine") == 1
