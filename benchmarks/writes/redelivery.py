"""Every write is brought to the other side five times, in any order: it takes effect once."""

import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.writes.databases import Databases, databases
from benchmarks.writes.equality import unequal
from benchmarks.writes.histories import Histories, Row
from benchmarks.writes.user_writes import UserWrites
from catalog import assets
from catalog.service import Service
from catalog.stage import Side
from migration.converge import Outcome
from migration.guard import Verdict
from migration.store import MOST_ITEMS, Change, Held

TOPIC = "writes"
SEED = 5
_TIMES = 5
_ROWS = 400


async def run(size: Size) -> AsyncIterator[Claim]:
    """Deliveries carry the version of their own write, or read the row again; most come when newer ones are there."""
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with databases(Path(name), scale=200) as both:
            yield await _measure(both, writes=size.of(10_000, 300))


@dataclass(frozen=True, kw_only=True)
class _Delivery:
    row: Row
    side: Side
    """The one that spoke."""
    version: str
    change: Change | None
    """None: whatever that side holds when it is looked at."""


@dataclass(kw_only=True)
class _Effects:
    applied: Counter[str] = field(default_factory=Counter)
    """By the correlation id of the version that was delivered."""
    failed: int = 0
    conflicts: int = 0


async def _measure(both: Databases, *, writes: int) -> Claim:
    chance = random.Random(SEED)
    histories = Histories()
    users = UserWrites(both.users, histories)
    rows = await users.rows(_ROWS, chance)
    side_of = {row: chance.choice(list(Side)) for row in rows}
    deliveries: list[_Delivery] = []
    newest: dict[Row, str] = {}
    for _ in range(writes):
        row = chance.choice(rows)
        side = side_of[row]
        version = newest[row] = await users.write(row, side, chance)
        entity, key = row
        change = _change(row, (await both.stores[side].read(assets()[entity], [key]))[key])
        sent = _Delivery(row=row, side=side, version=version, change=change)
        deliveries += [*[sent] * (_TIMES - 1), replace(sent, change=None)]
    events = await _events(both)
    chance.shuffle(deliveries)
    effects = _Effects()
    for entity, side, batch in _batches(deliveries, chance):
        await _deliver(both, entity, side, batch, effects)
    twice = sum(count > 1 for count in effects.applied.values())
    missing = [
        row
        for row, version in newest.items()
        if await users.version(row, side_of[row].other) != version
    ]
    differing = await unequal(both.users, both.stores)
    echoes = await _events(both) - events
    return Claim(
        topic=TOPIC,
        claim="writes that took effect more than once, or not at all, when each was brought over five times in any order",
        value=twice + len(missing),
        unit="writes",
        target="0",
        ok=not (twice or missing or differing or echoes or effects.failed or effects.conflicts),
        n=writes,
        how=(
            f"{writes} writes of users on {len(newest)} rows of 7 entities, half of them in legacy; {len(deliveries)} deliveries shuffled"
            f" (seed {SEED}), four of five with the version of their own write, one that reads the row; {effects.applied.total()} were"
            f" applied, the others found the same version or a newer one; {effects.failed} failed, {effects.conflicts} conflicts,"
            f" {echoes} events published for them; column by column {len(differing)} keys differ"
        ),
    )


def _change(row: Row, held: Held) -> Change:
    version = held.row or held.tombstone
    if version is None:
        raise AssertionError(f"a write of {row[0]} left neither row nor tombstone")
    return Change(key=row[1], version=version, content=held.content)


def _batches(
    deliveries: Sequence[_Delivery], chance: random.Random
) -> list[tuple[str, Side, list[_Delivery]]]:
    """Of random sizes, of one entity and side each, a key once in a batch; the order inside an entity is the order given."""
    queues: dict[tuple[str, Side], list[_Delivery]] = {}
    for one in deliveries:
        queues.setdefault((one.row[0], one.side), []).append(one)
    found = []
    for (entity, side), queue in queues.items():
        batch: list[_Delivery] = []
        most = chance.randint(1, MOST_ITEMS)
        for one in queue:
            if len(batch) == most or any(one.row == other.row for other in batch):
                found.append((entity, side, batch))
                batch, most = [], chance.randint(1, MOST_ITEMS)
            batch.append(one)
        if batch:
            found.append((entity, side, batch))
    return found


async def _deliver(
    both: Databases, entity: str, side: Side, batch: Sequence[_Delivery], effects: _Effects
) -> None:
    asset, target = assets()[entity], both.stores[side.other]
    carried = [one for one in batch if one.change is not None]
    changes = [one.change for one in carried if one.change is not None]
    if changes:
        answers = await target.apply(asset, changes, epoch=await target.epoch(asset))
        for one, answer in zip(carried, answers, strict=True):
            effects.applied[one.version] += answer.verdict is Verdict.APPLIED
            effects.failed += answer.verdict not in (Verdict.APPLIED, Verdict.SAME, Verdict.STALE)
            effects.conflicts += answer.conflict
    await _look(both, entity, side, [one.row for one in batch if one.change is None], effects)


async def _look(
    both: Databases, entity: str, side: Side, rows: Sequence[Row], effects: _Effects
) -> None:
    if not rows:
        return
    asset, keys = assets()[entity], [key for _, key in rows]
    before: Mapping[tuple[str, ...], Held] = await both.stores[side.other].read(asset, keys)
    results = await both.converge.run(entity, keys, side)
    after = await both.stores[side.other].read(asset, keys)
    for key in keys:
        effects.failed += results[key].outcome is not Outcome.DONE
        effects.conflicts += results[key].conflict
        old, new = (one.row or one.tombstone for one in (before[key], after[key]))
        if new is not None and new != old:
            effects.applied[str(new.correlation_id)] += 1


async def _events(both: Databases) -> int:
    """What the services would publish."""
    counts = [
        await both.users[Side.SERVICE].fetchval(f"select count(*) from {service}.outbox")
        for service in Service
    ]
    return sum(counts)
