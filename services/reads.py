"""The way of a /v2 read through a service: which resource, who asks, what is asked, what the caller gets."""

from collections.abc import Sequence
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from routes.asked import AskedItem, AskedList, read_asked
from routes.cursor import Position
from routes.match import Match, match
from routes.query import ListQuery
from routes.refused import NoSuchRoute, NotFound
from runtime.identity import Identity
from services.body import JSON
from services.deps import Deps
from services.identify import identify
from services.item import item_response
from services.longpoll import next_version
from services.snapshot import Item, Page, snapshot


async def read(request: Request, found: Match, deps: Deps) -> Response:
    """A list or an item. Raises Refused, and what `snapshot` and `identify` raise."""
    caller = await identify(request, deps.verifier)
    asked = read_asked(
        found,
        request.scope["query_string"],
        headers(request, b"prefer"),
        staff=caller.staff,
        cursor_key=deps.cursor_key,
    )
    if isinstance(asked, AskedItem):
        known = b",".join(headers(request, b"if-none-match")).decode("latin-1")
        if request.method == "GET" and asked.wait and known.strip() not in ("", "*"):
            look = partial(_item, asked, caller, deps)
            return await next_version(request, asked, look, known, deps.changes)
        return item_response(await _item(asked, caller, deps), known)
    return await _list(asked, caller, deps)


def find(path: bytes, deps: Deps) -> Match:
    """What a raw path names, if it is this service's. Raises NoSuchRoute."""
    found = match(path)
    if found is None or found.resource.service is not deps.service:
        raise NoSuchRoute
    return found


def headers(request: Request, name: bytes) -> list[bytes]:
    """The values of a header, however often it was sent."""
    return [value for key, value in request.scope["headers"] if key == name]


async def _item(asked: AskedItem, caller: Identity, deps: Deps) -> Item:
    async with snapshot(deps.pool, deps.service, wait=deps.pool_wait) as view:
        item = await view.item(asked.resource, asked.key, caller)
    if item is None:
        raise NotFound
    return item


async def _list(asked: AskedList, caller: Identity, deps: Deps) -> Response:
    async with snapshot(deps.pool, deps.service, wait=deps.pool_wait) as view:
        page = await view.page(asked.query, caller, count=asked.counted)
    return list_response(page, asked.query, deps.cursor_key)


def list_response(
    page: Page, query: ListQuery, cursor_key: bytes, known: Sequence[bool] | None = None
) -> Response:
    """The page, and how to go on behind it."""
    next_ = query.cursor(_position(page.items[-1], query), cursor_key) if page.more else None
    # No blanks: the gateway writes legacy's rows so, and a list is the same bytes whichever side it came from.
    items = ",".join(page.items)
    parts = [f'{{"items":[{items}]', f'"next":{_json(next_)}']
    if known is not None:
        parts.append(f'"known":{_json(known)}')
    applied = {"x-banyan-rows": str(len(page.items))}
    if page.total is not None:
        parts.append(f'"total":{page.total}')
        applied["preference-applied"] = "count=exact"
    return Response(",".join(parts) + "}", media_type=JSON, headers=applied)


_row = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _position(item: str, query: ListQuery) -> Position:
    """Where a row stands: the order's values as PostgreSQL printed them. What is sorted by is always shown."""
    row = _row.decode(item)
    return tuple(_text(bytes(row[sort.column.target])) for sort in query.order)


def _text(raw: bytes) -> str | None:
    if raw == b"null":
        return None
    # A number keeps its digits: a float would lose some.
    return msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else raw.decode()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
