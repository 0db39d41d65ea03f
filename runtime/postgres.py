"""PostgreSQL: pools, and plain numbered SQL migrations in dbmate's format.

A migration file is `<number>_<name>.sql` with `-- migrate:up` and, optionally, `-- migrate:down` behind it.
dbmate itself can read the same folder; this runner adds a checksum and an advisory lock, so that two processes
that start together, or a file that was edited after it ran, cannot do harm.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection | PoolConnectionProxy"

POSTGRESQL = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of a command
    OSError,
    RuntimeError,  # the same, from uvloop
)
"""What a database that cannot be used looks like."""

_NAME = re.compile(r"(\d+)_\w+\.sql", re.ASCII)
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)


class MigrationError(Exception):
    """The migrations cannot be run as they are; the message says which file and why."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One file: its number, and what `up` runs."""

    version: str
    path: Path
    up: str
    checksum: str


async def create_pool(
    dsn: str,
    *,
    name: str,
    size: int = 10,
    statement_timeout_seconds: float = 10.0,
    longest_timeout_seconds: float = 0.0,
) -> asyncpg.Pool:
    """A pool that is connected. Its connections carry the process's name and end a statement after its timeout.

    `longest_timeout_seconds`: the longest that a transaction asks of the server for its own statements, if that is longer.
    Error texts of the server may hold row values: the server is asked for terse ones, and callers log SQLSTATE only.
    """
    pool = pool_for(
        dsn,
        name=name,
        size=size,
        statement_timeout_seconds=statement_timeout_seconds,
        longest_timeout_seconds=longest_timeout_seconds,
        ready=1,
    )
    await pool
    return pool


def pool_for(
    dsn: str,
    *,
    name: str,
    size: int = 10,
    statement_timeout_seconds: float = 10.0,
    longest_timeout_seconds: float = 0.0,
    ready: int = 0,
    plan_once: bool = False,
) -> asyncpg.Pool:
    """`create_pool` before it is awaited; with no connection `ready` it begins without the database, too.

    `plan_once`: a statement is planned once for all its parameters; for those who look by keys alone, whose plan they do not change.
    Call it where it is awaited: a pool belongs to the event loop that it was made in.
    """
    plans = {"plan_cache_mode": "force_generic_plan"} if plan_once else {}
    return asyncpg.create_pool(
        dsn,
        min_size=ready,
        max_size=size,
        reset=_left_as_it_is,
        command_timeout=max(statement_timeout_seconds, longest_timeout_seconds) + 1,
        server_settings={
            "application_name": name,
            "statement_timeout": str(int(statement_timeout_seconds * 1000)),
            "timezone": "UTC",
            **plans,
        },
    )


async def _left_as_it_is(connection: object) -> None:
    """In place of asyncpg's own reset, which is a round trip behind every use: what is set here ends with its transaction
    (tests/unit/test_house.py), and asyncpg itself rolls back one that was left open."""


def quote_identifier(name: str) -> str:
    """`name` as an SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def read_migrations(folder: Path) -> Sequence[Migration]:
    """The folder's migrations in order. Raises MigrationError for a wrong name, a repeated number or a missing `up`."""
    found: dict[str, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise MigrationError(f"{path}: a migration is named <number>_<name>.sql")
        if name[1] in found:
            raise MigrationError(f"{path}: number {name[1]} is taken by {found[name[1]].path.name}")
        text = path.read_text(encoding="utf-8")
        _, marker, rest = text.partition("-- migrate:up")
        if not marker:
            raise MigrationError(f"{path}: there is no line `-- migrate:up`")
        found[name[1]] = Migration(
            version=name[1],
            path=path,
            up=rest.partition("-- migrate:down")[0],
            checksum=hashlib.sha256(text.encode()).hexdigest(),
        )
    if not found:
        raise MigrationError(f"{folder}: no migrations there")
    return tuple(found.values())


async def migrate(connection: asyncpg.Connection, folder: Path, *, schema: str) -> list[str]:
    """Run what has not run yet, each file in a transaction of its own, under one advisory lock; returns the file names.

    `schema` is created if it is missing and is the search path meanwhile; it also holds `schema_migrations`.
    A file whose content changed after it ran is an error: write a new one.
    """
    if _IDENTIFIER.fullmatch(schema) is None:
        raise MigrationError(f"{schema!r} is not a plain lower-case schema name")
    migrations = read_migrations(folder)
    key = int.from_bytes(
        hashlib.sha256(f"banyan.migrate.{schema}".encode()).digest()[:8], signed=True
    )
    await connection.execute("select pg_advisory_lock($1)", key)
    try:
        await connection.execute(f"create schema if not exists {schema}")
        await connection.execute(
            f"create table if not exists {schema}.schema_migrations"
            " (version text primary key, checksum text not null, applied_at timestamptz not null default now())"
        )
        rows = await connection.fetch(f"select version, checksum from {schema}.schema_migrations")  # noqa: S608 - a checked identifier
        done = {row["version"]: row["checksum"] for row in rows}
        ran = []
        for migration in migrations:
            if migration.version not in done:
                await _run(connection, migration, schema)
                ran.append(migration.path.name)
            elif done[migration.version] != migration.checksum:
                raise MigrationError(
                    f"{migration.path}: changed after it ran; write a new migration"
                )
        return ran
    finally:
        await connection.execute("select pg_advisory_unlock($1)", key)


async def _run(connection: asyncpg.Connection, migration: Migration, schema: str) -> None:
    async with connection.transaction():
        await connection.execute(f"set local search_path = {schema}")
        try:
            await connection.execute(migration.up)
        except asyncpg.PostgresError as error:
            raise MigrationError(f"{migration.path}: {error.sqlstate} {error}") from error
        await connection.execute(
            f"insert into {schema}.schema_migrations (version, checksum) values ($1, $2)",  # noqa: S608 - a checked identifier
            migration.version,
            migration.checksum,
        )
