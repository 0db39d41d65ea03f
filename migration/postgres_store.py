"""`Store` over PostgreSQL: legacy and the services keep the same promises, by the same statements under other names.

Legacy is called as banyan_worker, a service as banyan_apply; both through their guarded functions alone.
"""

import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from catalog.asset import Asset
from catalog.service import Service
from catalog.stage import Side
from catalog.transform import NoCounterpart, forward, inverse
from migration.guard import Verdict
from migration.held_sql import (
    JSON_NULL,
    STAMPS,
    children_sql,
    holders_sql,
    is_json,
    made_by_sql,
    model_sql,
    place,
    read_sql,
    typed_sql,
    uniques_sql,
)
from migration.store import NEWEST_ROWS, Answer, Change, Held, Refused, Unavailable, transient
from migration.version import Version
from routes.key import Key

T = TypeVar("T")

_DATA_CLASS = "22"


class PostgresStore:
    """Pools by service; legacy has the same one for all."""

    def __init__(self, side: Side, pools: Mapping[Service, asyncpg.Pool]) -> None:
        self._side = side
        self._pools = pools
        self._uniques: dict[str, Sequence[Sequence[str]]] = {}

    @property
    def side(self) -> Side:
        return self._side

    @property
    def changes_hands(self) -> bool:
        """Legacy's unique constraints are checked row by row, so there a value is free only when its holder has let go."""
        return self._side is Side.SERVICE

    async def read(self, asset: Asset, keys: Sequence[Key]) -> Mapping[Key, Held]:
        try:
            return await self._read(asset, keys)
        except _Spoilt:
            return {key: await self._read_alone(asset, key) for key in keys}

    async def show(self, asset: Asset, key: Key) -> Held:
        """One key for a person's eyes: the content is by the new model's names, whichever side this is. Raises StoreError."""
        try:
            return (await self._rows(asset, [key], model_sql(asset, self._side)))[key]
        except _Spoilt as spoilt:
            return Held(refusal=await self._reason(asset, key) or spoilt.code)

    async def _read(self, asset: Asset, keys: Sequence[Key]) -> dict[Key, Held]:
        return await self._rows(asset, keys, read_sql(asset, self._side))

    async def _rows(self, asset: Asset, keys: Sequence[Key], statement: str) -> dict[Key, Held]:
        columns = [list(texts) for texts in zip(*keys, strict=True)]
        rows = await self._fetch(asset, statement, *columns)
        return {keys[row["n"] - 1]: _held(row) for row in rows}

    async def _read_alone(self, asset: Asset, key: Key) -> Held:
        try:
            return (await self._read(asset, [key]))[key]
        except _Spoilt as spoilt:
            return Held(refusal=await self._reason(asset, key) or spoilt.code)

    async def _reason(self, asset: Asset, key: Key) -> str:
        """Column and rule, if it is the catalog that refuses the row."""
        try:
            rows = await self._fetch(asset, typed_sql(asset, self._side), *key)
            for row in rows:
                _transform(asset, self._side, dict(row))
        except NoCounterpart as refused:
            return str(refused)
        except _Spoilt:
            return ""
        return ""

    async def apply(
        self, asset: Asset, changes: Sequence[Change], *, epoch: int | None, together: bool = False
    ) -> Sequence[Answer]:
        items = "[" + ",".join(_item(asset, self._side, change, epoch) for change in changes) + "]"
        if self._side is Side.LEGACY:
            call = self._fetch(asset, "select banyan.mirror_batch($1::jsonb) as answers", items)
        else:
            statement = f"select {asset.service}.apply_batch($1::jsonb, $2) as answers"
            call = self._fetch(asset, statement, items, together)
        [row] = await call
        return [_answer(found) for found in json.loads(row["answers"])]

    async def holders(self, asset: Asset, changes: Sequence[Change]) -> frozenset[Key]:
        if asset.entity not in self._uniques:
            rows = await self._fetch(asset, uniques_sql(asset, self._side))
            self._uniques[asset.entity] = [row["columns"] for row in rows]
        uniques = self._uniques[asset.entity]
        contents = [change.content for change in changes if change.content]
        if not uniques or not contents:
            return frozenset()
        statement = holders_sql(asset, self._side, uniques)
        rows = await self._fetch(asset, statement, "[" + ",".join(contents) + "]")
        return frozenset(tuple(row) for row in rows)

    async def epoch(self, asset: Asset) -> int:
        schema = place(asset, self._side).schema
        statement = f"select epoch from {schema}.entity where entity = $1"  # noqa: S608 - the catalog's name
        [row] = await self._fetch(asset, statement, asset.entity)
        return int(row["epoch"])

    async def made_by(self, asset: Asset, correlation_id: str) -> frozenset[Key]:
        statement = made_by_sql(asset, self._side, NEWEST_ROWS)
        return frozenset(tuple(row) for row in await self._fetch(asset, statement, correlation_id))

    async def children(self, asset: Asset, parent: str, keys: Sequence[Key]) -> Mapping[Key, Key]:
        [reference] = [c for c in asset.references if c.references == parent]
        statement = children_sql(asset, self._side, reference)
        rows = await self._fetch(asset, statement, [key[0] for key in keys])
        return {tuple(row)[:-1]: (row["parent"],) for row in rows}

    async def _fetch(self, asset: Asset, statement: str, *values: Any) -> list[asyncpg.Record]:
        return await answered(self._pools[asset.service].fetch(statement, *values))


def legacy_store(pool: asyncpg.Pool) -> PostgresStore:
    """`pool`: of banyan_worker."""
    return PostgresStore(Side.LEGACY, dict.fromkeys(Service, pool))


def service_store(pools: Mapping[Service, asyncpg.Pool]) -> PostgresStore:
    """`pools`: of banyan_apply in each service's database."""
    return PostgresStore(Side.SERVICE, pools)


class _Spoilt(Refused):
    """A value cannot be read, or the catalog refuses it: the fault of one key, whose neighbours are well."""


async def answered(call: Awaitable[T]) -> T:
    """The call's answer, or StoreError in place of the driver's exceptions, whose texts quote values."""
    try:
        return await call
    except asyncpg.PostgresError as error:
        code = error.sqlstate or type(error).__name__
        kind = Unavailable if transient(code) else _Spoilt if code[:2] == _DATA_CLASS else Refused
        raise kind(code) from None
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, RuntimeError) as error:
        # The second and the last are a connection that was cut in the middle of a command. Some DataErrors of the driver are InterfaceErrors as well; a lost connection and a timeout are among these.
        raise Unavailable(type(error).__name__) from None
    except (ValueError, OverflowError) as error:
        # PostgreSQL's calendar is longer than Python's.
        raise _Spoilt(type(error).__name__) from None


def _transform(asset: Asset, side: Side, row: Mapping[str, Any]) -> None:
    for column in asset.kept:
        name = column.sources[0] if side is Side.LEGACY else column.target
        if is_json(column) and row[name] == "null":
            raise NoCounterpart(name, JSON_NULL)
    (forward if side is Side.LEGACY else inverse)(asset, row)


def _held(row: asyncpg.Record) -> Held:
    return Held(
        row=version_of(row, "r"), content=row["content"] or "", tombstone=version_of(row, "d")
    )


def version_of(row: asyncpg.Record, alias: str) -> Version | None:
    """The stamps that stand in a row as `<alias>_<name>`; None if it holds none."""
    if row[f"{alias}_updated_at"] is None:
        return None
    stamps = {name: row[f"{alias}_{name}"] for name in STAMPS}
    return Version(**{**stamps, "origin": Side(stamps["origin"])})


def _item(asset: Asset, side: Side, change: Change, epoch: int | None) -> str:
    """As the guarded functions take it. The content is put in unopened."""
    version = change.version
    head = {
        "entity": asset.entity,
        "op": "upsert" if change.content else "delete",
        "key": dict(zip(place(asset, side).key, change.key, strict=True)),
        "updated_at": version.updated_at.isoformat(),
        "origin": version.origin,
        "row_version": version.row_version,
        "correlation_id": version.correlation_id,
        "seen_at": version.seen_at.isoformat() if version.seen_at else None,
        "epoch": epoch,
    }
    return f'{json.dumps(head)[:-1]}, "row": {change.content or "null"}}}'


def _answer(found: Mapping[str, str]) -> Answer:
    word, _, conflict = found["outcome"].partition("+")
    return Answer(verdict=Verdict(word), conflict=bool(conflict), code=found.get("code", ""))
