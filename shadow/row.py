"""Two rows of one key, column by column."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from catalog.column import Compare, Kept, Merge, Type
from shadow.difference import Difference, Kind
from shadow.normal import Normal, json_form, normal
from shadow.shape import Shape

Row = Mapping[str, Any]

_ANY_MEMBER = "*"
"""In place of a member's name that nobody has declared: a patient may have written it."""


def row_differences(
    shape: Shape, left: Row, right: Row, *, at: str = "", row: tuple[str, ...] = ()
) -> Iterator[Difference]:
    """`at`: the path of the row. Columns that do not decide are compared all the same (`Difference.decides`)."""
    found = list(_members(shape.columns, left, right, at, row))
    if found:
        changed = changed_at(shape, left, right)
        yield from (replace(one, changed_at=changed) for one in found)


def changed_at(shape: Shape, *rows: Row) -> datetime | None:
    """The latest of the rows' own instants; None where one of them has none."""
    found = [
        normal(column, row.get(shape.stamp))
        for column in shape.columns
        if column.target == shape.stamp
        for row in rows
    ]
    instants = [value for word, value in found if word == "instant" and isinstance(value, datetime)]
    return max(instants) if found and len(instants) == len(found) else None


def _members(
    columns: tuple[Kept, ...], left: Row, right: Row, at: str, row: tuple[str, ...]
) -> Iterator[Difference]:
    names = set()
    for column in columns:
        name = column.target
        names.add(name)
        path = f"{at}{name}"
        if name not in left or name not in right:
            yield from _absent(column, name, left, right, path, row)
            continue
        one, other = left[name], right[name]
        if one is other or (type(one) is type(other) and one == other and _flat(one)):
            continue
        for found in _differences(column, one, other, path):
            yield replace(found, column=column, row=row)
    yield from _undeclared(left, right, names, f"{at}{_ANY_MEMBER}", row)


def _undeclared(
    left: Row, right: Row, names: set[str], path: str, row: tuple[str, ...]
) -> Iterator[Difference]:
    """Members that no column describes: there should be none."""
    for name in sorted((left.keys() | right.keys()) - names):
        if name not in right:
            yield Difference(kind=Kind.MISSING, path=path, row=row)
        elif name not in left:
            yield Difference(kind=Kind.EXTRA, path=path, row=row)
        else:
            for found in _json(left[name], right[name], path):
                yield replace(found, row=row, left=None, right=None)


def _flat(value: Any) -> bool:
    """Whether `==` is enough: inside containers True equals 1."""
    return not isinstance(value, list | dict)


def _absent(
    column: Kept, name: str, left: Row, right: Row, path: str, row: tuple[str, ...]
) -> Iterator[Difference]:
    one, other = left.get(name), right.get(name)
    on_neither = name not in left and name not in right
    if on_neither or (column.absent_is_null and one is None and other is None):
        return
    kind = Kind.MISSING if name in left else Kind.EXTRA
    yield Difference(kind=kind, path=path, column=column, row=row, left=one, right=other)


def _differences(column: Kept, left: Any, right: Any, path: str) -> Iterator[Difference]:
    one, other = normal(column, left), normal(column, right)
    if one == other:
        return
    if column.type is Type.TEXT_ARRAY and one[0] == other[0] == "array":
        yield from _arrays(left, right, path, unordered=column.compare is Compare.UNORDERED)
    elif column.type is Type.JSONB:
        declared = frozenset(column.parts) if isinstance(column, Merge) else frozenset()
        yield from _json(left, right, path, declared)
    else:
        yield _plain(one, other, left, right, path)


def _plain(one: Normal, other: Normal, left: Any, right: Any, path: str) -> Difference:
    # A value that became null, or was null, is another value; a text for a number is another type.
    same_type = one[0] == other[0] or "null" in (one[0], other[0])
    return Difference(
        kind=Kind.VALUE if same_type else Kind.TYPE, path=path, left=left, right=right
    )


def _json(
    left: Any, right: Any, path: str, declared: frozenset[str] = frozenset()
) -> Iterator[Difference]:
    one, other = json_form(left), json_form(right)
    if one == other:
        return
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted(left.keys() | right.keys()):
            below = f"{path}.{name if name in declared else _ANY_MEMBER}"
            if name not in right:
                yield Difference(kind=Kind.MISSING, path=below, left=left[name])
            elif name not in left:
                yield Difference(kind=Kind.EXTRA, path=below, right=right[name])
            else:
                yield from _json(left[name], right[name], below)
    elif isinstance(left, list) and isinstance(right, list):
        yield from _arrays(left, right, path, unordered=False)
    else:
        yield _plain(one, other, left, right, path)


def _arrays(
    left: list[Any], right: list[Any], path: str, *, unordered: bool
) -> Iterator[Difference]:
    if len(left) != len(right):
        yield Difference(kind=Kind.LENGTH, path=path, left=len(left), right=len(right))
    elif unordered:
        yield from _unpaired(left, right, path)
    elif _counts(left) == _counts(right):
        yield Difference(kind=Kind.ORDER, path=path)
    else:
        for place, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _json(one, other, f"{path}[{place}]")


def _unpaired(left: list[Any], right: list[Any], path: str) -> Iterator[Difference]:
    """As many on the one side as on the other: each pair of them is one value that differs."""
    theirs = _counts(right)
    gone = []
    for one in left:
        form = json_form(one)
        if theirs.get(form, 0):
            theirs[form] -= 1
        else:
            gone.append(one)
    come = [one for one in right if _take(theirs, json_form(one))]
    for one, other in zip(gone, come, strict=True):
        yield Difference(kind=Kind.VALUE, path=f"{path}[]", left=one, right=other)


def _counts(values: list[Any]) -> dict[Normal, int]:
    counts: dict[Normal, int] = {}
    for value in values:
        form = json_form(value)
        counts[form] = counts.get(form, 0) + 1
    return counts


def _take(counts: dict[Normal, int], form: Normal) -> bool:
    left = counts.get(form, 0)
    counts[form] = left - 1
    return left > 0
