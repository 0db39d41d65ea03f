"""Reads from legacy: PostgREST asked as the user, answers turned into v2's words."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import msgspec

from catalog.asset import Asset
from gateway.caller import Caller
from gateway.disagreement import Disagreement
from gateway.page import Item, Page
from gateway.postgrest import ORIGIN, item_target, list_target, made_by_target, stamp_column
from gateway.rows import Row, Translation, decode_rows, text_of
from routes.etag import etag
from routes.key import Key
from routes.query import ListQuery
from routes.refused import Forbidden, Unauthenticated
from routes.resource import Resource
from runtime.ratelimit import Budget
from runtime.upstream.errors import UpstreamBroke, UpstreamBusy, UpstreamUnreachable
from runtime.upstream.exchange import Header
from runtime.upstream.reply import Reply
from runtime.upstream.upstream import Upstream

LEGACY = "legacy"
"""The upstream's name in errors, logs and metrics."""


class LegacySide:
    """Stateless but for prepared translations, one per resource and kind of viewer."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        apikey: str,
        budget: Budget,
        unrepresentable: Callable[[str, str], None],
    ) -> None:
        """`budget` is what users may ask of Supabase; `unrepresentable` is told entity and column of each value that the new
        model cannot show."""
        self._upstream = upstream
        self._budget = budget
        self._apikey = apikey.encode()

        @cache
        def translation(resource: Resource, staff: bool) -> Translation:
            return Translation(
                resource.columns(staff=staff),
                lambda column: unrepresentable(resource.entity, column),
            )

        self._translation = translation

    async def page(self, query: ListQuery, caller: Caller, *, count: bool = False) -> Page:
        """Up to `query.limit` rows behind `query.after`. Raises UpstreamError, Refused, Disagreement."""
        columns = query.resource.columns(staff=query.staff)
        target = list_target(query, columns, limit=query.limit + 1)
        reply = await self._get(target, caller, count=count)
        rows = decode_rows(reply.body)
        if len(rows) > query.limit + 1:
            raise Disagreement
        translate = self._translation(query.resource, query.staff).row
        try:
            shown = [translate(row) for row in rows[: query.limit]]
        except KeyError:
            raise Disagreement from None
        return Page(
            rows=shown, done=len(rows) <= query.limit, total=_total(reply) if count else None
        )

    async def item(self, resource: Resource, key: Key, caller: Caller) -> tuple[Item, Row] | None:
        """The row if the user may see it. Raises as `page` does."""
        columns = resource.columns(staff=caller.staff)
        reply = await self._get(item_target(resource.asset, key, columns), caller)
        return self.translated(resource, reply, caller)

    async def made_by(
        self, resource: Resource, correlation_ids: Sequence[str], caller: Caller
    ) -> tuple[Item, Row] | None:
        """The row that this user's request with one of the correlation ids made. Raises as `page` does."""
        columns = resource.columns(staff=caller.staff)
        reply = await self._get(made_by_target(resource.asset, correlation_ids, columns), caller)
        return self.translated(resource, reply, caller)

    def translated(
        self, resource: Resource, reply: Reply, caller: Caller
    ) -> tuple[Item, Row] | None:
        """The one row of an answer, if there is one. Raises Disagreement for several, and for what is no row."""
        rows = decode_rows(reply.body)
        if len(rows) > 1:
            raise Disagreement
        if not rows:
            return None
        try:
            row = self._translation(resource, caller.staff).row(rows[0])
            tag = etag(
                text_of(row[stamp_column(resource.asset)]) or "", text_of(rows[0][ORIGIN]) or ""
            )
        except (KeyError, ValueError):
            raise Disagreement from None
        return Item(body=msgspec.json.encode(row), etag=tag), row

    async def send(
        self,
        method: str,
        target: bytes,
        caller: Caller,
        headers: Iterable[Header],
        body: bytes,
        *,
        deadline: float,
    ) -> Reply:
        """A write as the user, whatever is answered. Raises UpstreamError."""
        if self._budget.take():
            raise UpstreamBusy(self._upstream.name)
        sent = [*caller.headers(), (b"apikey", self._apikey), *headers]
        return await self._upstream.fetch(method, target, sent, body, deadline=deadline)

    def refusal(self, status: int) -> Exception:
        """What a status means that is neither a row nor a refusal of the write."""
        return _refusal(status, self._upstream.name)

    async def _get(self, target: bytes, caller: Caller, *, count: bool = False) -> Reply:
        if self._budget.take():
            raise UpstreamBusy(self._upstream.name)
        headers = [*caller.headers(), (b"apikey", self._apikey)]
        if count:
            headers.append((b"prefer", b"count=exact"))
        reply = await self._upstream.fetch("GET", target, headers)
        if reply.status in (200, 206):
            return reply
        raise _refusal(reply.status, self._upstream.name)


def _total(reply: Reply) -> int | None:
    """The number behind the slash of Content-Range: `0-9/57`, `*/57`."""
    value = (reply.header(b"content-range") or b"").rpartition(b"/")[2]
    return int(value) if value.isdigit() else None


def _refusal(status: int, upstream: str) -> Exception:
    """What a status other than success means for the caller. A 4xx that is not about the user is our own mistake."""
    match status:
        case 401:
            return Unauthenticated()
        case 403:
            return Forbidden()
        case 429 | 503 | 520:
            return UpstreamUnreachable(upstream)
        case _:
            return UpstreamBroke(upstream)


def key_of(asset: Asset, row: Row) -> Key:
    """The key of a row of either side. Raises Disagreement if it is not there."""
    return tuple(text_of(row.get(name)) or "" for name in asset.key)
