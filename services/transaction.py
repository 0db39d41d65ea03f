"""One write's transaction: the row, its event trail, its outbox event and its idempotency record commit together, or none does.

READ COMMITTED, so that each statement sees what others committed while it waited; the first statement takes the table's
lock and checks epoch and write mode (`admit`, data-rules section 7). Stamps, tombstones and outbox rows are the
triggers' work (blocks/ground/0002_versions.sql): code cannot forget them.

Busy             (services.errors) no connection was free; nothing was asked of the database
OutcomeUnknown   (services.errors) the commit was sent and its answer is lost
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from catalog.service import Service
from routes.json_body import read_row
from routes.key import Key
from routes.resource import Resource
from routes.written import Values
from runtime.identity import Identity, row_claims
from services.errors import Busy, OutcomeUnknown
from services.sql import Statement, item_statement
from services.write_sql import (
    delete_statement,
    insert_statement,
    lock_statement,
    update_statement,
)

_BECOME = (
    "select set_config('role', $1, true), set_config('banyan.caller', $2, true),"
    " set_config('banyan.correlation_id', $3, true), set_config('statement_timeout', $4, true)"
)


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who writes, and when (RFC 3339). `claims`: what row security may know, as JSON (runtime.identity.row_claims).

    `system`: the word of a part of the service, or of a system outside, that is no user; else empty.
    """

    sub: str
    app_role: str
    partner_id: str
    staff: bool
    claims: str
    now: str
    system: str = ""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A row as it stands after the write: as JSON text for the caller, what its entity tag is made of, and its key."""

    text: str
    stamp: str
    origin: str
    key: Key


@dataclass(frozen=True, kw_only=True)
class Current:
    """A row that is locked for a change: all its columns, as JSON values with every digit."""

    row: Values
    stamp: str
    origin: str


class Transaction:
    """Open one with `writing`."""

    def __init__(self, service: Service, connection: PoolConnectionProxy, author: Author) -> None:
        self.service = service
        self.author = author
        self.connection = connection
        """For what a service has beside the rows of v2; it acts as the caller, under row security."""

    async def admit(self, entity: str, epoch: int | None) -> int:
        """The epoch in force. Raises asyncpg's errors with BY001 (`epoch` is out of date) or 25006 (the table is closed)."""
        found: int = await self.connection.fetchval(
            f"select {self.service}.admit($1, $2)",
            entity,
            epoch,
        )
        return found

    async def insert(self, resource: Resource, values: Values) -> Stored:
        return _stored(await self._one(insert_statement(resource, values, staff=self.author.staff)))

    async def locked(self, resource: Resource, key: Key) -> Current | None:
        """The row, if there is one that the caller may change."""
        found = await self._one(lock_statement(resource, key))
        if found is None:
            return None
        return Current(row=read_row(found["row"]), stamp=found["stamp"], origin=found["origin"])

    async def clock(self) -> datetime:
        """Now, as the database has it: of several processes that write one row, none has a clock of its own."""
        found: datetime = await self.connection.fetchval("select clock_timestamp()")
        return found

    async def knows_subject(self, submission: str) -> bool:
        """Whether a submission has arrived in this service's projection."""
        return bool(
            await self.connection.fetchval(
                f"select {self.service}.known_subject($1::text::uuid)",
                submission,
            )
        )

    async def read(self, resource: Resource, key: Key) -> Stored:
        """A row that this caller is known to see."""
        found = await self._one(item_statement(resource, key, staff=self.author.staff))
        assert found is not None  # noqa: S101 - the caller has just asked
        return Stored(text=found["item"], stamp=found["stamp"], origin=found["origin"], key=key)

    async def sees(self, resource: Resource, key: Key) -> bool:
        return (await self._one(item_statement(resource, key, staff=False))) is not None

    async def update(self, resource: Resource, key: Key, values: Values) -> Stored:
        """Of a row that is locked."""
        statement = update_statement(resource, key, values, staff=self.author.staff)
        return _stored(await self._one(statement))

    async def delete(self, resource: Resource, key: Key) -> bool:
        """Whether there was such a row for this caller."""
        return (await self._one(delete_statement(resource, key))) is not None

    @asynccontextmanager
    async def acting_as(self, word: str) -> AsyncIterator[None]:
        """As a part of the service itself, for what follows from a caller's write and is not the caller's."""
        await self._call(_system(word))
        yield
        # Not in a `finally`: after an error there is no transaction to act in.
        await self._call(self.author.claims)

    async def _call(self, claims: str) -> None:
        await self.connection.execute("select set_config('banyan.caller', $1, true)", claims)

    async def check_constraints(self) -> None:
        """What is otherwise checked at commit, when it would be too late for an answer."""
        await self.connection.execute("set constraints all immediate")

    async def _one(self, statement: Statement) -> asyncpg.Record | None:
        return await self.connection.fetchrow(statement.text, *statement.values)


def _stored(found: asyncpg.Record | None) -> Stored:
    assert found is not None  # noqa: S101 - a write that row security refuses raises 42501
    return Stored(
        text=found["item"], stamp=found["stamp"], origin=found["origin"], key=tuple(found["key"])
    )


@asynccontextmanager
async def writing(
    pool: asyncpg.Pool,
    service: Service,
    author: Author,
    correlation_id: str,
    *,
    wait: float,
    deadline: float,
) -> AsyncIterator[Transaction]:
    """A transaction as the caller; `wait` for a connection and `deadline` of a statement in seconds. Raises Busy."""
    try:
        connection = await pool.acquire(timeout=wait)
    except TimeoutError:
        raise Busy from None
    try:
        transaction = connection.transaction(isolation="read_committed")
        await transaction.start()
        try:
            await connection.execute(
                _BECOME,
                f"banyan_{service}",
                author.claims,
                correlation_id,
                str(int(deadline * 1000)),
            )
            yield Transaction(service, connection, author)
        except BaseException:
            if not connection.is_closed():
                await transaction.rollback()
            raise
        await _commit(transaction)
    finally:
        await pool.release(connection)


async def _commit(transaction: asyncpg.transaction.Transaction) -> None:
    try:
        await transaction.commit()
    except asyncpg.PostgresError as error:
        if isinstance(error, _CONNECTION_LOST):
            raise OutcomeUnknown from None
        raise
    except (OSError, asyncpg.InterfaceError):
        # A timeout is an OSError, too: the server may commit all the same.
        raise OutcomeUnknown from None


_CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


def author_of(caller: Identity) -> Author:
    return Author(
        sub=caller.sub,
        app_role=caller.app_role,
        partner_id=caller.partner_id,
        staff=caller.staff,
        claims=row_claims(caller),
        now=_now(),
    )


def system_author(word: str) -> Author:
    """Nobody's token: a part of the service itself, or a system that has proved itself otherwise."""
    return Author(
        sub="",
        app_role="",
        partner_id="",
        staff=True,
        claims=_system(word),
        now=_now(),
        system=word,
    )


def _system(word: str) -> str:
    return json.dumps({"system": word})


def _now() -> str:
    return datetime.now(UTC).isoformat()
