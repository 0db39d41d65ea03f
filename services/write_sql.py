"""Writes of v2 rows as SQL over a service's tables. Pure.

Values travel as one JSON object, which PostgreSQL turns into the columns' types: numbers keep their digits, and the text
of a statement depends on the columns alone. Names come from the catalog.
"""

from collections.abc import Iterable

from catalog.asset import Asset
from routes.json_body import write_json
from routes.key import Key
from routes.resource import Resource
from routes.written import Values
from services.sql import Parameters, Statement, shown_columns, stamp, table, whole_statement


def insert_statement(resource: Resource, values: Values, *, staff: bool) -> Statement:
    """One new row; answers it as `item_statement` does, and its key as JSON texts in `key`."""
    asset, names = resource.asset, ", ".join(values)
    text = (
        f"insert into {table(asset)} as t ({names})"  # noqa: S608 - names of the catalog
        f" select {names} from jsonb_populate_record(null::{table(asset)}, $1::text::jsonb)"
        f" returning {_returned(resource, staff=staff)}"
    )
    return Statement(text=text, values=(write_json(values),))


def update_statement(resource: Resource, key: Key, values: Values, *, staff: bool) -> Statement:
    """New values of some columns of one row; answers it, or nothing where the caller may not change it."""
    asset, bind = resource.asset, Parameters()
    names = ", ".join(values)
    json = bind.text(write_json(values))
    text = (
        f"update {table(asset)} t set ({names}) ="  # noqa: S608 - names of the catalog
        f" (select {names} from jsonb_populate_record(null::{table(asset)}, {json}::jsonb))"
        f" where {_is(asset, key, bind)} returning {_returned(resource, staff=staff)}"
    )
    return Statement(text=text, values=bind.values)


def delete_statement(resource: Resource, key: Key) -> Statement:
    """One row's end; answers whether there was one to end for this caller."""
    bind = Parameters()
    text = (
        f"delete from {table(resource.asset)} t where {_is(resource.asset, key, bind)} returning 1"  # noqa: S608 - names of the catalog
    )
    return Statement(text=text, values=bind.values)


def lock_statement(resource: Resource, key: Key) -> Statement:
    """The whole row as JSON in `row`, with what its entity tag is made of, locked against other writers.

    Under row security this finds what the caller may change, which is less than what the caller may see.
    """
    whole = whole_statement(resource, key)
    return Statement(text=f"{whole.text} for update of t", values=whole.values)


def _returned(resource: Resource, *, staff: bool) -> str:
    key = ", ".join(f"t.{name}::text" for name in resource.asset.key)
    return (
        f"(select row_to_json(r) from (select {shown_columns(resource, staff)}) r)::text as item,"  # noqa: S608 - names of the catalog
        f" {stamp(resource.asset)} as stamp, t.origin, array[{key}] as key"
    )


def _is(asset: Asset, key: Key, bind: Parameters) -> str:
    equal: Iterable[str] = (
        f"t.{column.target} = {bind.one(asset, column, text)}"
        for column, text in zip(asset.key_columns, key, strict=True)
    )
    return " and ".join(equal)


def same_statement(resource: Resource, key: Key, values: Values) -> Statement:
    """Whether the row that the caller sees under this key holds these values: `same`, or nothing if the caller sees none."""
    asset, bind = resource.asset, Parameters()
    names = ", ".join(f"t.{name}" for name in values)
    json = bind.text(write_json(values))
    text = (
        f"select row({names}) is not distinct from (select row({', '.join(values)})"  # noqa: S608 - names of the catalog
        f" from jsonb_populate_record(null::{table(asset)}, {json}::jsonb)) as same"
        f" from {table(asset)} t where {_is(asset, key, bind)}"
    )
    return Statement(text=text, values=bind.values)
