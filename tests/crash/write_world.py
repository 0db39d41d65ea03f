"""`WriteWorld`: gateways and a service that a test kills in the middle of writes, beside a sandbox whose movers follow them.

Users of both sides make lab orders. Who was killed is started again on its port, and the client repeats with the same key.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import asyncpg

from benchmarks.world import ServedProcess, everybody_at, gateway, service
from benchmarks.writes.caller import Ask, Caller, client
from benchmarks.writes.edge_world import OWNER, STAGES
from catalog import assets
from catalog.stage import Side
from migration.held_sql import place
from runtime.eventlog.protocol import BEGINNING
from runtime.eventlog.redis_log import RedisLog
from runtime.intent import TOPIC, Intent, Said, Settled, decode
from runtime.stack import Stack
from tests.until import until, until_async

P = TypeVar("P", bound=ServedProcess)

WITHIN = 60.0
"""Seconds in which everything has arrived, whoever was killed (data-rules section 10)."""
ORDERS = assets()["lab_orders"]
TABLES = {side: place(ORDERS, side).table for side in Side}
_NAMES = {
    Side.LEGACY: ORDERS.by_target["test_name"].sources[0],
    Side.SERVICE: "test_name",
}
_USERS = {Side.LEGACY: "clinician", Side.SERVICE: "admin"}
"""One and the same would be pinned to the side of the first write (data-rules section 5), whatever the gateway's stage."""
_SHORT = {"WRITE_DEADLINE_SECONDS": "2", "LEGACY_STATEMENT_SECONDS": "2"}
"""Of the gateways: a lease ends after four seconds, a grace time after six."""
_SANDBOXS_REDIS = 0


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What one order has left in the service's database: events in the outbox, and records of repeats."""

    rows: int
    events: int
    records: int


NOTHING = Traces(rows=0, events=0, records=0)
WHOLE = Traces(rows=1, events=2, records=1)
"""Its trail has an event of its own."""


@dataclass(frozen=True, kw_only=True)
class WriteWorld:
    """`mortal` gateways and the `mortal_service` are for killing; the gateways behind `edges` live on."""

    stack_file: Path
    mortal: Mapping[Side, ServedProcess]
    mortal_service: ServedProcess
    mortal_edges: Mapping[Side, Caller]
    edges: Mapping[Side, Caller]
    users: Mapping[Side, asyncpg.Pool]
    control: asyncpg.Pool
    log: RedisLog
    submission: str

    def order(self, side: Side) -> Ask:
        """A new order by a user of this side, named by its correlation id."""
        name = f"bench-{uuid4()}"
        body = {"submission_id": self.submission, "test_code": "HBA1C", "test_name": name}
        return Ask(
            method="POST", path="/lab-orders", user=_USERS[side], body=body, correlation_id=name
        )

    # --- who dies

    async def signal(self, name: str, *signals: signal.Signals) -> None:
        """To one of the sandbox's own, which its supervisor starts again when it has died."""
        pids = {one.name: one.pid for one in Stack.read(self.stack_file).processes}
        for number in signals:
            os.kill(pids[name], number)

    # --- what is there

    async def rows(self, ask: Ask, side: Side) -> list[tuple[object, ...]]:
        """The stamps of all orders of this name."""
        found = await self.users[side].fetch(
            "select id, updated_at, origin, row_version, seen_at, correlation_id"
            f" from {TABLES[side]} where {_NAMES[side]} = $1",
            ask.correlation_id,
        )
        return [tuple(row) for row in found]

    async def traces(self, ask: Ask, *, besides: int) -> Traces:
        """`besides`: records of other requests."""
        events = await self.users[Side.SERVICE].fetchval(
            f"select count(*) from {OWNER}.outbox where correlation_id = $1", ask.correlation_id
        )
        rows = await self.rows(ask, Side.SERVICE)
        return Traces(rows=len(rows), events=events, records=await self.records() - besides)

    async def records(self) -> int:
        count: int = await self.users[Side.SERVICE].fetchval(
            f"select count(*) from {OWNER}.idempotency"
        )
        return count

    async def unpublished(self) -> int:
        count: int = await self.users[Side.SERVICE].fetchval(
            f"select count(*) from {OWNER}.outbox where published_at is null"
        )
        return count

    async def announced(self, ask: Ask) -> int:
        return len(_intents(ask, await said(self.log)))

    async def settled(self, ask: Ask) -> bool:
        """It was announced, and no intent of it is open."""
        spoken = await said(self.log)
        done = {one.id for one in spoken if isinstance(one, Settled)}
        intents = _intents(ask, spoken)
        open_ = await self.control.fetchval(
            "select count(*) from control.intents where correlation_id = $1", ask.correlation_id
        )
        return bool(intents) and done.issuperset(intents) and open_ == 0

    async def equal(self, ask: Ask) -> bool:
        """One row on each side, the same version of it, the first one, by this request."""
        old, new = [await self.rows(ask, side) for side in Side]
        return old == new and [(row[3], row[5]) for row in old] == [(1, ask.correlation_id)]

    async def arrived(self, ask: Ask) -> None:
        """Until both sides are equal, nothing of it is open, and every event is out."""

        async def there() -> bool:
            return (
                await self.equal(ask) and await self.settled(ask) and not await self.unpublished()
            )

        await until_async(there, within=WITHIN)


def _intents(ask: Ask, spoken: list[Said]) -> list[str]:
    return [
        one.id
        for one in spoken
        if isinstance(one, Intent) and one.correlation_id == ask.correlation_id
    ]


async def said(log: RedisLog) -> list[Said]:
    """All that a mirror stream holds."""
    found = []
    for partition in range(len(await log.end(TOPIC))):
        found += await log.read(TOPIC, {partition: BEGINNING}, limit=10_000)
    return [decode(entry.value) for entry in found]


async def start_again(process: ServedProcess, *, failpoint: str = "") -> None:
    process.kill()
    process.start(failpoint=failpoint)
    await asyncio.to_thread(process.wait)


async def died_of_it(process: ServedProcess) -> bool:
    """By its failpoint's SIGKILL, and not by a mistake of ours."""
    await asyncio.to_thread(until, lambda: process.process.poll() is not None)
    return process.process.returncode == -signal.SIGKILL


@asynccontextmanager
async def write_world(stack: Stack, folder: Path) -> AsyncIterator[WriteWorld]:
    """`folder`: of the sandbox."""
    async with AsyncExitStack() as running:
        mortal_service = await _entered(running, service(stack, folder, OWNER))
        urls = {**json.loads(stack.environment["SERVICE_URLS"]), OWNER: mortal_service.url}
        environment = {**stack.environment, **_SHORT, "SERVICE_URLS": json.dumps(urls)}
        here = stack.model_copy(update={"environment": environment})

        async def gateways(name: str) -> Mapping[Side, ServedProcess]:
            return {
                side: await _entered(
                    running,
                    gateway(
                        here,
                        folder,
                        name=f"{name}-{side}",
                        flags=everybody_at(stage),
                        redis_number=_SANDBOXS_REDIS,
                    ),
                )
                for side, stage in STAGES.items()
            }

        mortal, lasting = await gateways("mortal"), await gateways("lasting")
        opened = await running.enter_async_context(client(50))
        pools = {
            name: await running.enter_async_context(
                asyncpg.create_pool(stack.databases[name], min_size=1, max_size=4)
            )
            for name in ("legacy", "services", "control")
        }
        log = RedisLog(stack.redis)
        running.push_async_callback(log.close)
        edges = {side: Caller(opened, stack.tokens, one.url) for side, one in lasting.items()}
        # Each gateway's first question, too: with it the keys come, from what a test may halt before it asks anything.
        submission, _ = [await _submission(edges[side]) for side in (Side.SERVICE, Side.LEGACY)]
        yield WriteWorld(
            stack_file=folder / "run" / "stack.json",
            mortal=mortal,
            mortal_service=mortal_service,
            mortal_edges={
                side: Caller(opened, stack.tokens, one.url) for side, one in mortal.items()
            },
            edges=edges,
            users={Side.LEGACY: pools["legacy"], Side.SERVICE: pools["services"]},
            control=pools["control"],
            log=log,
            submission=submission,
        )


async def _entered(running: AsyncExitStack, starting: AbstractContextManager[P]) -> P:
    found = await asyncio.to_thread(starting.__enter__)
    running.push_async_callback(asyncio.to_thread, starting.__exit__, None, None, None)
    return found


async def _submission(edge: Caller) -> str:
    said = await edge.insist(
        Ask(method="GET", path="/submissions?limit=1", user="clinician"), seconds=WITHIN
    )
    return str(said.response.json()["items"][0]["id"])
