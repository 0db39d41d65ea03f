"""What only the gateway may ask (decisions.md 11). To everybody else these routes do not exist.

The gateway proves itself by a token of its own for this service; what a user may see still goes by the user's token.
"""

from typing import Annotated, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from catalog import assets
from catalog.asset import Asset
from routes.asked import AskedList, read_asked
from routes.key import Key
from routes.refused import InvalidKey, Malformed, MethodNotAllowed, NoSuchRoute
from routes.value import ValueRefused, canonical
from runtime.internal_token import HEADER, NotTheGateway
from services.body import JSON, read_bytes
from services.deps import Deps
from services.identify import identify
from services.reads import find, headers, list_response
from services.snapshot import snapshot

MOST_KEYS = 1000

Keys = Annotated[list[list[str]], msgspec.Meta(max_length=MOST_KEYS)]
T = TypeVar("T")


class KnownAsk(msgspec.Struct, forbid_unknown_fields=True):
    entity: str
    keys: Keys


class PageAsk(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    query: str
    keys: Keys


async def internal(request: Request, deps: Deps) -> Response:
    """POST /internal/known or /internal/page. Raises Refused, and what `snapshot` and `identify` raise."""
    try:
        deps.internal.check(request.headers.get(HEADER.decode()), deps.service)
    except NotTheGateway:
        raise NoSuchRoute from None
    routes = {b"/internal/known": known, b"/internal/page": page}
    answer = routes.get(request.scope["raw_path"])
    if answer is None:
        raise NoSuchRoute
    request.state.route = request.scope["raw_path"].decode()
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    return await answer(request, deps)


async def known(request: Request, deps: Deps) -> Response:
    """Which keys have a row or a tombstone here, whoever may see it."""
    ask = await _ask(request, KnownAsk)
    asset = assets().get(ask.entity)
    if asset is None or asset.service is not deps.service:
        raise Malformed
    keys = _keys(asset, ask.keys)
    async with snapshot(deps.pool, deps.service, wait=deps.pool_wait) as view:
        found = await view.known(asset, keys)
    return Response(msgspec.json.encode({"known": found}), media_type=JSON)


async def page(request: Request, deps: Deps) -> Response:
    """What GET `path`?`query` answers this user, and which keys are known here, both from one snapshot."""
    caller = await identify(request, deps.verifier)
    ask = await _ask(request, PageAsk)
    found = find(ask.path.encode(), deps)
    if found.item is not None:
        raise NoSuchRoute
    asked = read_asked(
        found,
        ask.query.encode(),
        headers(request, b"prefer"),
        staff=caller.staff,
        cursor_key=deps.cursor_key,
    )
    assert isinstance(asked, AskedList)  # noqa: S101 - what is no item is a list
    asset = found.resource.asset
    keys = _keys(asset, ask.keys)
    async with snapshot(deps.pool, deps.service, wait=deps.pool_wait) as view:
        rows = await view.page(asked.query, caller, count=asked.counted)
        known_keys = await view.known(asset, keys)
    return list_response(rows, asked.query, deps.cursor_key, known_keys)


async def _ask(request: Request, kind: type[T]) -> T:
    body = await read_bytes(request)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError:
        raise Malformed from None


def _keys(asset: Asset, given: list[list[str]]) -> list[Key]:
    """Checked and canonical. Raises InvalidKey."""
    keys = []
    for key in given:
        if len(key) != len(asset.key) or any("\x00" in part for part in key):
            raise InvalidKey("expected_" + "~".join(asset.key))
        try:
            keys.append(
                tuple(canonical(c, text) for c, text in zip(asset.key_columns, key, strict=True))
            )
        except ValueRefused as refused:
            raise InvalidKey(refused.code) from None
    return keys
