"""How long the other side is behind: from the commit of a write to the commit that brings it over, by PostgreSQL's own clock."""

import asyncio
import random
import statistics
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import asyncpg

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.world import sandbox
from benchmarks.writes.caller import Caller, client, pooled
from benchmarks.writes.edge_world import STAGES, lease
from benchmarks.writes.kinds import KINDS, PREFIX
from benchmarks.writes.parents import parents_of
from benchmarks.writes.ramp import USERS, Ramp, half_and_half
from benchmarks.writes.working import Told, Working, numbers
from catalog import assets
from catalog.stage import Side
from migration.held_sql import place
from runtime.stack import Stack
from runtime.tasks import spawn

TOPIC = "writes"
SEED = 8
_RATES: Sequence[int] = (200, 150, 100, 50)
_FEW: Sequence[int] = (40,)
_MOST_SECONDS = 1.0
_ARRIVED_WITHIN_SECONDS = 60.0
_DATABASES = {Side.LEGACY: "legacy", Side.SERVICE: "services"}


async def run(size: Size) -> AsyncIterator[Claim]:
    """At the rate that is asked for; where that does not hold, at lesser ones, until one does."""
    for per_second in size.of(_RATES, _FEW):
        claim = await _at(per_second, seconds=size.of(60, 5))
        yield claim
        if claim.ok:
            break


async def _at(per_second: int, *, seconds: int) -> Claim:
    """Half of the writes go to legacy, half to the services; the clusters sync what they write."""
    with (
        tempfile.TemporaryDirectory(prefix="banyan-bench-") as name,
        sandbox(Path(name), scale=60, durable=True) as stack,
    ):
        await lease(stack)
        url = stack.urls["gateway"]
        async with client(200) as opened:
            await half_and_half(Ramp(stack, opened, [url]))
        async with pooled(url, 200) as opened:
            edge = Caller(opened, stack.tokens, url)
            return await _measure(stack, edge, per_second=per_second, seconds=seconds)


async def _measure(stack: Stack, edge: Caller, *, per_second: int, seconds: int) -> Claim:
    told, shared, chance = Told(), numbers(), random.Random(SEED)
    clients = {}
    for side in Side:
        users = USERS[STAGES[side]]
        parents = await parents_of(edge, users)
        clients[side] = Working(edge, side, users, parents, told, shared, chance)
    loop = asyncio.get_running_loop()
    began = loop.time()
    under_way = []
    # An open loop: the next write is not sent later because the last one is slow.
    for n in range(per_second * seconds):
        await asyncio.sleep(max(0.0, began + n / per_second - loop.time()))
        side = Side.LEGACY if n % 2 else Side.SERVICE
        under_way.append(spawn(clients[side].step(), name="write"))
    await asyncio.gather(*under_way)
    took = loop.time() - began
    lags, missing = await _lags(stack)
    p50, p99 = statistics.median(lags), statistics.quantiles(lags, n=100)[98]
    clear = not (told.odd or told.unanswered or missing)
    return Claim(
        topic=TOPIC,
        claim=f"the mirror's lag at {per_second} writes a second, commit to commit, p99",
        value=round(p99, 3),
        unit="s",
        target=f"< {_MOST_SECONDS:g} s",
        ok=clear and p99 < _MOST_SECONDS and took < 1.1 * seconds + 1,
        n=len(lags),
        how=(
            f"{told.acknowledged} writes over {len(KINDS)} entities in {took:.1f} s, half of them to legacy; {len(lags)} rows by"
            f" pg_xact_commit_timestamp of their last version on both sides; median {p50:.3f} s, greatest {max(lags):.3f} s;"
            f" {missing} not there after {_ARRIVED_WITHIN_SECONDS:g} s; {len(told.odd)} odd answers{_first(told.odd)}; load, gateway, services,"
            f" engines and movers on this machine's cores"
        ),
    )


async def _lags(stack: Stack) -> tuple[list[float], int]:
    """Seconds by row, and rows that did not arrive."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _ARRIVED_WITHIN_SECONDS
    while True:
        commits = {side: await _commits(stack, side) for side in Side}
        legacy, service = commits[Side.LEGACY], commits[Side.SERVICE]
        missing = len(legacy.keys() ^ service.keys())
        if not missing or loop.time() > end:
            break
        await asyncio.sleep(0.5)
    both = legacy.keys() & service.keys()
    return [abs((legacy[id_] - service[id_]).total_seconds()) for id_ in both], missing


async def _commits(stack: Stack, side: Side) -> Mapping[str, datetime]:
    """When each row's last version was committed here, by its correlation id."""
    connection = await asyncpg.connect(stack.databases[_DATABASES[side]])
    try:
        found: dict[str, datetime] = {}
        for entity in {kind.entity for kind in KINDS}:
            rows = await connection.fetch(
                f"select correlation_id, pg_xact_commit_timestamp(xmin) as at from {place(assets()[entity], side).table}"
                f" where correlation_id like '{PREFIX}%'"
            )
            found |= {f"{entity} {row['correlation_id']}": row["at"] for row in rows}
        return found
    finally:
        await connection.close()


def _first(examples: list[str]) -> str:
    return f" (first: {'; '.join(examples[:3])})" if examples else ""
