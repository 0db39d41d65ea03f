"""`EdgeWorld`: a gateway whose users all write to one side, with a wire to everything that it needs for that."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.world import everybody_at, gateway
from benchmarks.writes.caller import Ask, Caller, client
from benchmarks.writes.wire import Wire
from catalog import assets
from catalog.service import Service
from catalog.stage import Side, Stage
from migration.held_sql import place
from runtime.stack import Stack

STAGES = {Side.LEGACY: Stage.DUAL_WRITE, Side.SERVICE: Stage.LIVE}
OWNER = Service.DIAGNOSTICS
_DATABASES = {Side.LEGACY: "legacy", Side.SERVICE: "services"}
_ORDERS = assets()["lab_orders"]


@dataclass(frozen=True, kw_only=True)
class EdgeWorld:
    """`database`: the side's, as the owner of its tables."""

    side: Side
    edge: Caller
    authority: Wire
    redis: Wire
    control: Wire
    spool: Path
    database: asyncpg.Connection
    submission: str

    @property
    def orders(self) -> str:
        """The table of orders."""
        return place(_ORDERS, self.side).table

    def order(self, name: str) -> Ask:
        """A new order that bears this name."""
        body = {"submission_id": self.submission, "test_code": "HBA1C", "test_name": name}
        return Ask(method="POST", path="/lab-orders", user="clinician", body=body)

    async def named(self, name: str) -> int:
        """How many orders bear it."""
        column = _ORDERS.by_target["test_name"]
        place_of = column.target if self.side is Side.SERVICE else column.sources[0]
        count: int = await self.database.fetchval(
            f"select count(*) from {self.orders} where {place_of} = $1", name
        )
        return count


@asynccontextmanager
async def edge_world(
    stack: Stack, folder: Path, side: Side, *, redis_number: int, settings: Mapping[str, str]
) -> AsyncIterator[EdgeWorld]:
    """`settings`: of the gateway, beside the sandbox's. The wires break nothing at first."""
    spool = folder / f"spool-{side}"
    spool.mkdir()
    urls = json.loads(stack.environment["SERVICE_URLS"])
    target = stack.environment["LEGACY_REST_URL"] if side is Side.LEGACY else urls[OWNER]
    wires = [Wire(url) for url in (target, stack.redis, stack.environment["CONTROL_DATABASE_URL"])]
    authority, redis, control = wires
    async with AsyncExitStack() as running:
        for wire in wires:
            await running.enter_async_context(wire.serving())
        changed = {
            "CONTROL_DATABASE_URL": control.url,
            "SPOOL_FOLDER": str(spool),
            **settings,
        }
        if side is Side.LEGACY:
            changed["LEGACY_REST_URL"] = authority.url
        else:
            changed["SERVICE_URLS"] = json.dumps({**urls, OWNER: authority.url})
        environment = {**stack.environment, **changed}
        here = stack.model_copy(update={"environment": environment, "redis": redis.url})
        live = gateway(
            here,
            folder,
            name=f"edge-{side}",
            flags=everybody_at(STAGES[side]),
            redis_number=redis_number,
        )
        # It waits until the gateway is ready, which the wires of this very loop serve.
        started = await asyncio.to_thread(live.__enter__)
        running.push_async_callback(asyncio.to_thread, live.__exit__, None, None, None)
        opened = await running.enter_async_context(client(20))
        database = await asyncpg.connect(stack.databases[_DATABASES[side]])
        running.push_async_callback(database.close)
        edge = Caller(opened, stack.tokens, started.url)
        yield EdgeWorld(
            side=side,
            edge=edge,
            authority=authority,
            redis=redis,
            control=control,
            spool=spool,
            database=database,
            submission=await _submission(edge),
        )


async def _submission(edge: Caller) -> str:
    found = await edge.send(Ask(method="GET", path="/submissions?limit=1", user="clinician"))
    found.raise_for_status()
    return str(found.json()["items"][0]["id"])


async def lease(stack: Stack) -> None:
    """Numbers for the services' rows, far from legacy's own."""
    connection = await asyncpg.connect(stack.databases["services"])
    try:
        for asset in assets().values():
            for name in asset.minted:
                await connection.execute(
                    f"select {asset.service}.add_ids($1, $2, 70000000000, 70000009999)",
                    asset.entity,
                    name,
                )
    finally:
        await connection.close()
