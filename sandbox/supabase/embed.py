"""From a parsed query to a tree of relations: which foreign key each embed follows, and which filters, orders and
windows belong to it. Pure.

Stand-in, not PostgREST, never for production.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sandbox.supabase.errors import RestError, Unsupported
from sandbox.supabase.query import Query
from sandbox.supabase.schema_cache import ForeignKey, Schema, Table
from sandbox.supabase.terms import Column, Embed, Field, Filter, Order, Path, SelectItem, Window

ROOT = "~"
"""Aliases begin with a tilde, so that no column of a real table is ever mistaken for one."""


@dataclass(frozen=True, kw_only=True)
class Junction:
    """The table between two others; pairs of its column with the origin's, and with the target's."""

    table: Table
    to_origin: tuple[tuple[str, str], ...]
    to_target: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """How an embed hangs on its parent: pairs of the parent's column with its own, or a junction."""

    target: Table
    pairs: tuple[tuple[str, str], ...]
    to_one: bool
    constraint: str
    junction: Junction | None = None

    @property
    def origin_columns(self) -> tuple[str, ...]:
        """The parent's columns that the join needs."""
        if self.junction is not None:
            return tuple(theirs for _, theirs in self.junction.to_origin)
        return tuple(mine for mine, _ in self.pairs)


@dataclass(kw_only=True)
class Node:
    """One relation of the answer. `alias` is its name in SQL, `items` its columns and children in the order asked."""

    table: Table
    alias: str
    embed: Embed | None = None
    relation: Relation | None = None
    items: "list[Column | Node]" = field(default_factory=list)
    filters: list[Filter] = field(default_factory=list)
    order: tuple[Order, ...] = ()
    window: Window = field(default_factory=Window)

    @property
    def label(self) -> str:
        return "" if self.embed is None else self.embed.label

    @property
    def shows(self) -> bool:
        """Whether the answer has anything of it: `rel()` only joins, and so does `rel(other())`."""
        return any(isinstance(item, Column) or item.shows for item in self.items)

    @property
    def children(self) -> "list[Node]":
        return [item for item in self.items if isinstance(item, Node)]

    @property
    def columns(self) -> list[Column]:
        return [item for item in self.items if isinstance(item, Column)]

    def child(self, label: str) -> "Node | None":
        """By alias, or by the relation's own name, as long as older servers are about."""
        exact = (node for node in self.children if node.label == label)
        named = (
            node for node in self.children if node.embed is not None and node.embed.name == label
        )
        return next(itertools.chain(exact, named), None)

    def descend(self, path: Path) -> "Node":
        """Raises PGRST108 for a relation that is not embedded."""
        node = self
        for name in path:
            found = node.child(name)
            if found is None:
                raise not_embedded(name)
            node = found
        return node


def not_embedded(name: str) -> RestError:
    return RestError(
        "PGRST108",
        f"'{name}' is not an embedded resource in this request",
        hint=f"Verify that '{name}' is included in the 'select' query parameter.",
    )


def build(
    query: Query, table: Table, schema: Schema, *, window: Window, max_rows: int | None, read: bool
) -> Node:
    """The tree of one request. In a write (`read` false) root filters belong to the statement, not to the answer."""
    numbers = itertools.count(1)
    root = Node(table=table, alias=ROOT)
    root.items = _resolve(query.select or (_STAR,), root, schema, numbers)
    for path, condition in query.filters:
        if path or read:
            root.descend(path).filters.append(condition)
    for path, logic in query.logic:
        if path or read:
            root.descend(path).filters.append(logic)
    for path, order in query.orders:
        root.descend(path).order = order
    if read:
        for path in {*query.limits, *query.offsets} - {()}:
            root.descend(path).window = _embedded_window(query, path)
        root.window = window
        for node in _all(root):
            node.window = _capped(node.window, max_rows)
    _check_related_orders(root)
    return root


_STAR = Column(field=Field(name="*"))


def _resolve(
    items: Sequence[SelectItem], parent: Node, schema: Schema, numbers: Iterator[int]
) -> "list[Column | Node]":
    resolved: list[Column | Node] = []
    for item in items:
        if isinstance(item, Column):
            resolved.append(item)
            continue
        relation = find_relation(schema, parent.table, item)
        if item.spread and not relation.to_one:
            raise Unsupported("spreading a to-many relation")
        node = Node(table=relation.target, alias=f"~{next(numbers)}", embed=item, relation=relation)
        node.items = _resolve(item.items, node, schema, numbers)
        resolved.append(node)
    return resolved


def _embedded_window(query: Query, path: Path) -> Window:
    lower = query.offsets.get(path, 0)
    limit = query.limits.get(path)
    return Window(lower=lower, upper=None if limit is None else lower + limit - 1)


def _capped(window: Window, max_rows: int | None) -> Window:
    if max_rows is None or (window.limit is not None and window.limit <= max_rows):
        return window
    return Window(lower=window.lower, upper=window.lower + max_rows - 1)


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def _check_related_orders(root: Node) -> None:
    for node in _all(root):
        for term in node.order:
            if term.relation is None:
                continue
            child = node.child(term.relation)
            if child is None:
                raise not_embedded(term.relation)
            if child.relation is not None and not child.relation.to_one:
                raise RestError(
                    "PGRST118",
                    f"A related order on '{term.relation}' is not possible",
                    details=f"'{node.table.name}' and '{term.relation}' do not form a many-to-one"
                    " or one-to-one relationship",
                )


# --------------------------------------------------------------------------- foreign keys


def find_relation(schema: Schema, origin: Table, embed: Embed) -> Relation:
    """The one relation that `embed` can mean. Raises PGRST200 for none, PGRST201 for several, PGRST127 where views or
    functions would have to be looked into."""
    found = [relation for relation in relations(schema, origin) if _fits(relation, origin, embed)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RestError(
            "PGRST201",
            f"Could not embed because more than one relationship was found for"
            f" '{origin.name}' and '{embed.name}'",
            details=[
                {"embedding": f"{origin.name} with {relation.target.name}"} for relation in found
            ],
            hint=f"Try changing '{embed.name}' to name the foreign key.",
        )
    target = schema.tables.get((origin.schema, embed.name))
    hinted = schema.tables.get((origin.schema, embed.hint or ""))
    if (origin.key, embed.name) in schema.computed:
        raise Unsupported("relations computed by a function")
    if not origin.schema or any(
        each is not None and each.view for each in (origin, target, hinted)
    ):
        raise Unsupported("relations of views and of functions without a table")
    raise RestError(
        "PGRST200",
        f"Could not find a relationship between '{origin.name}' and '{embed.name}'"
        " in the schema cache",
        details=f"Searched for a foreign key relationship between '{origin.name}' and"
        f" '{embed.name}' in the schema '{origin.schema}', but no matches were found.",
    )


def relations(schema: Schema, origin: Table) -> list[Relation]:
    """Every relation that starts at `origin`: its own keys, the keys that point at it, and junctions."""
    found = []
    for key in schema.foreign_keys:
        if key.table == origin.key:
            found.append(_outgoing(schema, key))
        if key.foreign == origin.key:
            found.append(_incoming(schema, key))
            found += _through(schema, key)
    return found


def _outgoing(schema: Schema, key: ForeignKey) -> Relation:
    return Relation(
        target=schema.table(*key.foreign),
        pairs=tuple(zip(key.columns, key.foreign_columns, strict=True)),
        to_one=True,
        constraint=key.name,
    )


def _incoming(schema: Schema, key: ForeignKey) -> Relation:
    """To one where the referring columns are unique by themselves."""
    target = schema.table(*key.table)
    return Relation(
        target=target,
        pairs=tuple(zip(key.foreign_columns, key.columns, strict=True)),
        to_one=frozenset(key.columns) in target.uniques,
        constraint=key.name,
    )


def _through(schema: Schema, key: ForeignKey) -> list[Relation]:
    """Many-to-many: a table whose primary key holds the columns of two foreign keys."""
    middle = schema.tables[key.table]
    return [
        Relation(
            target=schema.table(*other.foreign),
            pairs=(),
            to_one=False,
            constraint="",
            junction=Junction(
                table=middle,
                to_origin=tuple(zip(key.columns, key.foreign_columns, strict=True)),
                to_target=tuple(zip(other.columns, other.foreign_columns, strict=True)),
            ),
        )
        for other in schema.foreign_keys
        if other.table == key.table
        and other.name != key.name
        and {*key.columns, *other.columns} <= set(middle.primary_key)
    ]


def _fits(relation: Relation, origin: Table, embed: Embed) -> bool:
    """A target is a table, a constraint or the referring column; a hint a constraint, a column or the junction."""
    mine = relation.pairs[0][0] if len(relation.pairs) == 1 else None
    theirs = relation.pairs[0][1] if len(relation.pairs) == 1 else None
    named = embed.name == relation.target.name
    if relation.junction is None and relation.target.key == origin.key:
        if embed.hint is not None:
            return named and not relation.to_one and embed.hint == theirs
        return (named and not relation.to_one) or (relation.to_one and embed.name == mine)
    if embed.hint is None:
        return named or embed.name == relation.constraint != "" or embed.name == mine
    junction = relation.junction
    return named and (
        embed.hint == relation.constraint != ""
        or (mine is not None and embed.hint in (mine, theirs))
        or (junction is not None and embed.hint == junction.table.name)
    )
