"""kill -9 of the movers at the crash points of data-rules section 8, and at random: whatever was written arrives, once."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from benchmarks.own_valkey import own_valkey
from catalog import assets
from catalog.stage import Side
from migration.relay import create_topics
from runtime.control_database import migrate_control
from runtime.eventlog.protocol import BEGINNING
from runtime.eventlog.redis_log import RedisLog
from runtime.intent import TOPIC, Closed, Intent, Outcome, Settled, decode, encode, stream_key
from runtime.serviceevent import topic_of
from runtime.settings import inherited_environment
from sandbox.legacy.load import Legacy
from tests.fakes.keys import key_setting
from tests.services_world import ServicesDatabase
from tests.until import until, until_async

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]
PARTNER = "000000ba-0000-4000-8000-0000000000ff"
STOCK = assets()["partner_stock_levels"]
TABLES = {Side.LEGACY: "public.partner_stock_levels", Side.SERVICE: "partner_ops.stock_level"}
BOOKS = {Side.LEGACY: "banyan.conflicts", Side.SERVICE: "partner_ops.conflicts"}
WITHIN = 60.0
"""A dead member's partitions go to others after ten seconds."""
KILLS = 6


@dataclass(kw_only=True)
class World:
    users: dict[Side, asyncpg.Connection]
    control: asyncpg.Connection
    log: RedisLog
    environment: dict[str, str]
    folder: Path
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, name: str, failpoint: str = "") -> "subprocess.Popen[bytes]":
        environment = {**self.environment, **({"FAILPOINT": failpoint} if failpoint else {})}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "migration", name],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    # --- what users and the gateway do

    async def write(self, sku: str, value: int, side: Side) -> None:
        await self.users[side].execute(
            f"insert into {TABLES[side]} (partner_id, site_code, sku, on_hand, reserved, created_at)"
            " values ($1, 'A', $2, $3, 0, now()) on conflict (partner_id, site_code, sku) do update set on_hand = $3",
            PARTNER,
            sku,
            value,
        )

    async def announce(self, sku: str, side: Side, *, grace: float = 30.0) -> Intent:
        intent = Intent(
            id=str(uuid4()),
            entity=STOCK.entity,
            key=(PARTNER, "A", sku),
            authority=side,
            scope="",
            user="tag",
            epoch=0,
            correlation_id=f"c-{sku}",
            grace_seconds=grace,
        )
        await self.log.append(TOPIC, stream_key(intent), encode(intent))
        return intent

    async def close(self, intent: Intent, outcome: Outcome = Outcome.APPLIED) -> None:
        closed = Closed(id=intent.id, outcome=outcome)
        await self.log.append(TOPIC, stream_key(intent), encode(closed))

    async def written(self, sku: str, value: int, side: Side) -> Intent:
        intent = await self.announce(sku, side)
        await self.write(sku, value, side)
        await self.close(intent)
        return intent

    # --- what came of it

    async def rows(self, side: Side) -> list[tuple[object, ...]]:
        rows = await self.users[side].fetch(
            f"select sku, on_hand, updated_at, origin, row_version, correlation_id from {TABLES[side]}"
            f" where partner_id = '{PARTNER}' order by sku collate \"C\""
        )
        return [tuple(row) for row in rows]

    async def equal(self) -> bool:
        return await self.rows(Side.LEGACY) == await self.rows(Side.SERVICE)

    async def settled(self) -> list[str]:
        found = []
        for partition in range(len(await self.log.end(TOPIC))):
            found += await self.log.read(TOPIC, {partition: BEGINNING}, limit=10_000)
        said = [decode(entry.value) for entry in found]
        return [one.id for one in said if isinstance(one, Settled)]

    async def idle(self) -> bool:
        """No intent is open, no event unpublished, nothing unsolved, and both sides are equal."""
        intents = await self.control.fetchval("select count(*) from control.intents")
        unsolved = await self.control.fetchval(
            "select count(*) from control.divergences where state <> 'solved'"
        )
        waiting = await self.users[Side.SERVICE].fetchval(
            "select count(*) from partner_ops.outbox where published_at is null"
        )
        return (intents, unsolved, waiting) == (0, 0, 0) and await self.equal()

    async def conflicts(self) -> int:
        return sum(
            [int(await self.users[s].fetchval(f"select count(*) from {BOOKS[s]}")) for s in Side]
        )


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[str]:
    with own_valkey(tmp_path / "valkey") as started:
        yield started.url


@pytest.fixture
async def world(
    legacy: Legacy, own_services: ServicesDatabase, empty_dsn: str, valkey: str, tmp_path: Path
) -> AsyncIterator[World]:
    await migrate_control(empty_dsn)
    log = RedisLog(valkey)
    await log.create(TOPIC)
    await create_topics(log)
    environment = {
        **inherited_environment(),
        "PROFILE": "sandbox",
        "LEGACY_DATABASE_URL": legacy.worker,
        "LEGACY_CONTROL_DATABASE_URL": legacy.control,
        "SERVICES_APPLY_DATABASE_URL": own_services.apply,
        "CONTROL_DATABASE_URL": empty_dsn,
        "REDIS_URL": valkey,
        "FIELD_KEYS": key_setting("f1"),
        "EVIDENCE_KEYS": key_setting("e1"),
    }
    made = World(
        users={
            Side.LEGACY: await asyncpg.connect(legacy.owner),
            Side.SERVICE: await asyncpg.connect(own_services.owner),
        },
        control=await asyncpg.connect(empty_dsn),
        log=log,
        environment=environment,
        folder=tmp_path,
    )
    yield made
    for process in made.started:
        process.kill()
        process.wait()
    await log.close()
    for connection in (*made.users.values(), made.control):
        await connection.close()


def killed(process: "subprocess.Popen[bytes]") -> bool:
    """By the failpoint's SIGKILL, and not by a mistake of ours."""
    until(lambda: process.poll() is not None, within=WITHIN)
    return process.returncode == -9


@pytest.mark.parametrize("side", Side)
async def test_m1_killed_between_the_effect_and_its_word(world: World, side: Side) -> None:
    intent = await world.written("x", 1, side)
    first = world.start("mirror", "M1")
    assert await asyncio.to_thread(killed, first)
    assert await world.equal(), "it had arrived"
    assert await world.settled() == []
    world.start("mirror")
    await until_async(world.settled, within=WITHIN)
    assert await world.settled() == [intent.id]
    assert await world.equal()
    assert await world.conflicts() == 0


async def test_n2_n4_intents_whose_gateway_was_killed(world: World) -> None:
    """One before its write, one behind it: nobody ever says how they ended."""
    nothing = await world.announce("never", Side.LEGACY, grace=2.0)
    something = await world.announce("there", Side.LEGACY, grace=2.0)
    await world.write("there", 4, Side.LEGACY)
    world.start("mirror")

    async def both() -> bool:
        return sorted(await world.settled()) == sorted([nothing.id, something.id])

    await until_async(both, within=WITHIN)
    assert [row[0] for row in await world.rows(Side.SERVICE)] == ["there"]
    assert await world.control.fetchval("select count(*) from control.intents") == 0


async def test_n3_a_write_that_commits_behind_the_first_converge_arrives(world: World) -> None:
    """Its gateway does not know how it ended. On either side it commits two seconds after the worker has looked in vain."""
    writes = [world.users[side].transaction() for side in Side]
    for transaction in writes:
        await transaction.start()
    intents = []
    for side in Side:
        await world.write(f"late-{side}", 3, side)
        intents.append(await world.announce(f"late-{side}", side, grace=12.0))
        await world.close(intents[-1], Outcome.UNKNOWN)
    world.start("mirror")

    async def looked_in_vain() -> bool:
        """Put off until the grace time is over, so a converge has ended; and that a while ago."""
        return bool(
            await world.control.fetchval(
                "select count(*) = 2 and clock_timestamp() > max(closed_at) + interval '2 seconds' from control.intents"
                " where attempts > 0 and next_at = resolve_at"
            )
        )

    await until_async(looked_in_vain, within=WITHIN)
    for transaction in writes:
        await transaction.commit()
    assert await world.settled() == []
    assert not await world.equal()

    async def both() -> bool:
        return sorted(await world.settled()) == sorted(intent.id for intent in intents)

    await until_async(both, within=WITHIN)
    assert await world.equal()
    assert [row[:2] for row in await world.rows(Side.LEGACY)] == [
        ("late-legacy", 3),
        ("late-service", 3),
    ]
    assert await world.conflicts() == 0


@pytest.mark.parametrize(("point", "copies"), [("O1", 1), ("O2", 2)])
async def test_o1_o2_a_relay_is_killed_before_and_behind_the_publication(
    world: World, point: str, copies: int
) -> None:
    await world.write("x", 1, Side.SERVICE)
    await world.write("x", 2, Side.SERVICE)
    assert await asyncio.to_thread(killed, world.start("relay", point))
    world.start("relay")
    world.start("sync-backfill")
    await until_async(world.idle, within=WITHIN)
    found = []
    for partition in range(len(await world.log.end(topic_of(STOCK.entity)))):
        found += await world.log.read(topic_of(STOCK.entity), {partition: BEGINNING})
    assert len(found) == 2 * copies
    assert [row[1] for row in await world.rows(Side.LEGACY)] == [2]


async def test_m1_a_sync_backfill_is_killed_before_it_acknowledges(world: World) -> None:
    await world.write("x", 1, Side.SERVICE)
    world.start("relay")
    assert await asyncio.to_thread(killed, world.start("sync-backfill", "M1"))
    assert await world.equal()
    await world.write("x", 2, Side.SERVICE)
    world.start("sync-backfill")
    await until_async(world.idle, within=WITHIN)
    assert await world.conflicts() == 0


@pytest.mark.parametrize("seed", range(2))
async def test_random_kills_lose_nothing_and_double_nothing(world: World, seed: int) -> None:
    """Writers on both sides, each on rows of its own; the movers are killed one after the other, and follow each other."""
    draw = random.Random(seed)
    names = ("mirror", "relay", "sync-backfill")
    running = {name: world.start(name) for name in names}
    intents = []
    for kill in range(KILLS):
        for n in range(40):
            side = draw.choice(list(Side))
            sku = f"{side}-{draw.randrange(12)}"
            intents.append(await world.written(sku, kill * 100 + n, side))
        victim = draw.choice(names)
        os.kill(running[victim].pid, 9)
        running[victim].wait()
        running[victim] = world.start(victim)
    await until_async(world.idle, within=2 * WITHIN)
    assert {intent.id for intent in intents} <= set(await world.settled())
    assert await world.conflicts() == 0
    assert len(await world.rows(Side.SERVICE)) > 12
