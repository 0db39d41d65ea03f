"""One consistent view of a service's tables: everything read through it is from the same instant.

It starts as nobody (banyan_service sees no row). `page` and `item` look as the caller, under row level security;
`known` looks as the role that sees keys alone, whoever calls.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from catalog.asset import Asset
from catalog.service import Service
from routes.json_body import read_row
from routes.key import Key
from routes.query import ListQuery
from routes.resource import Resource
from routes.written import Values
from runtime.identity import Identity, row_claims
from services.errors import Busy
from services.sql import (
    Statement,
    count_statement,
    item_statement,
    known_statement,
    list_statement,
    whole_statement,
)

_KNOWN_ROLE = "banyan_known"
# `set local role` as a function: role and caller in one round trip. Membership is that of the login role.
_BECOME = "select set_config('role', $1, true), set_config('banyan.caller', $2, true)"


@dataclass(frozen=True, kw_only=True)
class Page:
    """Rows as JSON texts, as PostgreSQL prints them. `more`: there are rows behind the last one."""

    items: Sequence[str]
    more: bool
    total: int | None = None


@dataclass(frozen=True, kw_only=True)
class Item:
    """One row as JSON text, and what its entity tag is made of."""

    text: str
    stamp: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A row with all its columns, as JSON values with every digit: not as it is shown to anybody."""

    row: Values
    stamp: str
    origin: str


class Snapshot:
    """Open one with `snapshot`."""

    def __init__(self, service: Service, connection: PoolConnectionProxy) -> None:
        self._role = f"banyan_{service}"
        self._connection = connection

    async def page(self, query: ListQuery, caller: Identity, *, count: bool = False) -> Page:
        """What the caller sees of a list."""
        await self._become(self._role, row_claims(caller))
        rows = await self._fetch(list_statement(query))
        total = (await self._fetch(count_statement(query)))[0][0] if count else None
        items = [row["item"] for row in rows[: query.limit]]
        return Page(items=items, more=len(rows) > query.limit, total=total)

    async def item(self, resource: Resource, key: Key, caller: Identity) -> Item | None:
        """A row, if there is one that the caller sees."""
        await self._become(self._role, row_claims(caller))
        rows = await self._fetch(item_statement(resource, key, staff=caller.staff))
        if not rows:
            return None
        return Item(text=rows[0]["item"], stamp=rows[0]["stamp"], origin=rows[0]["origin"])

    async def rows(self, statement: Statement, claims: str) -> list[asyncpg.Record]:
        """What a statement of a service's own answers a caller, known by what row security may know (`row_claims`)."""
        await self._become(self._role, claims)
        return await self._fetch(statement)

    async def whole(self, resource: Resource, key: Key, claims: str) -> Whole | None:
        """A row, if whoever has these claims (runtime.identity.row_claims) sees it."""
        await self._become(self._role, claims)
        rows = await self._fetch(whole_statement(resource, key))
        if not rows:
            return None
        found = rows[0]
        return Whole(row=read_row(found["row"]), stamp=found["stamp"], origin=found["origin"])

    async def known(self, asset: Asset, keys: Sequence[Key]) -> list[bool]:
        """For each key: does a row or a tombstone exist, whatever row security says?"""
        if not keys:
            return []
        await self._become(_KNOWN_ROLE, "")
        return [row["known"] for row in await self._fetch(known_statement(asset, keys))]

    async def _become(self, role: str, caller: str) -> None:
        await self._connection.execute(_BECOME, role, caller)

    async def _fetch(self, statement: Statement) -> list[asyncpg.Record]:
        return await self._connection.fetch(statement.text, *statement.values)


@asynccontextmanager
async def snapshot(pool: asyncpg.Pool, service: Service, *, wait: float) -> AsyncIterator[Snapshot]:
    """A read-only view. Raises Busy when no connection is free within `wait` seconds."""
    try:
        connection = await pool.acquire(timeout=wait)
    except TimeoutError:
        raise Busy from None
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield Snapshot(service, connection)
    finally:
        await pool.release(connection)
