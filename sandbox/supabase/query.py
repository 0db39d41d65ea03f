"""The query string of one request, parsed whole. Pure.

Reserved keys are select, order, limit, offset, columns, on_conflict, and, or, not.and, not.or; **any other key is a
filter**, so that `?_=123` is refused, not ignored.

Stand-in, not PostgREST, never for production.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from sandbox.supabase import grammar
from sandbox.supabase.errors import RestError
from sandbox.supabase.terms import Condition, Logic, Order, Path, SelectItem, Window

_RESERVED = frozenset({"select", "columns", "on_conflict"})
_RESERVED_ENDINGS = frozenset({"order", "limit", "offset", "and", "or"})
_INTEGER = re.compile(r"\s*-?\d+\s*", re.ASCII)
_RANGE = re.compile(r"(\d+)-(\d*)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Query:
    """What the caller asks of a table, a view or a function's result."""

    select: tuple[SelectItem, ...]
    filters: tuple[tuple[Path, Condition], ...] = ()
    logic: tuple[tuple[Path, Logic], ...] = ()
    orders: tuple[tuple[Path, tuple[Order, ...]], ...] = ()
    limits: Mapping[Path, int]
    offsets: Mapping[Path, int]
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    """Only of a call by GET: the keys whose value has no operator."""
    canonical: str = ""
    """The keys in alphabetical order, for Content-Location."""

    def window(self, range_header: str | None) -> Window:
        """The rows of the top level: limit and offset, cut by the Range header. Raises PGRST103."""
        lower = max(self.offsets.get((), 0), 0)
        limit = self.limits.get(())
        if limit == 0:
            return Window(lower=0, upper=-1)
        upper = None if limit is None else lower + limit - 1
        asked = _RANGE.fullmatch(range_header or "")
        if asked is not None:
            first, last = int(asked[1]), int(asked[2]) if asked[2] else None
            if last is not None and last < first:
                raise _bad_range("The lower boundary must be lower than or equal to the upper one.")
            lower = max(lower, first)
            upper = last if upper is None else upper if last is None else min(upper, last)
        if upper is not None and upper < lower:
            raise _bad_range("Limit should be greater than or equal to zero.")
        return Window(lower=lower, upper=upper)


def parse(raw: bytes, *, call_by_get: bool = False) -> Query:
    """Raises PGRST100 for what cannot be read, PGRST127 for what the stand-in has not got."""
    pairs = split(raw)
    named = [(key, value) for key, value in pairs if value is not None]
    single: dict[str, str] = {}
    for key, value in named:
        single.setdefault(key, value)
    orders, logic, filters, arguments = [], [], [], []
    limits: dict[Path, int] = {}
    offsets: dict[Path, int] = {}
    for key, value in named:
        *embedded, last = key.split(".")
        if last == "order":
            orders.append((tuple(embedded), grammar.parse_order(value)))
        elif last in ("limit", "offset"):
            if _INTEGER.fullmatch(value):
                (limits if last == "limit" else offsets)[tuple(embedded)] = int(value)
        elif last in _RESERVED_ENDINGS:
            logic.append(grammar.parse_logic(key, value))
        elif key not in _RESERVED:
            try:
                filters.append(grammar.parse_filter(key, value))
            except grammar.NoOperator:
                if not call_by_get:
                    raise _no_operator(value) from None
                arguments.append((grammar.parse_key(key)[1].name, value))
    return Query(
        select=grammar.parse_select(single.get("select", "*")),
        filters=tuple(filters),
        logic=tuple(logic),
        orders=tuple(orders),
        limits=limits,
        offsets=offsets,
        columns=_names(single, "columns"),
        on_conflict=_names(single, "on_conflict"),
        arguments=tuple(arguments),
        canonical=_canonical(pairs),
    )


def split(raw: bytes) -> Sequence[tuple[str, str | None]]:
    """Keys and values, `+` as a blank, both decoded; None for a key without `=`."""
    pairs: list[tuple[str, str | None]] = []
    for part in re.split(rb"[&;]", raw):
        if not part:
            continue
        key, equals, value = part.replace(b"+", b" ").partition(b"=")
        pairs.append((_decoded(key), _decoded(value) if equals else None))
    return pairs


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")


def _names(single: Mapping[str, str], key: str) -> tuple[str, ...] | None:
    return grammar.parse_names(single[key], key) if key in single else None


def _canonical(pairs: Sequence[tuple[str, str | None]]) -> str:
    ordered = sorted(pairs, key=lambda pair: pair[0])
    return "&".join(
        f"{quote(key, safe='')}={quote(value or '', safe='')}" for key, value in ordered
    )


def _no_operator(value: str) -> RestError:
    return RestError(
        "PGRST100",
        f'"failed to parse filter ({value})" (line 1, column 1)',
        details='unexpected input expecting "not" or operator (eq, gt, ...)',
    )


def _bad_range(details: str) -> RestError:
    return RestError("PGRST103", "Requested range not satisfiable", details=details)
