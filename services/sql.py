"""v2 queries as SQL over a service's tables. Pure.

Values are parameters, always texts that PostgreSQL casts (`$1::text::uuid`): what a value means is PostgreSQL's
business, as in legacy, and the text of a statement depends on the query's shape alone, so it is prepared once.
Names come from the catalog; a request's words never get into a statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from catalog.asset import Asset, Kind
from catalog.column import Column, Type
from routes.cursor import Position
from routes.key import Key
from routes.query import Filter, ListQuery, Op, Sort
from routes.resource import Resource

Value = str | int | list[str]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """SQL, and a value for each of its parameters."""

    text: str
    values: tuple[Value, ...]


def list_statement(query: ListQuery) -> Statement:
    """Rows behind `query.after`, each as JSON in `item`: one more than the limit, to tell whether there are more."""
    asset, bind = query.resource.asset, Parameters()
    conditions = [_condition(asset, one, bind) for one in query.filters]
    if query.after is not None:
        conditions.append(_behind(asset, query.after, query.order, bind))
    where = f" where {' and '.join(conditions)}" if conditions else ""
    order = ", ".join(map(_direction, query.order))
    limit = bind.number(query.limit + 1)
    columns = shown_columns(query.resource, query.staff)
    text = (
        f"select row_to_json(r)::text as item from (select {columns} from {table(asset)} t"  # noqa: S608 - names of the catalog
        f"{where} order by {order} limit {limit}) r"
    )
    return Statement(text=text, values=bind.values)


def count_statement(query: ListQuery) -> Statement:
    """How many rows the filters leave, pages aside."""
    asset, bind = query.resource.asset, Parameters()
    conditions = [_condition(asset, one, bind) for one in query.filters]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    text = f"select count(*) from {table(asset)} t{where}"  # noqa: S608 - names of the catalog
    return Statement(text=text, values=bind.values)


def item_statement(resource: Resource, key: Key, *, staff: bool) -> Statement:
    """One row as JSON in `item`, and what its entity tag is made of: `stamp` as JSON prints it, and `origin`."""
    asset, bind = resource.asset, Parameters()
    equal = [
        f"t.{column.target} = {bind.one(asset, column, text)}"
        for column, text in zip(asset.key_columns, key, strict=True)
    ]
    text = (
        f"select (select row_to_json(r) from (select {shown_columns(resource, staff)}) r)::text as item,"  # noqa: S608 - names of the catalog
        f" {stamp(asset)} as stamp, t.origin"
        f" from {table(asset)} t where {' and '.join(equal)}"
    )
    return Statement(text=text, values=bind.values)


def whole_statement(resource: Resource, key: Key) -> Statement:
    """One row with all its columns as JSON in `row`, also those that are not shown, and what its entity tag is made of."""
    asset, bind = resource.asset, Parameters()
    shown = ", ".join(f"t.{column.target}" for column in asset.kept)
    equal = [
        f"t.{column.target} = {bind.one(asset, column, text)}"
        for column, text in zip(asset.key_columns, key, strict=True)
    ]
    text = (
        f"select (select row_to_json(r) from (select {shown}) r)::text as row,"  # noqa: S608 - names of the catalog
        f" {stamp(asset)} as stamp, t.origin"
        f" from {table(asset)} t where {' and '.join(equal)}"
    )
    return Statement(text=text, values=bind.values)


def known_statement(asset: Asset, keys: Sequence[Key]) -> Statement:
    """For each key in turn, in `known`: is there a row of it, or a tombstone?"""
    columns = asset.key_columns
    names = ", ".join(column.target for column in columns)
    casts = ", ".join(f"u.{c.target}::{_type(asset, c)} as {c.target}" for c in columns)
    arrays = ", ".join(f"${n}::text[]" for n in range(1, len(columns) + 1))
    equal = " and ".join(f"t.{c.target} = k.{c.target}" for c in columns)
    pairs = ", ".join(f"'{c.target}', k.{c.target}" for c in columns)
    text = (
        f"select exists (select from {table(asset)} t where {equal})"  # noqa: S608 - names of the catalog
        f" or exists (select from {asset.service}.tombstones d"
        f" where d.entity = '{asset.entity}' and d.key = jsonb_build_object({pairs})) as known"
        f" from (select {casts}, u.place from unnest({arrays}) with ordinality u({names}, place)) k"
        " order by k.place"
    )
    values = tuple([key[n] for key in keys] for n in range(len(columns)))
    return Statement(text=text, values=values)


def stamp(asset: Asset) -> str:
    """The instant of an entity tag, as JSON prints it."""
    column = "updated_at" if asset.kind is Kind.VERSIONED else "created_at"
    return f"to_json(t.{column}) #>> '{{}}'"


def enum_type(asset: Asset, column: Column) -> str:
    """PostgreSQL type of a closed vocabulary by which rows are filtered."""
    return f"{asset.service}.{asset.target}_{column.target}"


class Parameters:
    """Collects values and gives each its place in the text."""

    def __init__(self) -> None:
        self._values: list[Value] = []

    @property
    def values(self) -> tuple[Value, ...]:
        return tuple(self._values)

    def one(self, asset: Asset, column: Column, text: str) -> str:
        return self.text(text) + _cast(asset, column)

    def several(self, asset: Asset, column: Column, texts: Sequence[str]) -> str:
        cast = _cast(asset, column)
        return f"{self._place(list(texts))}::text[]" + (f"{cast}[]" if cast else "")

    def text(self, value: str) -> str:
        return f"{self._place(value)}::text"

    def number(self, value: int) -> str:
        return f"{self._place(value)}::integer"

    def _place(self, value: Value) -> str:
        self._values.append(value)
        return f"${len(self._values)}"


def _condition(asset: Asset, one: Filter, bind: Parameters) -> str:
    left = f"t.{one.column.target}"
    match one.op:
        case Op.IS_NULL:
            return f"{left} is null"
        case Op.NOT_NULL:
            return f"{left} is not null"
        case Op.IN:
            return f"{left} = any({bind.several(asset, one.column, one.values)})"
        case _:
            return f"{left} {_SIGNS[one.op]} {bind.one(asset, one.column, one.values[0])}"


_SIGNS = {Op.EQ: "=", Op.NE: "<>", Op.LT: "<", Op.LTE: "<=", Op.GT: ">", Op.GTE: ">="}


def _behind(asset: Asset, after: Position, order: Sequence[Sort], bind: Parameters) -> str:
    """The rows that come after a position in this order, nulls last."""
    places = [
        (sort, None if text is None else bind.one(asset, sort.column, text))
        for text, sort in zip(after, order, strict=True)
    ]
    never_null = all(place is not None and not sort.column.nullable for sort, place in places)
    if never_null and len({sort.descending for sort in order}) == 1:
        left = ", ".join(f"t.{sort.column.target}" for sort in order)
        right = ", ".join(str(place) for _, place in places)
        return f"({left}) {_further(order[0])} ({right})"
    return _behind_each(places)


def _behind_each(places: Sequence[tuple[Sort, str | None]]) -> str:
    alternatives = []
    equal: list[str] = []
    for sort, place in places:
        column = f"t.{sort.column.target}"
        if place is None:
            # Nulls are last: nothing is further on than one, but in the columns that follow.
            equal.append(f"{column} is null")
            continue
        further = f"{column} {_further(sort)} {place}"
        if sort.column.nullable:
            further = f"({further} or {column} is null)"
        alternatives.append(" and ".join([*equal, further]))
        equal.append(f"{column} = {place}")
    condition = f"({' or '.join(alternatives)})"
    first, place = places[0]
    if place is not None and not first.column.nullable:
        # An index can start at this bound; it cannot at an `or`.
        return f"t.{first.column.target} {_further(first)}= {place} and {condition}"
    return condition


def _further(sort: Sort) -> str:
    return "<" if sort.descending else ">"


def _direction(sort: Sort) -> str:
    # Where there are no nulls, `nulls last` would only keep the planner from using an index.
    column = f"t.{sort.column.target}"
    if not sort.descending:
        return column
    return f"{column} desc nulls last" if sort.column.nullable else f"{column} desc"


@cache
def shown_columns(resource: Resource, staff: bool) -> str:
    """What this viewer is shown of a row `t`."""
    return ", ".join(f"t.{column.target}" for column in resource.columns(staff=staff))


def table(asset: Asset) -> str:
    """A table with its schema."""
    return f"{asset.service}.{asset.target}"


def _cast(asset: Asset, column: Column) -> str:
    return "" if column.type is Type.TEXT else f"::{_type(asset, column)}"


def _type(asset: Asset, column: Column) -> str:
    return enum_type(asset, column) if column.type is Type.ENUM else column.type.value
