"""`ShadowStore`: what comparisons have found, in the control database: counts, differences without values, ignored columns.

Gateways write, whoever reports reads. Nothing here is a value of a row: a difference holds words and keyed tags, and its row's
key sealed, for `banyan shadow inspect` alone.

StoreUnavailable   (runtime.flagstore) PostgreSQL cannot be used, and nothing was changed
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from runtime.flagstore import asking
from runtime.postgres import POSTGRESQL, Connection

SLOT_SECONDS = 300
KEPT_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Count:
    """What one process has counted of one route in one slot of SLOT_SECONDS."""

    slot: datetime
    """Its start, UTC."""
    writer: str
    """Host, pid and start of the process."""
    release: str
    route: str
    """As it stands in logs: /v2/lab-orders/{key}."""
    candidate: str
    """`legacy` or `service`: the side that was asked in the background."""
    noise: bool
    """Legacy against itself."""
    document: Mapping[str, Any]
    """{"tally": Tally.document(), "primary": Durations.classes, "candidate": Durations.classes} (shadow/)"""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One difference of one pair, without values."""

    id: UUID
    """Made by whoever found it, so that it is stored once however often it is put."""
    at: datetime
    correlation_id: str
    route: str
    entity: str
    candidate: str
    noise: bool
    release: str
    flag_version: int
    kind: str
    path: str
    field: str
    """The column, by the catalog's name; empty where it is no column's."""
    decides: bool
    row: str
    """Keyed tag of the row's key; empty where it is about no row."""
    sealed_key: bytes
    """The key's texts as a JSON list, sealed for the entity, the correlation id as `key`, and KEY_VERSION; or empty."""
    left: Mapping[str, str]
    """Of the primary's value (shadow.evidence.Trace)."""
    right: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """A column that does not decide for a while."""

    path: str
    """Entity and column: lab_orders.currency."""
    reason: str
    until: datetime
    who: str
    at: datetime


KEY_VERSION = "shadow"
"""By which a sealed key is told from whatever else is sealed."""


class ShadowStore:
    """Any number of processes may share one database."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, counts: Sequence[Count], examples: Sequence[Example]) -> None:
        """All or none. A count replaces what its process had said of the slot, so it may be put again. Raises StoreUnavailable."""
        with asking("postgresql", POSTGRESQL):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(_PUT_COUNT, [_count_values(one) for one in counts])
                await connection.executemany(
                    _PUT_EXAMPLE, [_example_values(one) for one in examples]
                )

    async def counts(
        self, since: datetime, *, route: str | None = None, until: datetime | None = None
    ) -> list[Count]:
        """Of slots that began then or later, and before `until`; oldest first. A day of a busy gateway are some ten thousand.
        Raises StoreUnavailable."""
        rows = await self._fetch(_COUNTS, since, route, until)
        return [Count(**{**row, "document": json.loads(row["document"])}) for row in rows]

    async def examples(
        self,
        since: datetime,
        *,
        route: str | None = None,
        field: str | None = None,
        limit: int = 20,
    ) -> list[Example]:
        """Newest first. An empty `field`: what is no column's. Raises StoreUnavailable."""
        return [_example(row) for row in await self._fetch(_EXAMPLES, since, route, field, limit)]

    async def of_request(self, correlation_id: str) -> list[Example]:
        """Everything that is kept of one request, oldest first. Raises StoreUnavailable."""
        return [_example(row) for row in await self._fetch(_OF_REQUEST, correlation_id)]

    async def ignored(self, at: datetime) -> list[Ignored]:
        """What is in force at that moment, by path. Raises StoreUnavailable."""
        return [Ignored(**row) for row in await self._fetch(_IGNORED, at)]

    async def purge(self) -> int:
        """Counts and differences older than KEPT_DAYS; how many. Raises StoreUnavailable."""
        with asking("postgresql", POSTGRESQL):
            gone = [await self._pool.execute(one, KEPT_DAYS) for one in _PURGES]
        return sum(int(tag.rpartition(" ")[2]) for tag in gone)

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        with asking("postgresql", POSTGRESQL):
            return list(await self._pool.fetch(statement, *values))


async def ignore(
    connection: Connection, path: str, *, reason: str, until: datetime, who: str
) -> None:
    """In the transaction of its audit record. An earlier entry of that path has ended."""
    await connection.execute(_ONE_AFTER_THE_OTHER)
    await unignore(connection, path)
    await connection.execute(_IGNORE, path, reason, until, who)


async def unignore(connection: Connection, path: str) -> bool:
    """In the transaction of its audit record; whether it was in force."""
    return bool(await connection.fetchval(_UNIGNORE, path))


def _count_values(one: Count) -> tuple[Any, ...]:
    return (
        *(one.slot, one.writer, one.release, one.route, one.candidate, one.noise),
        json.dumps(dict(one.document)),
    )


def _example_values(one: Example) -> tuple[Any, ...]:
    values = {name: getattr(one, name) for name in Example.__dataclass_fields__}
    sides = {name: json.dumps(dict(values[name])) for name in ("left", "right")}
    return tuple({**values, **sides}.values())


def _example(row: asyncpg.Record) -> Example:
    return Example(
        **{
            **row,
            "id": UUID(int=row["id"].int),  # asyncpg answers a subclass, which JSON encoders refuse
            "left": json.loads(row["left"]),
            "right": json.loads(row["right"]),
        }
    )


_COUNT_COLUMNS = "slot, writer, release, route, candidate, noise, document"
_PUT_COUNT = (
    f"insert into control.shadow_counts ({_COUNT_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7)"  # noqa: S608 - names of ours
    " on conflict (slot, writer, release, route, candidate, noise) do update set document = excluded.document"
)
_COUNTS = (
    f"select {_COUNT_COLUMNS} from control.shadow_counts"  # noqa: S608 - names of ours
    " where slot >= $1 and ($2::text is null or route = $2)"
    " and ($3::timestamptz is null or slot < $3) order by slot, route, writer"
)
_TABLE_NAMES = {"row": "row_tag", "left": "left_trace", "right": "right_trace"}
_PUT_EXAMPLE = (
    "insert into control.shadow_examples"  # noqa: S608 - names of ours
    f" ({', '.join(_TABLE_NAMES.get(name, name) for name in Example.__dataclass_fields__)})"
    f" values ({', '.join(f'${n}' for n, _ in enumerate(Example.__dataclass_fields__, 1))})"
    " on conflict (id) do nothing"
)
_EXAMPLE_COLUMNS = ", ".join(
    f'{_TABLE_NAMES.get(name, name)} as "{name}"' for name in Example.__dataclass_fields__
)
_EXAMPLES = (
    f"select {_EXAMPLE_COLUMNS} from control.shadow_examples"  # noqa: S608 - names of ours
    " where at >= $1 and ($2::text is null or route = $2) and ($3::text is null or field = $3)"
    " order by at desc, id limit $4"
)
_OF_REQUEST = (
    f"select {_EXAMPLE_COLUMNS} from control.shadow_examples"  # noqa: S608 - names of ours
    " where correlation_id = $1 order by at, path, id"
)
_IGNORED = """
select path, reason, until, who, at from control.shadow_ignored
where at <= $1 and until > $1 and (ended_at is null or ended_at > $1) order by path
"""
# Readers do not wait for it.
_ONE_AFTER_THE_OTHER = "lock table control.shadow_ignored in share row exclusive mode"
_IGNORE = """
insert into control.shadow_ignored (path, reason, until, who) values ($1, $2, $3, $4)
"""
_UNIGNORE = """
update control.shadow_ignored set ended_at = clock_timestamp() where path = $1 and ended_at is null
returning until > clock_timestamp()
"""
_PURGES = tuple(
    f"delete from control.{table} where {moment} < clock_timestamp() - $1::integer * interval '1 day'"  # noqa: S608 - names of ours
    for table, moment in (("shadow_counts", "slot"), ("shadow_examples", "at"))
)
