"""Federated lists: the service's rows plus the legacy rows whose key the service does not know (decisions.md 11).

Merging two windows by key is wrong: legacy's copy of a migrated row may be stale, sort elsewhere, no longer match, or be
hidden or deleted by now. So legacy is scanned in v2 order, and its rows are dropped by key, not by content.

Each answer rests on one snapshot of the service: its page, and which of the scanned legacy keys it knows, are read in
one transaction, after the legacy rows were. A row that is copied meanwhile is therefore in exactly one of the two.
"""

import heapq
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from gateway.disagreement import Disagreement
from gateway.legacy_side import key_of
from gateway.order import Rank, position, rank
from gateway.page import Page
from gateway.rows import Row
from routes.cursor import Position
from routes.key import Key
from routes.query import ListQuery

MOST_LEGACY_PAGES = 20

LegacyPage = Callable[[ListQuery], Awaitable[Page]]
ServicePage = Callable[[Sequence[Key]], Awaitable[Page]]
Keep = Callable[[Row], bool]


@dataclass(frozen=True, kw_only=True)
class Merged:
    """`end`: everything up to this position has been looked at on both sides; None: there is nothing behind."""

    rows: list[Row]
    end: Position | None


def never(row: Row) -> bool:
    """No legacy row is kept in spite of being known."""
    return False


async def federate(
    query: ListQuery,
    legacy_page: LegacyPage,
    service_page: ServicePage,
    *,
    keep_known: Keep = never,
) -> Merged:
    """One page. `service_page` answers the rows behind `query.after` and knows keys; `keep_known` names legacy rows that
    stay although the service knows them, because their partition is still legacy's."""
    scan = _Scan(query)
    merged = Merged(rows=[], end=query.after)
    for _ in range(MOST_LEGACY_PAGES):
        scan.take(await legacy_page(replace(query, after=scan.after)))
        service = await service_page([key for key, _ in scan.candidates])
        scan.drop_known(service.known, keep_known)
        merged = _merge(query, service, scan)
        if merged.end is None or len(merged.rows) == query.limit or scan.reaches(service):
            return merged
    return merged


class _Scan:
    """How far legacy has been looked at, and which of its rows may be the service's unknown ones."""

    def __init__(self, query: ListQuery) -> None:
        self.query = query
        self.candidates: list[tuple[Key, Row]] = []
        self.after = query.after
        self.done = False

    def take(self, page: Page) -> None:
        asset = self.query.resource.asset
        check_order(page.rows, self.query, behind=self.after)
        self.candidates += [(key_of(asset, row), row) for row in page.rows]
        self.done = page.done
        if page.rows:
            self.after = position(page.rows[-1], self.query.order)
        elif not page.done:
            raise Disagreement

    def drop_known(self, known: Sequence[bool], keep_known: Keep) -> None:
        pairs = zip(self.candidates, known, strict=True)
        self.candidates = [
            (key, row) for (key, row), is_known in pairs if not is_known or keep_known(row)
        ]

    def reaches(self, service: Page) -> bool:
        """Legacy was looked at as far as the service's page goes."""
        if service.done or self.after is None:
            return self.done
        order = self.query.order
        return self.done or rank(position(service.rows[-1], order), order) <= rank(
            self.after, order
        )


def check_order(rows: Sequence[Row], query: ListQuery, *, behind: Position | None) -> None:
    """Raises Disagreement unless the rows stand in v2 order behind a position. A side that sorts otherwise (a text key
    under another collation) would make rows vanish between pages; that must be loud."""
    last = None if behind is None else rank(behind, query.order)
    for row in rows:
        here = rank(position(row, query.order), query.order)
        if last is not None and not last < here:
            raise Disagreement
        last = here


def _merge(query: ListQuery, service: Page, scan: _Scan) -> Merged:
    order = query.order
    if not service.done and not service.rows:
        raise Disagreement
    check_order(service.rows, query, behind=query.after)
    service_keys = {key_of(query.resource.asset, row) for row in service.rows}
    from_legacy = [row for key, row in scan.candidates if key not in service_keys]
    end = _nearer(
        None if service.done else position(service.rows[-1], order),
        None if scan.done else scan.after,
        query,
    )

    def place(row: Row) -> Rank:
        return rank(position(row, order), order)

    rows = list(heapq.merge(service.rows, from_legacy, key=place))
    if end is not None:
        limit = rank(end, order)
        rows = [row for row in rows if place(row) <= limit]
    if len(rows) > query.limit:
        rows = rows[: query.limit]
        end = position(rows[-1], order)
    return Merged(rows=rows, end=end)


def _nearer(a: Position | None, b: Position | None, query: ListQuery) -> Position | None:
    if a is None or b is None:
        return b if a is None else a
    return a if rank(a, query.order) <= rank(b, query.order) else b
