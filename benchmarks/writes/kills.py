"""Writes over all entities while everything is killed: nothing acknowledged is lost or doubled, and both sides end equal."""

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.world import GatewayProcess, gateway, sandbox
from benchmarks.writes.caller import Caller, client
from benchmarks.writes.edge_world import STAGES
from benchmarks.writes.equality import unequal
from benchmarks.writes.killing import Killing
from benchmarks.writes.kinds import KINDS
from benchmarks.writes.parents import parents_of
from benchmarks.writes.ramp import USERS, Ramp, half_and_half
from benchmarks.writes.wire import Wire
from benchmarks.writes.working import Told, Working, numbers
from catalog import assets
from catalog.asset import Kind as AssetKind
from catalog.service import Service
from catalog.stage import Side
from migration.postgres_store import legacy_store, service_store
from runtime.stack import Stack
from runtime.tasks import spawn

TOPIC = "writes"
SEED = 6
_SHARE = 0.05
_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
_CLIENTS = 4
"""Of each side."""
_BETWEEN_SECONDS = (1.5, 3.0)
_CONVERGED_WITHIN_SECONDS = 60.0
_MOST_SECONDS = 240.0


async def run(size: Size) -> AsyncIterator[Claim]:
    """Half of the clients write to legacy, half to the services, through a gateway each."""
    writes, kills = size.of(10_000, 250), size.of(100, 15)
    with (
        tempfile.TemporaryDirectory(prefix="banyan-bench-") as name,
        sandbox(Path(name), scale=60, durable=True) as stack,
    ):
        async with _world(stack, Path(name)) as world:
            found = await _measure(world, writes=writes, kills=kills)
    for claim in _claims(found):
        yield claim


@dataclass(frozen=True, kw_only=True)
class _World:
    stack: Stack
    file: Path
    """Of the stack as it is now."""
    gateways: Mapping[Side, GatewayProcess]
    """By the side that takes the writes of the users who call them; they would take anybody's."""
    edges: Mapping[Side, Caller]
    wires: tuple[Wire, ...]


@asynccontextmanager
async def _world(stack: Stack, folder: Path) -> AsyncIterator[_World]:
    chance = random.Random(SEED)
    urls = json.loads(stack.environment["SERVICE_URLS"])
    wires = {name: Wire(url, share=_SHARE, chance=chance) for name, url in urls.items()}
    legacy = Wire(stack.environment["LEGACY_REST_URL"], share=_SHARE, chance=chance)
    async with AsyncExitStack() as running:
        for wire in (*wires.values(), legacy):
            await running.enter_async_context(wire.serving())
        changed = {
            "SERVICE_URLS": json.dumps({name: wire.url for name, wire in wires.items()}),
            "LEGACY_REST_URL": legacy.url,
        }
        here = stack.model_copy(update={"environment": {**stack.environment, **changed}})
        opened = await running.enter_async_context(client(4 * _CLIENTS))
        gateways = {}
        for side in Side:
            one = gateway(here, folder, name=f"kills-{side}")
            # It asks upstreams by way of this very loop.
            gateways[side] = await asyncio.to_thread(one.__enter__)
            running.push_async_callback(asyncio.to_thread, one.__exit__, None, None, None)
        await half_and_half(Ramp(stack, opened, [one.url for one in gateways.values()]))
        yield _World(
            stack=stack,
            file=folder / "run" / "stack.json",
            gateways=gateways,
            edges={
                side: Caller(opened, stack.tokens, one.url, numbered=True)
                for side, one in gateways.items()
            },
            wires=(*wires.values(), legacy),
        )


@dataclass(kw_only=True)
class _Found:
    told: Told = field(default_factory=Told)
    killed: Counter[str] = field(default_factory=Counter)
    synced: str = ""
    seconds: float = 0.0
    lost: int = 0
    doubled: int = 0
    other_id: int = 0
    astray: int = 0
    """Rows whose last version was not written where their user's stage says."""
    repeated: int = 0
    examples: list[str] = field(default_factory=list)
    converged_seconds: float = 0.0
    unequal: list[str] = field(default_factory=list)
    left: Mapping[str, int] = field(default_factory=dict)
    broken: int = 0
    exchanges: int = 0


async def _measure(world: _World, *, writes: int, kills: int) -> _Found:
    found = _Found(synced=await _synced(world.stack))
    chance = random.Random(SEED)
    shared, enough = numbers(), asyncio.Event()
    started = time.monotonic()
    clients = []
    for side, edge in world.edges.items():
        users = USERS[STAGES[side]]
        parents = await parents_of(edge, users)
        for _ in range(_CLIENTS):
            own = random.Random(chance.random())
            working = Working(edge, side, users, parents, found.told, shared, own)
            clients.append(spawn(working.run(enough), name=f"client of {side}"))
    killing = Killing(world.file, list(world.gateways.values()), chance)
    while found.told.acknowledged < writes or killing.killed.total() < kills:
        if died := [one for one in clients if one.done()]:
            died[0].result()
        await asyncio.sleep(chance.uniform(*_BETWEEN_SECONDS))
        if killing.killed.total() < kills:
            killing.one()
    enough.set()
    await asyncio.gather(*clients)
    last_fault = time.monotonic()
    for wire in world.wires:
        wire.share = 0.0
    found.seconds = last_fault - started
    found.killed = killing.killed
    found.exchanges = sum(wire.exchanges for wire in world.wires)
    found.broken = sum(wire.broken for wire in world.wires)
    await _settled(world.stack, found)
    found.converged_seconds = time.monotonic() - last_fault
    await _judge(world.stack, found)
    return found


async def _synced(stack: Stack) -> str:
    """What both clusters say of how they write: it has to be as in production."""
    said = []
    for name in ("legacy", "services"):
        connection = await asyncpg.connect(stack.databases[name])
        said += [f"{one}={await connection.fetchval(f'show {one}')}" for one in _DURABLE]
        await connection.close()
    if wrong := [one for one in said if not one.endswith("=on")]:
        raise AssertionError(f"the clusters are not durable: {wrong}")
    return ", ".join(dict.fromkeys(said))


async def _settled(stack: Stack, found: _Found) -> None:
    """Until both sides are equal and no intent is open, or it takes too long."""
    end = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < end:
        try:
            found.left, found.unequal = await _left(stack), await _unequal(stack)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await asyncio.sleep(1)  # a cluster is coming back
            continue
        if not found.unequal and not found.left["intents"]:
            return
        await asyncio.sleep(0.5)


async def _left(stack: Stack) -> Mapping[str, int]:
    connection = await asyncpg.connect(stack.databases["control"])
    try:
        return {
            "intents": await connection.fetchval("select count(*) from control.intents"),
            "incidents": await connection.fetchval(
                "select count(*) from control.divergences where state <> 'solved'"
            ),
            "conflicts": await connection.fetchval("select count(*) from control.conflicts"),
        }
    finally:
        await connection.close()


async def _unequal(stack: Stack) -> list[str]:
    users = {
        Side.LEGACY: await asyncpg.connect(stack.databases["legacy"]),
        Side.SERVICE: await asyncpg.connect(stack.databases["services"]),
    }
    try:
        async with (
            asyncpg.create_pool(stack.databases["legacy_worker"], min_size=1, max_size=1) as old,
            asyncpg.create_pool(stack.databases["services_apply"], min_size=1, max_size=1) as new,
        ):
            pools = dict.fromkeys(Service, new)
            return await unequal(
                users, {Side.LEGACY: legacy_store(old), Side.SERVICE: service_store(pools)}
            )
    finally:
        for user in users.values():
            await user.close()


async def _judge(stack: Stack, found: _Found) -> None:
    for side, name in ((Side.LEGACY, "legacy"), (Side.SERVICE, "services")):
        connection = await asyncpg.connect(stack.databases[name])
        for kind in KINDS:
            rows = await connection.fetch(kind.found_sql(side))
            there = Counter(row["mark"] for row in rows)
            expected = {
                row.mark: row for row in found.told.rows if row.kind is kind and not row.gone
            }
            lost = [mark for mark in expected if mark not in there]
            extra = [mark for mark in there if mark not in expected or there[mark] > 1]
            found.lost += len(lost)
            found.doubled += len(extra)
            for row in rows:
                told = expected.get(row["mark"])
                if told is None:
                    continue
                # Each attempt of a write bears an id of its own: the write's, and a number.
                request = row["correlation_id"].rpartition(".")[0]
                found.astray += row["origin"] != told.side
                found.other_id += request != told.correlation_id
                if assets()[kind.entity].kind is AssetKind.VERSIONED:
                    found.repeated += row["row_version"] != told.writes
            found.examples += [f"{side} {kind.entity} lacks {mark}" for mark in lost]
            found.examples += [
                f"{side} {kind.entity} has {mark} {there[mark]} times" for mark in extra
            ]
        await connection.close()


def _claims(found: _Found) -> list[Claim]:
    told = found.told
    clear = not (told.unanswered or told.odd or found.astray)
    how = (
        f"{told.acknowledged} writes acknowledged over {len(KINDS)} entities by {2 * _CLIENTS} clients in {found.seconds:.0f} s, half of them to"
        f" legacy; {told.sent} requests; {found.broken} of {found.exchanges} exchanges with an upstream broken; {found.killed.total()} kills"
        f" ({', '.join(f'{name} {n}' for name, n in sorted(found.killed.items()))}; PostgreSQL by its immediate stop, {found.synced});"
        f" {len(told.unanswered)} writes unanswered, {found.astray} rows written at the wrong side, {len(told.odd)} odd answers{_first(told.odd)}{_first(found.examples)}"
    )

    def claim(
        text: str, value: float, unit: str, target: str, *, ok: bool, more: str = ""
    ) -> Claim:
        return Claim(
            topic=TOPIC, claim=f"kills: {text}", value=value, unit=unit, target=target, ok=ok and clear, n=told.acknowledged,
            how=f"{more}{how}",
        )  # fmt: skip

    return [
        claim("acknowledged writes lost", found.lost, "writes", "0", ok=found.lost == 0),
        claim(
            "writes doubled, or taken back", found.doubled + found.repeated, "writes", "0",
            ok=found.doubled == 0 and found.repeated == 0,
            more=f"{found.repeated} rows whose version is not the number of their acknowledged writes; ",
        ),
        claim("rows whose correlation id is not their last write's, on either side", found.other_id, "rows", "0", ok=found.other_id == 0),
        claim(
            "both sides equal after the last fault", round(found.converged_seconds, 1), "s", f"<= {_CONVERGED_WITHIN_SECONDS:g} s",
            ok=not found.unequal and found.converged_seconds <= _CONVERGED_WITHIN_SECONDS and not found.left["conflicts"] and not found.left["incidents"],
            more=f"{len(found.unequal)} keys differ{_first(found.unequal)}; left: {dict(found.left)}; ",
        ),
        claim(
            "reads that did not show the reader's own last write", told.stale, "reads", "0", ok=told.stale == 0,
            more=f"{told.reads} reads right behind a write; ",
        ),
    ]  # fmt: skip


def _first(examples: list[str]) -> str:
    return f" (first: {'; '.join(examples[:3])})" if examples else ""
