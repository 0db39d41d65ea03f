"""Both sides of one entity in memory, with row security, stale copies and tombstones: what federated lists must get right."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from catalog.column import Column, Type
from gateway.order import comparable, rank
from gateway.page import Page
from gateway.rows import Row
from routes.key import Key
from routes.query import Filter, ListQuery, Op


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A row as a side holds it. `values` are canonical texts by field, None for null."""

    values: dict[str, str | None]
    visible: bool = True


@dataclass(kw_only=True)
class Side:
    """One side's table. `tombstones` are keys that were deleted there."""

    rows: dict[Key, Stored] = field(default_factory=dict)
    tombstones: set[Key] = field(default_factory=set)

    def page(self, query: ListQuery) -> tuple[list[dict[str, str | None]], bool]:
        """Rows behind `query.after`, by the query's own rules, and whether nothing is behind them."""
        found = [
            (rank(place(row.values, query), query.order), row.values)
            for row in self.rows.values()
            if row.visible and all(matches(one, row.values) for one in query.filters)
        ]
        found.sort(key=lambda pair: pair[0])
        if query.after is not None:
            behind = rank(query.after, query.order)
            found = [pair for pair in found if behind < pair[0]]
        return [values for _, values in found[: query.limit]], len(found) <= query.limit


@dataclass(kw_only=True)
class TwoWorlds:
    """Legacy and service, and a backfill that may run between any two calls."""

    legacy: Side
    service: Side
    query: ListQuery
    dice: random.Random
    backfill_chance: float = 0.0
    calls: int = 0

    async def legacy_page(self, query: ListQuery) -> Page:
        self._meanwhile()
        rows, done = self.legacy.page(query)
        return Page(rows=[raw(row, query) for row in rows], done=done)

    async def service_page(self, keys: Sequence[Key]) -> Page:
        self._meanwhile()
        rows, done = self.service.page(self.query)
        known = tuple(key in self.service.rows or key in self.service.tombstones for key in keys)
        return Page(rows=[raw(row, self.query) for row in rows], done=done, known=known)

    def truth(self) -> list[Key]:
        """What a caller must see: the service's word where it has one, else legacy's."""
        merged = Side(
            rows={
                **{k: r for k, r in self.legacy.rows.items() if k not in self.service.tombstones},
                **self.service.rows,
            }
        )
        everything = replace(self.query, after=None, limit=10**9)
        rows, _ = merged.page(everything)
        return [key_of(row, self.query) for row in rows]

    def _meanwhile(self) -> None:
        """The backfill copies some rows that the service does not know, as they are."""
        self.calls += 1
        if self.dice.random() >= self.backfill_chance:
            return
        unknown = [
            k
            for k in self.legacy.rows
            if k not in self.service.rows and k not in self.service.tombstones
        ]
        for key in self.dice.sample(unknown, k=min(len(unknown), self.dice.randint(0, 5))):
            self.service.rows[key] = self.legacy.rows[key]


def key_of(values: dict[str, str | None], query: ListQuery) -> Key:
    return tuple(values[name] or "" for name in query.resource.asset.key)


def place(values: dict[str, str | None], query: ListQuery) -> tuple[str | None, ...]:
    return tuple(values[sort.column.target] for sort in query.order)


def raw(values: dict[str, str | None], query: ListQuery) -> Row:
    """The row as JSON, numbers bare."""
    return {
        name: msgspec.Raw(_json(query.resource.asset.by_target[name], text))
        for name, text in values.items()
    }


def _json(column: Any, text: str | None) -> bytes:
    if text is None:
        return b"null"
    bare = column.type in (Type.SMALLINT, Type.INTEGER, Type.BIGINT, Type.NUMERIC, Type.BOOLEAN)
    return text.encode() if bare else msgspec.json.encode(text)


def matches(one: Filter, values: dict[str, str | None]) -> bool:
    """PostgreSQL's answer to the condition: null is neither equal nor unequal to anything."""
    text = values[one.column.target]
    if one.op in (Op.IS_NULL, Op.NOT_NULL):
        return (text is None) == (one.op is Op.IS_NULL)
    if text is None:
        return False
    if one.op in (Op.EQ, Op.IN):
        return text in one.values
    if one.op is Op.NE:
        return text != one.values[0]
    return _range(one.op, one.column, text, one.values[0])


def _range(op: Op, column: Column, text: str, bound: str) -> bool:
    a, b = comparable(column.type, text), comparable(column.type, bound)
    return bool({Op.LT: a < b, Op.LTE: a <= b, Op.GT: a > b, Op.GTE: a >= b}[op])
