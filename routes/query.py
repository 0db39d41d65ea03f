"""The query language of /v2 (decisions.md 2, 3, 13): parsing and checking, in the new model's words. Pure.

`field=value`, `field[ne|lt|lte|gt|gte]=`, `field[in]=a,b`, `field[is]=null|not_null`, `order=-a,b`, `limit`, `cursor`.
Whatever is not understood is refused and named; nothing is ignored, since a filter that is dropped shows other people's rows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote

from catalog.column import ORDERED, Column
from routes.cursor import CursorRefused, Position, read_cursor, write_cursor
from routes.percent import decode
from routes.resource import Resource
from routes.value import ValueRefused, canonical

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
MAX_IN = 200


class QueryError(Exception):
    """The request's query is refused. `field` and `code` go into the answer; `field` is cut and made printable."""

    def __init__(self, field: str, code: str) -> None:
        shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in field[:64])
        super().__init__(f"{shown}: {code}")
        self.field = shown
        self.code = code


class Op(StrEnum):
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    IS_NULL = "is_null"
    NOT_NULL = "not_null"


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One condition; several are joined by AND. `values` are canonical texts of the new model: one, several for IN, none for null tests."""

    column: Column
    op: Op
    values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sort:
    """Nulls come last in both directions."""

    column: Column
    descending: bool = False

    @property
    def word(self) -> str:
        return f"{'-' if self.descending else ''}{self.column.target}"


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """What a list request asks for. `order` always ends with the whole key, so that it is total."""

    resource: Resource
    staff: bool
    filters: tuple[Filter, ...]
    order: tuple[Sort, ...]
    limit: int
    after: Position | None = None

    @property
    def fingerprint(self) -> str:
        """What a cursor must have been made for: route, viewer, order and filters, but not the limit."""
        filters = sorted(json.dumps([f.column.target, f.op, *f.values]) for f in self.filters)
        order = [sort.word for sort in self.order]
        return json.dumps([self.resource.path, self.staff, order, filters])

    @property
    def path(self) -> str:
        """The collection's path; in a nested one with the parent's key, which is the last filter's value."""
        path = self.resource.collection_path
        return (
            path.replace("{id}", quote(self.filters[-1].values[0]))
            if self.resource.nested
            else path
        )

    def text(self, key: bytes) -> str:
        """A query string that parses to this very query."""
        own = self.filters[:-1] if self.resource.nested else self.filters
        words = [_write(one) for one in own]
        order = ",".join(sort.word for sort in self._named_order)
        words += [f"order={order}", f"limit={self.limit}"]
        if self.after is not None:
            words.append(f"cursor={self.cursor(self.after, key)}")
        return "&".join(words)

    @property
    def _named_order(self) -> tuple[Sort, ...]:
        """What a caller has to name; the parser appends the rest of the key, and does not let all of it be named."""
        starts = (self.order[:n] for n in range(1, len(self.order)))
        return next((s for s in starts if _with_key(self.resource, s) == self.order), self.order)

    def cursor(self, position: Position, key: bytes) -> str:
        """The text with which the next request goes on behind `position`."""
        return write_cursor(position, self.fingerprint, key)


def parse_list(
    resource: Resource, query: bytes, *, staff: bool, parent: str | None, cursor_key: bytes
) -> ListQuery:
    """Check a list request's raw query string. `parent` is the canonical key from a nested path. Raises QueryError."""
    filters: list[Filter] = []
    single: dict[str, str] = {}
    for name, value in pairs(query):
        if name in ("order", "limit", "cursor"):
            if name in single:
                raise QueryError(name, "repeated")
            single[name] = value
        else:
            filters.append(_filter(resource, name, value, staff=staff))
    if resource.nested:
        column = resource.asset.by_target[resource.parent_column]
        assert isinstance(column, Column) and parent is not None  # noqa: S101, PT018 - a nested route has both
        filters.append(Filter(column=column, op=Op.EQ, values=(parent,)))
    parsed = ListQuery(
        resource=resource,
        staff=staff,
        filters=tuple(filters),
        order=_order(resource, single.get("order", resource.order), staff=staff),
        limit=_limit(single.get("limit")),
    )
    if "cursor" not in single:
        return parsed
    return _resume(parsed, single["cursor"], cursor_key)


def pairs(query: bytes) -> Sequence[tuple[str, str]]:
    """The decoded pairs of a query string, in order; `+` is a space. Raises QueryError for what is not clean."""
    found = []
    for part in query.replace(b"+", b" ").split(b"&") if query else ():
        name, _, value = part.partition(b"=")
        try:
            found.append((decode(name), decode(value)))
        except ValueRefused as refused:
            raise QueryError(name.decode("latin-1"), refused.code) from None
    return found


def _write(one: Filter) -> str:
    name = one.column.target
    if one.op in (Op.IS_NULL, Op.NOT_NULL):
        return f"{name}[is]={'null' if one.op is Op.IS_NULL else 'not_null'}"
    operator = "" if one.op is Op.EQ else f"[{one.op}]"
    return f"{name}{operator}={','.join(quote(value, safe='') for value in one.values)}"


_OPS = {op.value: op for op in (Op.NE, Op.LT, Op.LTE, Op.GT, Op.GTE, Op.IN)}
_RANGE = frozenset({Op.LT, Op.LTE, Op.GT, Op.GTE})


def _filter(resource: Resource, name: str, value: str, *, staff: bool) -> Filter:
    field, bracket, rest = name.partition("[")
    word = rest.removesuffix("]") if bracket else "eq"
    column = resource.column(field, staff=staff)
    if column is None or not column.filter:
        raise QueryError(name, "unknown_parameter")
    if bracket and (not rest.endswith("]") or (word not in _OPS and word != "is")):
        raise QueryError(name, "unknown_operator")
    if word == "is":
        if value not in ("null", "not_null"):
            raise QueryError(name, "expected_null_or_not_null")
        return Filter(column=column, op=Op.IS_NULL if value == "null" else Op.NOT_NULL)
    op = _OPS.get(word, Op.EQ)
    if op in _RANGE and (column.type not in ORDERED or column.values):
        raise QueryError(name, "no_range_on_this_field")
    texts = value.split(",") if op is Op.IN else [value]
    if len(texts) > MAX_IN:
        raise QueryError(name, "too_many_values")
    try:
        return Filter(column=column, op=op, values=tuple(canonical(column, text) for text in texts))
    except ValueRefused as refused:
        raise QueryError(name, refused.code) from None


def _order(resource: Resource, text: str, *, staff: bool) -> tuple[Sort, ...]:
    found: dict[str, Sort] = {}
    for word in text.split(","):
        name = word.removeprefix("-")
        column = resource.column(name, staff=staff)
        if column is None or not column.sort:
            raise QueryError("order", "unknown_field")
        if name in found:
            raise QueryError("order", "repeated")
        found[name] = Sort(column=column, descending=word.startswith("-"))
    return _with_key(resource, tuple(found.values()))


def _with_key(resource: Resource, order: tuple[Sort, ...]) -> tuple[Sort, ...]:
    there = {sort.column.target for sort in order}
    return *order, *(Sort(column=c) for c in resource.asset.key_columns if c.target not in there)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise QueryError("limit", f"expected_1_to_{MAX_LIMIT}")
    return int(text)


def _resume(query: ListQuery, text: str, key: bytes) -> ListQuery:
    try:
        return replace(query, after=read_cursor(text, query.fingerprint, key))
    except CursorRefused as refused:
        raise QueryError("cursor", refused.code) from None
