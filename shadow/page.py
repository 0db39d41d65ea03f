"""Two pages of one list: rows are matched by their key, whatever their place."""

from collections.abc import Iterator, Sequence

from shadow.difference import Difference, Kind
from shadow.normal import Normal, normal
from shadow.row import Row, changed_at, row_differences
from shadow.shape import Shape

ITEMS = "items[]"
_ROWS = "items"
_NEXT = "next"

Key = tuple[Normal, ...]


def page_differences(shape: Shape, left: Row, right: Row) -> Iterator[Difference]:
    """Of two bodies that hold a list of objects in `items`."""
    one, other = _by_key(shape, left[_ROWS]), _by_key(shape, right[_ROWS])
    for rows, given, kind in (
        (one, left[_ROWS], Kind.MISSING),
        (other, right[_ROWS], Kind.EXTRA),
    ):
        if len(rows) != len(given):
            yield Difference(kind=kind, path=ITEMS, left=len(left[_ROWS]), right=len(right[_ROWS]))
    gone = [key for key in one if key not in other]
    come = [key for key in other if key not in one]
    yield from _one_sided(shape, gone, one, other)
    yield from _one_sided(shape, come, other, one)
    for key, row in one.items():
        if key in other:
            yield from row_differences(
                shape, row, other[key], at=f"{ITEMS}.", row=row_key(shape, row)
            )
    if _order(shape, one, other):
        yield Difference(kind=Kind.ORDER, path=_ROWS)
    if not (gone or come) and (left.get(_NEXT) is None) != (right.get(_NEXT) is None):
        kind = Kind.MISSING if right.get(_NEXT) is None else Kind.EXTRA
        yield Difference(kind=kind, path=_NEXT)


def row_key(shape: Shape, row: Row) -> tuple[str, ...]:
    """As texts, for a row's tag in the evidence."""
    return tuple(str(row.get(name)) for name in shape.key)


def _by_key(shape: Shape, rows: Sequence[Row]) -> dict[Key, Row]:
    columns = {column.target: column for column in shape.columns}
    return {tuple(normal(columns[name], row.get(name)) for name in shape.key): row for row in rows}


def _one_sided(
    shape: Shape, keys: list[Key], rows: dict[Key, Row], others: dict[Key, Row]
) -> Iterator[Difference]:
    """Rows that the other page lacks. Where that one is full, what comes behind its last row is on its next page."""
    last = next(reversed(others.values()), None) if len(others) == shape.limit else None
    for key in keys:
        if last is None or not _behind(shape, rows[key], last):
            row = rows[key]
            changed = changed_at(shape, row)
            yield Difference(
                kind=Kind.VISIBILITY, path=ITEMS, row=row_key(shape, row), changed_at=changed
            )


def _behind(shape: Shape, row: Row, last: Row) -> bool:
    """Whether the row comes later in the list's order than the other one; False where that cannot be said."""
    columns = {column.target: column for column in shape.columns}
    for by in shape.order:
        if by.name not in columns:
            return False
        one, other = (normal(columns[by.name], found.get(by.name)) for found in (row, last))
        if one == other:
            continue
        if one[0] != other[0] or one[0] not in _SORTED:
            return False
        return bool(one[1] < other[1]) is by.descending  # type: ignore[operator]
    return False


_SORTED = frozenset({"integer", "number", "date", "instant", "uuid"})
"""Normal forms on which `<` means what it means in PostgreSQL: of text it does not, collations differ."""


def _order(shape: Shape, one: dict[Key, Row], other: dict[Key, Row]) -> bool:
    """Whether what both sides hold comes in another order. Rows that are alike by the list's order are in none."""
    if not shape.order:
        return False
    columns = {column.target: column for column in shape.columns}
    known = [by.name for by in shape.order if by.name in columns]

    def place(row: Row) -> tuple[Normal, ...]:
        return tuple(normal(columns[name], row.get(name)) for name in known)

    # By the primary's values on both sides: a value that differs is a difference of its own.
    left = [place(row) for key, row in one.items() if key in other]
    right = [place(one[key]) for key in other if key in one]
    return left != right
