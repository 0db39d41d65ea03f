"""v2 queries in PostgREST's language. Pure; PostgREST does the renaming, so most bytes pass through untouched.

Facts used: filters `column=op.value`; `in.("a","b")` with backslash escapes; `or=(…)` with quoted values;
`order=a.desc.nullslast`; `select=alias:column` (supabase-rules section 1).
"""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from catalog.asset import Asset, Kind
from catalog.column import Column, Kept, Merge
from catalog.transform import preimage
from gateway.rows import hidden_part
from routes.cursor import Position
from routes.etag import stamp_of
from routes.key import Key
from routes.query import Filter, ListQuery, Op, Sort

ORIGIN = "_origin"
"""Alias of the hidden column that the entity tag needs."""


def list_target(query: ListQuery, columns: Sequence[Kept], *, limit: int) -> bytes:
    """Path and query of a page of `limit` rows behind `query.after`."""
    parts = [f"select={select(columns)}"]
    parts += [_filter(one) for one in query.filters]
    if query.after is not None:
        parts.append(f"or={_encode(_behind(query.after, query.order))}")
    parts += [f"order={_order(query.order)}", f"limit={limit}"]
    return _target(query.resource.asset, parts)


def item_target(asset: Asset, key: Key, columns: Sequence[Kept]) -> bytes:
    """Path and query of one row, with what its entity tag needs."""
    parts = [f"select={select(columns)},{ORIGIN}:origin"]
    return _target(asset, [*parts, *_key_filters(asset, key), "limit=1"])


def created_target(asset: Asset, columns: Sequence[Kept]) -> bytes:
    """Where a new row is posted, and how it is asked for back."""
    return _target(asset, [f"select={select(columns)},{ORIGIN}:origin"])


def changed_target(asset: Asset, key: Key, columns: Sequence[Kept], etag: str) -> bytes:
    """One row in the version of this entity tag."""
    shown = f"select={select(columns)},{ORIGIN}:origin"
    return _target(asset, [shown, *_key_filters(asset, key), *_version_filters(etag)])


def removed_target(asset: Asset, key: Key, etag: str) -> bytes:
    """One row, in the version of this entity tag if there is one."""
    shown = f"select={','.join(column.source for column in asset.key_columns)}"
    return _target(asset, [shown, *_key_filters(asset, key), *_version_filters(etag)])


def made_by_target(asset: Asset, correlation_ids: Sequence[str], columns: Sequence[Kept]) -> bytes:
    """The rows that a request with one of these correlation ids made."""
    shown = f"select={select(columns)},{ORIGIN}:origin"
    ids = f"({','.join(_quoted(one) for one in correlation_ids)})"
    return _target(
        asset,
        [shown, f"correlation_id=in.{_encode(ids)}", "row_version=eq.1", "limit=2"],
    )


def _key_filters(asset: Asset, key: Key) -> list[str]:
    return [
        f"{column.source}=eq.{_encode(text)}"
        for column, text in zip(asset.key_columns, key, strict=True)
    ]


def _version_filters(etag: str) -> list[str]:
    version = stamp_of(etag) if etag else None
    if version is None:
        return []
    stamp, origin = version
    return [f"updated_at=eq.{_encode(stamp)}", f"origin=eq.{_encode(origin)}"]


def stamp_column(asset: Asset) -> str:
    """The v2 field whose instant is the entity tag's."""
    return "updated_at" if asset.kind is Kind.VERSIONED else "created_at"


def select(columns: Iterable[Kept]) -> str:
    """The `select` value that asks for these columns under their v2 names."""
    words = []
    for column in columns:
        if isinstance(column, Merge):
            words += [
                f"{hidden_part(column, part)}:{source}"
                for part, source in zip(column.parts, column.sources, strict=True)
            ]
        else:
            words.append(
                column.source
                if column.source == column.target
                else f"{column.target}:{column.source}"
            )
    return ",".join(words)


def _target(asset: Asset, parts: Iterable[str]) -> bytes:
    return f"/rest/v1/{asset.entity}?{'&'.join(parts)}".encode()


def _order(order: Iterable[Sort]) -> str:
    return ",".join(
        f"{s.column.source}.{'desc' if s.descending else 'asc'}.nullslast" for s in order
    )


_WORDS = {Op.LT: "lt", Op.LTE: "lte", Op.GT: "gt", Op.GTE: "gte"}


def _filter(one: Filter) -> str:
    source = one.column.source
    if one.op is Op.IS_NULL:
        return f"{source}=is.null"
    if one.op is Op.NOT_NULL:
        return f"{source}=not.is.null"
    values = _legacy_values(one.column, one.values)
    if one.op in _WORDS:
        return f"{source}={_WORDS[one.op]}.{_encode(values[0])}"
    negated = one.op is Op.NE
    if len(values) == 1:
        return f"{source}={'neq' if negated else 'eq'}.{_encode(values[0])}"
    listed = ",".join(map(_quoted, values))
    return f"{source}={'not.in' if negated else 'in'}.{_encode(f'({listed})')}"


def _legacy_values(column: Column, values: Iterable[str]) -> list[str]:
    """What the filter's values are in legacy: several words may have become one."""
    if column.values:
        return [word for value in values for word in preimage(column, value)]
    if column.convert:
        return [str(column.convert.invert(int(value))) for value in values]
    return list(values)


def _behind(after: Position, order: Sequence[Sort]) -> str:
    """All that comes after a position, nulls last: an `or` of `and`s, two levels deep."""
    alternatives = []
    equal: list[str] = []
    for text, sort in zip(after, order, strict=True):
        source = sort.column.source
        further = []
        if text is not None:
            further.append(f"{source}.{'lt' if sort.descending else 'gt'}.{_quoted(text)}")
            if sort.column.nullable:
                further.append(f"{source}.is.null")
        alternatives += [_and([*equal, one]) for one in further]
        equal.append(f"{source}.is.null" if text is None else f"{source}.eq.{_quoted(text)}")
    return f"({','.join(alternatives)})"


def _and(conditions: Sequence[str]) -> str:
    return conditions[0] if len(conditions) == 1 else f"and({','.join(conditions)})"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _encode(value: str) -> str:
    return quote(value, safe="-._~()")
