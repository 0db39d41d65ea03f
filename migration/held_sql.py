"""The statements by which a side is read for a converge. Pure; all names are the catalog's.

A row is turned into the other model inside the database, so no value takes a way over Python. What has no counterpart
fails the statement (22P02) and is then looked at key by key.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from catalog.asset import Asset, Kind
from catalog.column import Column, Kept, Type
from catalog.conversion import refusal_sql
from catalog.stage import Side
from catalog.stamps import BOOKKEEPING, SEEN_AT
from catalog.transform import forward_sql, inverse_sql
from runtime.postgres import quote_identifier as quoted

JSON_NULL = "the JSON value null, which an apply cannot tell from no value"
STAMPS = ("updated_at", *BOOKKEEPING, SEEN_AT)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a side keeps an asset."""

    table: str
    schema: str
    """Of tombstones, entity and functions."""
    key: tuple[str, ...]
    """Names of the key's columns there."""
    types: tuple[str, ...]


def place(asset: Asset, side: Side) -> Place:
    types = tuple(column.type.value for column in asset.key_columns)
    if side is Side.SERVICE:
        table = f"{asset.service}.{quoted(asset.target)}"
        return Place(table=table, schema=asset.service, key=asset.key, types=types)
    table = ".".join(quoted(part) for part in asset.source.split("."))
    key = tuple(column.source for column in asset.key_columns)
    return Place(table=table, schema="banyan", key=key, types=types)


def read_sql(asset: Asset, side: Side) -> str:
    """Parameters: for each column of the key an array of its texts. One row for each key, in `n` its number from 1; its content is
    by the other side's names."""
    return _held_sql(asset, side, _content(asset, side))


def model_sql(asset: Asset, side: Side) -> str:
    """`read_sql` with the content by the new model's names, whichever side it is."""
    return _held_sql(asset, side, _model(asset, side))


def _held_sql(asset: Asset, side: Side, columns: Iterator[tuple[str, str]]) -> str:
    at = place(asset, side)
    wanted = [f"k.k{n}::{type_}" for n, type_ in enumerate(at.types, 1)]
    arrays = ", ".join(f"${n}::text[]" for n in range(1, len(wanted) + 1))
    names = ", ".join(f"k{n}" for n in range(1, len(wanted) + 1))
    same = " and ".join(f"t.{quoted(c)} = {w}" for c, w in zip(at.key, wanted, strict=True))
    key = ", ".join(f"'{c}', {w}" for c, w in zip(at.key, wanted, strict=True))
    content = ", ".join(f"{sql} as {quoted(name)}" for name, sql in columns)
    return (
        f"select k.n, {_stamps('r')}, r.content, {_stamps('d')}"  # noqa: S608
        f" from unnest({arrays}) with ordinality k ({names}, n)"
        f" left join lateral (select {_row_stamps(asset)}, (select to_jsonb(c)::text from (select {content}) c) as content"
        f" from {at.table} t where {same}) r on true"
        f" left join {at.schema}.tombstones d on d.entity = '{asset.entity}' and d.key = jsonb_build_object({key})"
    )


def stamps_sql(asset: Asset, side: Side) -> str:
    """Parameters: the texts of the key. One row: stamps of the row and of the tombstone, and in `clock` the side's own."""
    at = place(asset, side)
    wanted = [f"${n}::text::{type_}" for n, type_ in enumerate(at.types, 1)]
    same = " and ".join(f"t.{quoted(c)} = {w}" for c, w in zip(at.key, wanted, strict=True))
    key = ", ".join(f"'{c}', {w}" for c, w in zip(at.key, wanted, strict=True))
    return (
        f"select clock_timestamp() as clock, {_stamps('r')}, {_stamps('d')} from (values (1)) one"  # noqa: S608
        f" left join lateral (select {_row_stamps(asset)} from {at.table} t where {same}) r on true"
        f" left join {at.schema}.tombstones d on d.entity = '{asset.entity}' and d.key = jsonb_build_object({key})"
    )


def typed_sql(asset: Asset, side: Side) -> str:
    """One row as the driver's own types, to find out which of its columns has no counterpart."""
    at = place(asset, side)
    same = " and ".join(
        f"{quoted(column)} = ${n}::text::{type_}"
        for n, (column, type_) in enumerate(zip(at.key, at.types, strict=True), 1)
    )
    return f"select * from {at.table} where {same}"  # noqa: S608


def uniques_sql(asset: Asset, side: Side) -> str:
    """The columns of each unique index beside the primary key, in `columns`."""
    return (
        "select array(select a.attname::text from unnest(i.indkey::int2[]) with ordinality k (attnum, place)"  # noqa: S608
        " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum where k.place <= i.indnkeyatts"
        " order by k.place) as columns from pg_index i"
        f" where i.indrelid = '{place(asset, side).table}'::regclass and i.indisunique and not i.indisprimary"
        " and i.indexprs is null"
    )


def holders_sql(asset: Asset, side: Side, uniques: Sequence[Sequence[str]]) -> str:
    """Parameter: a JSON array of rows. The keys, as texts, of other rows that hold a unique value of theirs."""
    at = place(asset, side)
    keys = ", ".join(f"t.{quoted(c)}::text as k{n}" for n, c in enumerate(at.key, 1))
    other = " or ".join(f"t.{quoted(c)} <> x.{quoted(c)}" for c in at.key)
    return " union ".join(
        f"select {keys} from jsonb_array_elements($1::jsonb) i"  # noqa: S608
        f" cross join lateral jsonb_populate_record(null::{at.table}, i.value) x join {at.table} t"
        f" on {' and '.join(f't.{quoted(c)} = x.{quoted(c)}' for c in columns)} where {other}"
        for columns in uniques
    )


def made_by_sql(asset: Asset, side: Side, newest: int) -> str:
    """Parameter: a correlation id. The keys, as texts, of the newest rows that have it."""
    at = place(asset, side)
    keys = ", ".join(quoted(c) for c in at.key)
    texts = ", ".join(f"t.{quoted(c)}::text as k{n}" for n, c in enumerate(at.key, 1))
    return (
        f"select {texts} from (select {keys}, correlation_id from {at.table}"  # noqa: S608
        f" order by {', '.join(f'{quoted(c)} desc' for c in at.key)} limit {newest}) t where t.correlation_id = $1"
    )


def children_sql(asset: Asset, side: Side, reference: Column) -> str:
    """Parameter: texts of the parents' keys. The keys of the rows that refer to them, as texts, and the parent's in `parent`."""
    at = place(asset, side)
    column = quoted(reference.source if side is Side.LEGACY else reference.target)
    keys = ", ".join(f"t.{quoted(c)}::text as k{n}" for n, c in enumerate(at.key, 1))
    return (
        f"select {keys}, t.{column}::text as parent from {at.table} t"  # noqa: S608
        f" where t.{column} = any($1::text[]::{reference.type.value}[])"
    )


def target_sql(asset: Asset, side: Side) -> str:
    """Parameter: a row of this side as JSON. The same row by the new model's names, as JSON."""
    columns = ", ".join(f"{sql} as {quoted(name)}" for name, sql in _model(asset, side))
    return (
        f"select to_jsonb(c)::text from (select {columns}"  # noqa: S608
        f" from jsonb_populate_record(null::{place(asset, side).table}, $1::text::jsonb) t) c"
    )


def _content(asset: Asset, side: Side) -> Iterator[tuple[str, str]]:
    """Column of the other model, and the expression over this side's row."""
    for column in asset.kept:
        forth = {column.target: forward_sql(column)}
        found = forth if side is Side.LEGACY else inverse_sql(column)
        for name, sql in found.items():
            yield name, _not_json_null(sql) if is_json(column) else sql


def _model(asset: Asset, side: Side) -> Iterator[tuple[str, str]]:
    """Column of the new model, and the expression over this side's row."""
    for column in asset.kept:
        target = column.target
        yield target, forward_sql(column) if side is Side.LEGACY else quoted(target)


def is_json(column: Kept) -> bool:
    """Of type jsonb on both sides."""
    return isinstance(column, Column) and column.type is Type.JSONB


def _not_json_null(sql: str) -> str:
    refusal = refusal_sql(sql, JSON_NULL, "text::jsonb")
    return f"case when jsonb_typeof({sql}) = 'null' then {refusal} else {sql} end"


def _row_stamps(asset: Asset) -> str:
    if asset.kind is Kind.VERSIONED:
        return ", ".join(f"t.{name}" for name in STAMPS)
    # Such a row has no other time, and a client's clock must not park it.
    return (
        "least(t.created_at, now()) as updated_at, t.row_version, t.origin, t.correlation_id,"
        " null::timestamptz as seen_at"
    )


def _stamps(alias: str) -> str:
    return ", ".join(f"{alias}.{name} as {alias}_{name}" for name in STAMPS)
