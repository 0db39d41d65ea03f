"""From a tree of relations to a SELECT: identifiers quoted, values as parameters. Pure.

Values are sent as text and cast to the column's type by PostgreSQL, so that 22P02 and the rest are its own.

Stand-in, not PostgREST, never for production.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runtime.postgres import quote_identifier as quoted
from sandbox.supabase.embed import Junction, Node
from sandbox.supabase.errors import Unsupported
from sandbox.supabase.schema_cache import Schema, Table
from sandbox.supabase.terms import Column, Condition, Field, Filter, Order

Shape = Literal["array", "array-stripped", "object", "object-stripped", "csv", "none"]
"""The forms a body can have."""

_COMPARISONS: Mapping[str, str] = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
}
_PATTERNS = frozenset({"like", "ilike", "match", "imatch"})
_IS: Mapping[str, str] = {
    "null": "null",
    "not_null": "not null",
    "true": "true",
    "false": "false",
    "unknown": "unknown",
}
ROW = quoted("~row")


@dataclass(kw_only=True)
class Binds:
    """The parameters of a statement in the making."""

    values: list[str | list[str]] = field(default_factory=list)

    def text(self, value: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::text"

    def texts(self, values: tuple[str, ...]) -> str:
        self.values.append(list(values))
        return f"${len(self.values)}::text[]"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Unless it says otherwise, `text` answers one row: body, rows, total, location, updated, response_headers,
    response_status."""

    text: str
    values: tuple[str | list[str], ...]


def read(root: Node, schema: Schema, *, shape: Shape, count: str | None) -> Statement:
    """A page of a table or view."""
    binds = Binds()
    page = select(root, schema, binds)
    return assemble(
        ctes={"page": page},
        shape=shape,
        total=total_of(root, schema, binds, count),
        binds=binds,
    )


def planned(root: Node, schema: Schema) -> Statement:
    """The planner's guess at the total: one row with its plan as JSON."""
    binds = Binds()
    made = count_query(root, schema, binds)
    return Statement(text=f"explain (format json) {made}", values=tuple(binds.values))


def assemble(
    *,
    ctes: Mapping[str, str],
    shape: Shape,
    binds: Binds,
    total: str = "null::bigint",
    location: str = "null::text",
    body: str | None = None,
    rows: str = "count(*)",
) -> Statement:
    """The outer statement over the CTE `page`, whose rows it turns into the body."""
    withs = ", ".join(f"{name} as ({text})" for name, text in ctes.items())
    made = body or body_of(shape, ROW)
    return Statement(
        text=(
            f"with {withs} select {made} as body, {rows} as rows, {total} as total, {location} as location,"  # noqa: S608 - quoted identifiers, bound values
            " coalesce(nullif(current_setting('standin.updated', true), ''), '0')::int as updated,"
            " nullif(current_setting('response.headers', true), '') as response_headers,"
            " nullif(current_setting('response.status', true), '') as response_status"
            f" from page as {ROW}"
        ),
        values=tuple(binds.values),
    )


def body_of(shape: Shape, row: str, *, scalar: bool = False) -> str:
    """PostgreSQL makes the JSON: its numbers and times come for free."""
    value = f'{row}."value"' if scalar else row
    match shape:
        case "none":
            return "''"
        case "csv":
            return _csv(row)
        case "array":
            return f"coalesce(json_agg({value}), '[]')::text"
        case "array-stripped":
            return f"coalesce(json_strip_nulls(json_agg({value})), '[]')::text"
        case "object":
            return f"coalesce(json_agg({value})->0, 'null')::text"
        case "object-stripped":
            return f"coalesce(json_strip_nulls(json_agg({value})->0), 'null')::text"


def _csv(row: str) -> str:
    """A record's text form is a CSV line in brackets."""
    header = (
        "(select coalesce(string_agg(k, ','), '') from"
        " (select json_object_keys(row_to_json(h)) as k from (select * from page limit 1) as h) as keys)"
    )
    lines = f"coalesce(string_agg(substring({row}::text, 2, length({row}::text) - 2), E'\\n'), '')"
    return f"{header} || E'\\n' || {lines}"


# --------------------------------------------------------------------------- select


def select(
    node: Node,
    schema: Schema,
    binds: Binds,
    *,
    source: str | None = None,
    parent: str | None = None,
) -> str:
    """The SELECT of one node with its embeds; `source` is a CTE that stands in for the table, `parent` the alias that
    an embed hangs on."""
    items: list[str] = []
    joins: list[str] = []
    for item in node.items:
        if isinstance(item, Column):
            items.append(_output(item, node, schema, binds))
        else:
            items += _embedded(item)
            joins.append(_join(item, node, schema, binds))
    where = conditions(node, schema, binds) + join_conditions(node, parent)
    order = [_order(term, node, schema, binds) for term in node.order]
    return " ".join(
        [
            f"select {', '.join(items) or 'true as present'}",
            from_clause(node, source),
            *joins,
            *([f"where {' and '.join(where)}"] if where else []),
            *([f"order by {', '.join(order)}"] if order else []),
            _window(node, binds),
        ]
    )


def table_name(table: Table) -> str:
    return f"{quoted(table.schema)}.{quoted(table.name)}"


def column(alias: str, name: str) -> str:
    return f"{quoted(alias)}.{quoted(name)}"


def _output(item: Column, node: Node, schema: Schema, binds: Binds) -> str:
    if item.star:
        return f"{quoted(node.alias)}.*"
    name = item.field.name
    if name == "count" and not item.field.arrows and name not in node.table.columns:
        made = f"pg_catalog.count({quoted(node.alias)}.*)"  # rel(count), older than aggregates
    else:
        made, _ = expression(item.field, node.table, node.alias, schema, binds)
    if item.cast is not None:
        # Not quoted, or `int` would not be found; the grammar lets letters, digits, _, $ and blanks pass, no more.
        made = f"cast({made} as {item.cast})"
    return f"{made} as {quoted(item.alias or item.field.label)}"


def expression(
    wanted: Field, table: Table, alias: str, schema: Schema, binds: Binds
) -> tuple[str, str]:
    """A column or a path into its JSON, and the type that a value compared with it is cast to."""
    if wanted.name not in table.columns and (table.key, wanted.name) in schema.computed:
        raise Unsupported("columns computed by a function")
    info = table.column(wanted.name)
    made = column(alias, wanted.name)
    if not wanted.arrows:
        return made, info.type
    kind = info.type if info.json else "jsonb"
    if not info.json:
        made = f"to_jsonb({made})"
    for arrow in wanted.arrows:
        operand = binds.text(arrow.key) + ("::int" if arrow.index else "")
        made += f"{'->>' if arrow.as_text else '->'}{operand}"
    return made, "text" if wanted.arrows[-1].as_text else kind


def _embedded(child: Node) -> list[str]:
    """What the parent shows of an embed; an empty one, `rel()`, only joins."""
    if not child.shows or child.embed is None or child.relation is None:
        return []
    alias = quoted(child.alias)
    if child.embed.spread:
        names = _labels(child)
        return [f"{alias}.*"] if names is None else [f"{alias}.{quoted(name)}" for name in names]
    if child.relation.to_one:
        return [f"row_to_json({alias}.*)::jsonb as {quoted(child.label)}"]
    return [f"""coalesce({alias}."rows", '[]') as {quoted(child.label)}"""]


def _labels(node: Node) -> list[str] | None:
    """The columns that a node's SELECT answers; None where a star is among them."""
    names: list[str] = []
    for item in node.items:
        if isinstance(item, Column):
            if item.star:
                return None
            names.append(item.alias or item.field.label)
        elif item.embed is not None and item.embed.spread:
            inner = _labels(item)
            if inner is None:
                return None
            names += inner
        elif item.shows:
            names.append(item.label)
    return names


def _join(child: Node, parent: Node, schema: Schema, binds: Binds) -> str:
    inner = child.embed is not None and child.embed.inner
    kind = "inner" if inner else "left"
    alias = quoted(child.alias)
    made = select(child, schema, binds, parent=parent.alias)
    if child.relation is not None and child.relation.to_one:
        return f"{kind} join lateral ({made}) as {alias} on true"
    found = f'{alias}."rows" is not null' if inner else "true"
    many = f'select json_agg({alias})::jsonb as "rows" from ({made}) as {alias}'  # noqa: S608 - quoted identifiers
    return f"{kind} join lateral ({many}) as {alias} on {found}"


def join_conditions(node: Node, parent: str | None) -> list[str]:
    """What ties an embed to its parent's row."""
    if parent is None or node.relation is None:
        return []
    junction = node.relation.junction
    if junction is None:
        return [
            f"{column(node.alias, mine)} = {column(parent, theirs)}"
            for theirs, mine in node.relation.pairs
        ]
    middle = f"{node.alias}j"
    return [
        *(f"{column(middle, a)} = {column(parent, b)}" for a, b in junction.to_origin),
        *(f"{column(middle, a)} = {column(node.alias, b)}" for a, b in junction.to_target),
    ]


def from_clause(node: Node, source: str | None = None) -> str:
    made = f"from {source or table_name(node.table)} as {quoted(node.alias)}"
    junction: Junction | None = None if node.relation is None else node.relation.junction
    if junction is not None:
        made += f", {table_name(junction.table)} as {quoted(node.alias + 'j')}"
    return made


def _order(term: Order, node: Node, schema: Schema, binds: Binds) -> str:
    if term.relation is not None and (child := node.child(term.relation)) is not None:
        made, _ = expression(term.field, child.table, child.alias, schema, binds)
    else:
        made, _ = expression(term.field, node.table, node.alias, schema, binds)
    if term.descending is not None:
        made += " desc" if term.descending else " asc"
    if term.nulls is not None:
        made += f" nulls {term.nulls}"
    return made


def _window(node: Node, binds: Binds) -> str:
    if node.window.whole:
        return ""
    limit = node.window.limit
    bound = "all" if limit is None else f"{binds.text(str(limit))}::bigint"
    return f"limit {bound} offset {binds.text(str(node.window.lower))}::bigint"


# --------------------------------------------------------------------------- filters


def conditions(node: Node, schema: Schema, binds: Binds, *, counting: bool = False) -> list[str]:
    """The node's own filters, each a boolean expression."""
    return [_filter(term, node, schema, binds, counting=counting) for term in node.filters]


def _filter(term: Filter, node: Node, schema: Schema, binds: Binds, *, counting: bool) -> str:
    if isinstance(term, Condition):
        child = _null_embed(term, node)
        if child is not None:
            return _is_embedded(term, child, node, schema, binds, counting=counting)
        return condition(term, node.table, node.alias, schema, binds)
    parts = [_filter(part, node, schema, binds, counting=counting) for part in term.terms]
    return f"{'not ' if term.negated else ''}({f' {term.connective} '.join(parts)})"


def condition(term: Condition, table: Table, alias: str, schema: Schema, binds: Binds) -> str:
    """One comparison, over `alias`."""
    left, kind = expression(term.field, table, alias, schema, binds)
    return f"{'not ' if term.negated else ''}({left} {_comparison(term, kind, binds)})"


def _comparison(term: Condition, kind: str, binds: Binds) -> str:
    if isinstance(term.value, tuple):
        return f"= any({binds.texts(term.value)}::{kind}[])"
    if term.operator == "is":
        return f"is {_IS[term.value]}"
    if term.operator == "isdistinct":
        return f"is distinct from {binds.text(term.value)}::{kind}"
    value = term.value
    if term.operator in ("like", "ilike"):
        value = value.replace("*", "%")
    if term.operator in _PATTERNS:
        kind = "text"
    symbol = _COMPARISONS[term.operator]
    if term.quantifier is not None:
        return f"{symbol} {term.quantifier}({binds.text(value)}::{kind}[])"
    return f"{symbol} {binds.text(value)}::{kind}"


def _null_embed(term: Condition, node: Node) -> Node | None:
    """`rel=is.null` and `rel=not.is.null` ask whether an embed is empty."""
    if term.field.arrows or term.operator != "is" or term.value != "null":
        return None
    return next((child for child in node.children if child.label == term.field.name), None)


def _is_embedded(
    term: Condition, child: Node, node: Node, schema: Schema, binds: Binds, *, counting: bool
) -> str:
    if counting:
        made = f"exists ({count_query(child, schema, binds, parent=node.alias)})"
        return made if term.negated else f"not {made}"
    alias = quoted(child.alias)
    to_one = child.relation is not None and child.relation.to_one
    made = f"row_to_json({alias}.*)" if to_one else f'{alias}."rows"'
    return f"{made} is {'not ' if term.negated else ''}null"


# --------------------------------------------------------------------------- counting


def count_query(
    node: Node,
    schema: Schema,
    binds: Binds,
    *,
    source: str | None = None,
    parent: str | None = None,
) -> str:
    """One row for each row that the filters let through, whatever the page; inner embeds become EXISTS."""
    where = conditions(node, schema, binds, counting=True) + join_conditions(node, parent)
    where += [
        f"exists ({count_query(child, schema, binds, parent=node.alias)})"
        for child in node.children
        if child.embed is not None and child.embed.inner
    ]
    return " ".join(
        [
            "select 1",
            from_clause(node, source),
            *([f"where {' and '.join(where)}"] if where else []),
        ]
    )


def total_of(
    root: Node, schema: Schema, binds: Binds, count: str | None, source: str | None = None
) -> str:
    if count not in ("exact", "estimated"):
        return "null::bigint"
    return f"(select count(*) from ({count_query(root, schema, binds, source=source)}) as counted)"  # noqa: S608 - quoted identifiers
