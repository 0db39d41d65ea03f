"""Reads of one resource, by plan: who is asked, in which order, and what the caller gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from catalog.column import Column
from catalog.stage import Side
from gateway.caller import Caller
from gateway.federate import Keep, federate, never
from gateway.legacy_side import LEGACY, LegacySide, key_of
from gateway.order import position
from gateway.page import Item, Page
from gateway.plan import Read, SplitRead
from gateway.rows import Row, encode_list, text_of
from gateway.service_side import ServiceSide
from routes.cursor import Position
from routes.etag import matches
from routes.key import Key
from routes.query import MAX_LIMIT, Filter, ListQuery, Op
from routes.refused import NotFound
from routes.resource import Resource
from runtime.upstream.errors import UpstreamBroke, UpstreamError
from runtime.upstream.reply import Reply

log = structlog.get_logger("read")

MOST_COUNTED_PAGES = 20


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`side` is who really answered, which a fallback makes another than planned."""

    status: int
    side: str
    body: bytes = b""
    etag: str = ""
    counted: bool = False
    rows: int | None = None
    """How many rows a list shows, if that is known."""


class Reader:
    """Item and list reads over the two sides."""

    def __init__(self, legacy: LegacySide, services: ServiceSide, cursor_key: bytes) -> None:
        self._legacy = legacy
        self._services = services
        self._cursor_key = cursor_key

    # --- items

    async def item(
        self,
        plan: Read | SplitRead,
        resource: Resource,
        key: Key,
        path: bytes,
        caller: Caller,
        if_none_match: bytes | None,
    ) -> Answer:
        """One row. Raises NotFound when there is none, or none that the caller may see."""
        if isinstance(plan, SplitRead):
            return await self._split_item(plan, resource, key, path, caller, if_none_match)
        if plan.side is Side.LEGACY:
            return await self._legacy_item(resource, key, caller, if_none_match)
        return await self._service_item(plan, resource, key, path, caller, if_none_match)

    async def _legacy_item(
        self, resource: Resource, key: Key, caller: Caller, if_none_match: bytes | None
    ) -> Answer:
        found = await self._legacy.item(resource, key, caller)
        if found is None:
            raise NotFound
        return _item_answer(found[0], if_none_match)

    async def _service_item(
        self,
        plan: Read,
        resource: Resource,
        key: Key,
        path: bytes,
        caller: Caller,
        if_none_match: bytes | None,
    ) -> Answer:
        try:
            found = await self._at_service(resource, path, caller, if_none_match)
        except UpstreamError as error:
            if not plan.falls_back or plan.pinned:
                raise
            return await self.item_instead(resource, key, path, caller, if_none_match, error)
        if found is not None:
            return found
        if not plan.falls_back:
            raise NotFound
        return await self.item_instead(resource, key, path, caller, if_none_match, None)

    async def _at_service(
        self, resource: Resource, path: bytes, caller: Caller, if_none_match: bytes | None
    ) -> Answer | None:
        extra = [(b"if-none-match", if_none_match)] if if_none_match is not None else []
        reply = await self._services.get(resource, path, b"", caller, extra)
        return None if reply.status == 404 else _pass_through(reply)

    async def item_instead(
        self,
        resource: Resource,
        key: Key,
        path: bytes,
        caller: Caller,
        if_none_match: bytes | None,
        error: UpstreamError | None,
    ) -> Answer:
        """Legacy's row, after the service has failed (`error`) or does not show one; the service's own, if it has come there
        meanwhile. Raises NotFound, UpstreamError."""
        if error is not None:
            _fell_back(resource, error)
        elif (await self._services.known(resource, [key], caller))[0]:
            # Come over since the service was asked for it; or hidden or deleted there: legacy's copy must not come back.
            arrived = await self._at_service(resource, path, caller, if_none_match)
            if arrived is None:
                raise NotFound
            return arrived
        return await self._legacy_item(resource, key, caller, if_none_match)

    async def _split_item(
        self,
        plan: SplitRead,
        resource: Resource,
        key: Key,
        path: bytes,
        caller: Caller,
        if_none_match: bytes | None,
    ) -> Answer:
        """Legacy's copy says which partition the row is in; a row that only the service has is the service's."""
        found = await self._legacy.item(resource, key, caller)
        if found is not None and plan.sides.get(_partition(resource, found[1])) is Side.LEGACY:
            return _item_answer(found[0], if_none_match)
        return await self._service_item(plan.service, resource, key, path, caller, if_none_match)

    # --- lists

    async def page(
        self, plan: Read | SplitRead, query: ListQuery, raw: bytes, caller: Caller, *, count: bool
    ) -> Answer:
        """A page of a list. `raw` is the query string as it came, for a service that answers alone."""
        by_service = plan.service if isinstance(plan, SplitRead) else plan
        if by_service.side is Side.LEGACY:
            return await self._legacy_page(query, caller, count=count)
        try:
            if isinstance(plan, SplitRead):
                return await self._split_page(plan, query, caller)
            if plan.federated:
                return await self._federated_page(query, caller, count=count)
            return await self._service_page(query, raw, caller, count=count)
        except UpstreamError as error:
            if not by_service.falls_back or by_service.pinned or error.upstream == LEGACY:
                raise
            return await self.page_instead(query, caller, error, count=count)

    async def page_instead(
        self, query: ListQuery, caller: Caller, error: UpstreamError, *, count: bool
    ) -> Answer:
        """Legacy's page, after the service has failed."""
        _fell_back(query.resource, error)
        return await self._legacy_page(query, caller, count=count)

    async def _service_page(
        self, query: ListQuery, raw: bytes, caller: Caller, *, count: bool
    ) -> Answer:
        prefer = [(b"prefer", b"count=exact")] if count else []
        reply = await self._services.get(query.resource, query.path.encode(), raw, caller, prefer)
        if reply.status != 200:
            raise UpstreamBroke(query.resource.service)
        return replace(_pass_through(reply), counted=count)

    async def _legacy_page(self, query: ListQuery, caller: Caller, *, count: bool) -> Answer:
        page = await self._legacy.page(query, caller, count=count)
        end = None if page.done else position(page.rows[-1], query.order)
        return self._list_answer(Side.LEGACY, query, page.rows, end, page.total)

    async def _federated_page(self, query: ListQuery, caller: Caller, *, count: bool) -> Answer:
        total: int | None = None

        async def legacy_page(part: ListQuery) -> Page:
            return await self._legacy.page(part, caller)

        async def service_page(keys: Sequence[Key]) -> Page:
            return await self._services.page(query, caller, keys)

        merged = await federate(query, legacy_page, service_page)
        if count:
            total = await self._federated_total(query, caller)
        return self._list_answer("both", query, merged.rows, merged.end, total)

    async def _split_page(self, plan: SplitRead, query: ListQuery, caller: Caller) -> Answer:
        resource = query.resource
        column = resource.asset.by_target[resource.asset.partition]
        assert isinstance(column, Column)  # noqa: S101 - the catalog refuses another kind of partition
        moved = tuple(name for name, side in plan.sides.items() if side is Side.SERVICE)
        narrowed = replace(
            query, filters=(Filter(column=column, op=Op.IN, values=moved), *query.filters)
        )

        async def legacy_page(part: ListQuery) -> Page:
            return await self._legacy.page(part, caller)

        async def service_page(keys: Sequence[Key]) -> Page:
            return await self._services.page(narrowed, caller, keys)

        merged = await federate(
            query, legacy_page, service_page, keep_known=_still_legacy(resource, plan.sides)
        )
        return self._list_answer("both", query, merged.rows, merged.end, None)

    async def _federated_total(self, query: ListQuery, caller: Caller) -> int | None:
        """The service's count and the legacy rows that it does not know, or None if they are too many to look through."""
        asset = query.resource.asset
        whole = replace(query, after=None, limit=MAX_LIMIT)
        unknown = 0
        for _ in range(MOST_COUNTED_PAGES):
            page = await self._legacy.page(whole, caller)
            keys = [key_of(asset, row) for row in page.rows]
            service = await self._services.page(
                replace(query, after=None, limit=1), caller, keys, count=page.done
            )
            unknown += service.known.count(False)
            if page.done:
                return None if service.total is None else service.total + unknown
            whole = replace(whole, after=position(page.rows[-1], whole.order))
        return None

    def _list_answer(
        self,
        side: str,
        query: ListQuery,
        rows: list[Row],
        end: Position | None,
        total: int | None,
    ) -> Answer:
        cursor = None if end is None else query.cursor(end, self._cursor_key)
        return Answer(
            status=200,
            side=side,
            body=encode_list(rows, cursor, total),
            counted=total is not None,
            rows=len(rows),
        )


def _fell_back(resource: Resource, error: UpstreamError) -> None:
    log.warning(
        "read.fell_back",
        entity=resource.entity,
        upstream=error.upstream,
        reason=type(error).__name__,
    )


def _item_answer(item: Item, if_none_match: bytes | None) -> Answer:
    if if_none_match is not None and matches(if_none_match.decode("latin-1"), item.etag):
        return Answer(status=304, side=Side.LEGACY, etag=item.etag)
    return Answer(status=200, side=Side.LEGACY, body=item.body, etag=item.etag)


def _pass_through(reply: Reply) -> Answer:
    tag = (reply.header(b"etag") or b"").decode("latin-1")
    rows = reply.header(b"x-banyan-rows") or b""
    return Answer(
        status=reply.status,
        side=Side.SERVICE,
        body=reply.body,
        etag=tag,
        rows=int(rows) if rows.isdigit() else None,
    )


def _partition(resource: Resource, row: Row) -> str:
    return text_of(row.get(resource.asset.partition)) or ""


def _still_legacy(resource: Resource, sides: Mapping[str, Side]) -> Keep:
    if Side.LEGACY not in sides.values():
        return never
    return lambda row: sides.get(_partition(resource, row)) is Side.LEGACY
