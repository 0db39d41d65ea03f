"""Users write on both sides at once while the clock of one side is wrong: what is newer stays, what is lost is recorded."""

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.writes.databases import Databases, databases
from benchmarks.writes.equality import unequal
from benchmarks.writes.histories import Histories, Row
from benchmarks.writes.user_writes import UserWrites
from catalog.service import Service
from catalog.stage import Side
from migration.converge import Outcome
from migration.guard import CLOCK_BAND

TOPIC = "writes"
SEED = 4
_ROWS = 60
_MOST_LOOKS = 200
_SCHEMAS = {Side.LEGACY: ("banyan",), Side.SERVICE: tuple(map(str, Service))}


async def run(size: Size) -> AsyncIterator[Claim]:
    """Once with the services' clock ahead, once with it behind, which for legacy's rows is the same as legacy's ahead."""
    seconds = size.of(90, 61)
    for skew in (seconds, -seconds):
        with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
            async with databases(Path(name), scale=60) as both:
                measured = await _measure(both, skew, writes=size.of(1000, 150))
        for claim in _claims(measured, skew):
            yield claim


@dataclass(kw_only=True)
class _Measured:
    histories: Histories = field(default_factory=Histories)
    turned_back: int = 0
    """Converges after which a side held a version on which the one it had held was built."""
    parked: int = 0
    lost: int = 0
    conflicts: int = 0
    false_conflicts: int = 0
    unequal: list[str] = field(default_factory=list)
    writes: int = 0


async def _measure(both: Databases, skew: int, *, writes: int) -> _Measured:
    measured = _Measured(writes=writes)
    await _shift_clock(both.users[Side.SERVICE], _SCHEMAS[Side.SERVICE], skew)
    chance = random.Random(SEED)
    users = UserWrites(both.users, measured.histories)
    rows = await users.rows(_ROWS, chance)
    pending: list[tuple[Row, Side]] = []
    for _ in range(writes):
        row, side = chance.choice(rows), chance.choice(list(Side))
        await users.write(row, side, chance)
        pending.append((row, side))
        while pending and chance.random() < 0.5:
            await _converge(
                both, users, pending.pop(chance.randrange(len(pending))), pending, measured
            )
    for _ in range(_MOST_LOOKS):
        left, pending = pending, []
        for one in left:
            await _converge(both, users, one, pending, measured)
        if not pending:
            break
        await asyncio.sleep(1)
    await _judge(both, users, measured)
    return measured


async def _converge(
    both: Databases,
    users: UserWrites,
    what: tuple[Row, Side],
    pending: list[tuple[Row, Side]],
    measured: _Measured,
) -> None:
    """What does not arrive is pending again."""
    row, side = what
    entity, key = row
    before = await users.version(row, side.other)
    result = (await both.converge.run(entity, [key], side))[key]
    after = await users.version(row, side.other)
    measured.turned_back += measured.histories.holds(before, after)
    measured.parked += result.outcome is Outcome.PARKED
    if result.outcome is not Outcome.DONE:
        pending.append(what)


async def _judge(both: Databases, users: UserWrites, measured: _Measured) -> None:
    losers: Counter[str] = Counter()
    for side in Side:
        for schema in _SCHEMAS[side]:
            records = await both.users[side].fetch(
                f"select loser_correlation_id, winner_correlation_id from {schema}.conflicts"
            )
            for loser, winner in records:
                losers[loser] += 1
                measured.false_conflicts += measured.histories.holds(winner, loser)
    measured.conflicts = losers.total()
    for row in measured.histories.rows:
        final = await users.version(row, Side.SERVICE)
        measured.lost += len(measured.histories.lost(row, final, losers))
    measured.unequal = await unequal(both.users, both.stores)


async def _shift_clock(user: asyncpg.Connection, schemas: tuple[str, ...], seconds: int) -> None:
    """Every function of this side sees its clock so many seconds ahead, or behind: stamps and guard alike."""
    shifted = f"(pg_catalog.clock_timestamp() + interval '{seconds} seconds')"
    functions = await user.fetch(
        "select pg_get_functiondef(p.oid) from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where n.nspname = any($1) and p.prokind = 'f' and p.prosrc like '%clock_timestamp()%'",
        schemas,
    )
    for (definition,) in functions:
        await user.execute(definition.replace("clock_timestamp()", shifted))


def _claims(measured: _Measured, skew: int) -> list[Claim]:
    how = (
        f"{measured.writes} writes on {_ROWS} rows of 7 entities, each on a side chosen at random, converges at random among them (seed {SEED});"
        f" the services' clock {abs(skew)} s {'ahead' if skew > 0 else 'behind'}; stamps beyond {CLOCK_BAND.total_seconds():g} s waited"
        f" ({measured.parked} times); {measured.conflicts} conflicts recorded; both sides compared column by column at the end,"
        f" {len(measured.unequal)} keys differ{'; first: ' + measured.unequal[0] if measured.unequal else ''}"
    )
    at = f"a clock {skew:+d} s wrong"
    return [
        Claim(
            topic=TOPIC,
            claim=f"{at}: newer writes overwritten by older ones",
            value=measured.turned_back,
            unit="writes",
            target="0",
            ok=measured.turned_back == 0 and not measured.unequal,
            n=measured.writes,
            how=f"after each converge the target's version was compared with the one before; {how}",
        ),
        Claim(
            topic=TOPIC,
            claim=f"{at}: writes that gave way without a record",
            value=measured.lost,
            unit="writes",
            target="0, and no record without a conflict",
            ok=measured.lost == 0 and measured.false_conflicts == 0 and measured.conflicts > 0,
            n=measured.writes,
            how=(
                "every write is in the version that both sides hold at the end, or in one that a record names;"
                f" {measured.false_conflicts} records name a version that the winner was built on; {how}"
            ),
        ),
    ]
