"""The pure guard, legacy's SQL and the services' SQL give the same outcomes, states and conflict records.

Thousands of keys, each with a random sequence of its own of user writes, applies and planted leftovers. The model
takes nothing from the databases but the clock under which a user wrote.
"""

import json
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from catalog.stage import Side
from migration.guard import Conflict, Decision, Verdict, decide
from migration.version import Version, successor
from sandbox.legacy.load import Legacy
from tests.services_world import ServicesDatabase

pytestmark = pytest.mark.stack

KEYS = 2_000
STEPS, MOST_STEPS = 8, 24
SEED = 20
PARTNER = "000000ba-0000-4000-8000-0000000000ff"
ENTITY = "partner_stock_levels"
FUTURE = timedelta(hours=1)
VERDICTS = frozenset(
    ("applied", "same", "stale", "parked", "applied+conflict", "same+conflict", "stale+conflict")
)


@dataclass(frozen=True, kw_only=True)
class Database:
    """One side's names for the same things."""

    side: Side
    connection: asyncpg.Connection
    schema: str
    table: str
    batch: str


@pytest.fixture(params=Side)
async def database(
    request: pytest.FixtureRequest, legacy: Legacy, own_services: ServicesDatabase
) -> AsyncIterator[Database]:
    side: Side = request.param
    here = side is Side.LEGACY
    connection = await asyncpg.connect(legacy.owner if here else own_services.owner)
    yield Database(
        side=side,
        connection=connection,
        schema="banyan" if here else "partner_ops",
        table="public.partner_stock_levels" if here else "partner_ops.stock_level",
        batch="banyan.mirror_batch" if here else "partner_ops.apply_batch",
    )
    await connection.close()


@dataclass(kw_only=True)
class Key:
    """What the model holds of one key."""

    row: Version | None = None
    value: int | None = None
    tombstone: Version | None = None
    conflicts: list[tuple[Conflict, int | None]] = field(default_factory=list)
    """With the value of a row that lost."""
    known: list[datetime] = field(default_factory=list)


async def test_the_databases_do_what_the_pure_guard_does(database: Database) -> None:
    draw = random.Random(SEED)
    keys = {f"k{n}": Key() for n in range(KEYS)}
    verdicts: set[str] = set()
    for step in range(MOST_STEPS):
        # The databases' clocks have a part in it: the rarest word takes longer now and then.
        if step >= STEPS and verdicts == VERDICTS:
            break
        todo: dict[str, list[str]] = {
            "create": [],
            "update": [],
            "delete": [],
            "plant": [],
            "apply": [],
        }
        for name, key in keys.items():
            todo[draw.choice(_possible(key))].append(name)
        await _create(database, keys, todo["create"], step)
        await _update(database, keys, todo["update"], step)
        await _delete(database, keys, todo["delete"])
        await _plant(database, keys, todo["plant"], draw)
        verdicts |= await _apply(database, keys, todo["apply"], draw, step)
        await _compare(database, keys)
    assert verdicts == VERDICTS
    assert await _conflicts(database) == {
        name: [_recorded(*found) for found in key.conflicts]
        for name, key in keys.items()
        if key.conflicts
    }


def _possible(key: Key) -> list[str]:
    applies = ["apply"] * 5
    if key.row is None:
        return ["create", *applies]
    return ["update", "delete", *applies, *([] if key.tombstone else ["plant"])]


# --- users


async def _create(database: Database, keys: Mapping[str, Key], names: list[str], step: int) -> None:
    rows = await database.connection.fetch(
        f"insert into {database.table} (partner_id, site_code, sku, on_hand, reserved)"
        f" select '{PARTNER}', 'A', sku, $2, 0 from unnest($1::text[]) sku returning *",
        names,
        step,
    )
    for row in rows:
        key = keys[row["sku"]]
        key.row = _written(key.tombstone, found=_version(row), here=database.side)
        key.value, key.tombstone = step, None
        key.known.append(key.row.updated_at)


async def _update(database: Database, keys: Mapping[str, Key], names: list[str], step: int) -> None:
    rows = await database.connection.fetch(
        f"update {database.table} set on_hand = $2 where sku = any($1) returning *", names, step
    )
    for row in rows:
        key = keys[row["sku"]]
        key.row = _written(key.row, found=_version(row), here=database.side)
        key.value = step
        key.known.append(key.row.updated_at)


async def _delete(database: Database, keys: Mapping[str, Key], names: list[str]) -> None:
    await database.connection.execute(f"delete from {database.table} where sku = any($1)", names)
    graves = await _tombstones(database)
    for name in names:
        key = keys[name]
        key.tombstone = _written(key.row, key.tombstone, found=graves[name], here=database.side)
        key.row = key.value = None
        key.known.append(key.tombstone.updated_at)


def _written(*bases: Version | None, found: Version, here: Side) -> Version:
    """What the rule says, under the clock that the database had."""
    return successor(
        [base for base in bases if base],
        here=here,
        clock=min(found.updated_at, datetime.now(UTC)),
        correlation_id=found.correlation_id,
    )


# --- applies


async def _plant(
    database: Database, keys: Mapping[str, Key], names: list[str], draw: random.Random
) -> None:
    """A tombstone beside a row: what a user's insert leaves that has waited on another user's delete."""
    planted = []
    for name in names:
        key = keys[name]
        key.tombstone = _near(key, draw)
        key.known.append(key.tombstone.updated_at)
        planted.append((ENTITY, _key_json(name), *_stamps(key.tombstone)))
    await database.connection.executemany(
        f"insert into {database.schema}.tombstones (entity, key, updated_at, origin, row_version, seen_at, correlation_id)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        planted,
    )


async def _apply(
    database: Database,
    keys: Mapping[str, Key],
    names: list[str],
    draw: random.Random,
    step: int,
) -> set[str]:
    answers: set[str] = set()
    for start in range(0, len(names), 500):
        chunk = names[start : start + 500]
        incoming = [(name, _near(keys[name], draw), draw.random() < 0.3) for name in chunk]
        items = [
            {
                "entity": ENTITY,
                "op": "delete" if deleted else "upsert",
                "key": json.loads(_key_json(name)),
                "row": None
                if deleted
                else {"on_hand": 100 + step, "reserved": 0, "created_at": "2026-01-01T00:00:00Z"},
                **dict(
                    zip(
                        ("updated_at", "origin", "row_version", "seen_at", "correlation_id"),
                        _stamps(version),
                        strict=True,
                    )
                ),
            }
            for name, version, deleted in incoming
        ]
        found = json.loads(
            await database.connection.fetchval(
                f"select {database.batch}($1)", json.dumps(items, default=datetime.isoformat)
            )
        )
        for (name, version, deleted), answer in zip(incoming, found, strict=True):
            decision = decide(
                keys[name].row,
                keys[name].tombstone,
                version,
                deleted=deleted,
                here=database.side,
                now=datetime.now(UTC),
            )
            assert answer == {"outcome": _word(decision)}, (name, keys[name], version, deleted)
            answers.add(answer["outcome"])
            _take(keys[name], decision, version, 100 + step)
    return answers


def _word(decision: Decision) -> str:
    return decision.verdict + ("+conflict" if decision.conflicts else "")


def _take(key: Key, decision: Decision, incoming: Version, value: int) -> None:
    """The model's store follows the decision."""
    for conflict in decision.conflicts:
        key.conflicts.append((conflict, None if conflict.loser_deleted else key.value))
    if decision.row is None:
        key.value = None
    elif decision.verdict is Verdict.APPLIED:
        key.value = value
    key.row, key.tombstone = decision.row, decision.tombstone
    if decision.verdict is not Verdict.PARKED:
        key.known.append(incoming.updated_at)


def _near(key: Key, draw: random.Random) -> Version:
    """A version whose stamps lie on, beside or between those that the key has seen."""
    now = datetime.now(UTC)
    stamps = [*key.known, now - timedelta(seconds=draw.random())]
    at = draw.choice(stamps) + timedelta(microseconds=draw.choice((-1, 0, 0, 1)))
    if draw.random() < 0.03:
        at = now + FUTURE
    seen = draw.choice([None, *stamps])
    return Version(
        updated_at=at,
        origin=draw.choice(list(Side)),
        row_version=draw.randint(1, 9),
        correlation_id=f"c{draw.randint(1, 99)}",
        seen_at=seen,
    )


# --- reading


async def _compare(database: Database, keys: Mapping[str, Key]) -> None:
    rows = await database.connection.fetch(
        f"select * from {database.table} where partner_id = '{PARTNER}'"
    )
    assert {row["sku"]: (_version(row), row["on_hand"]) for row in rows} == {
        name: (key.row, key.value) for name, key in keys.items() if key.row
    }
    assert await _tombstones(database) == {
        name: key.tombstone for name, key in keys.items() if key.tombstone
    }


async def _tombstones(database: Database) -> dict[str, Version]:
    rows = await database.connection.fetch(f"select * from {database.schema}.tombstones")
    return {json.loads(row["key"])["sku"]: _version(row) for row in rows}


async def _conflicts(database: Database) -> dict[str, list[Any]]:
    rows = await database.connection.fetch(f"select * from {database.schema}.conflicts order by id")
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(json.loads(row["key"])["sku"], []).append(
            (
                _version(row, "loser_"),
                _version(row, "winner_"),
                row["winner_deleted"],
                json.loads(row["loser_row"])["on_hand"] if row["loser_row"] else None,
            )
        )
    return found


def _recorded(conflict: Conflict, value: int | None) -> Any:
    return (conflict.loser, conflict.winner, conflict.winner_deleted, value)


def _version(row: Any, prefix: str = "") -> Version:
    return Version(
        updated_at=row[prefix + "updated_at"],
        origin=Side(row[prefix + "origin"]),
        row_version=row[prefix + "row_version"],
        correlation_id=row[prefix + "correlation_id"],
        seen_at=row[prefix + "seen_at"],
    )


def _stamps(version: Version) -> Iterable[Any]:
    return (
        version.updated_at,
        version.origin.value,
        version.row_version,
        version.seen_at,
        version.correlation_id,
    )


def _key_json(name: str) -> str:
    return json.dumps({"partner_id": PARTNER, "site_code": "A", "sku": name})
