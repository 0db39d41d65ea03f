"""Reads from a service: v2 on both ends, so answers pass through; and what only the gateway may ask it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from catalog.service import Service
from gateway.caller import Caller
from gateway.disagreement import Disagreement
from gateway.page import Page
from gateway.rows import Row
from routes import resources
from routes.key import Key
from routes.query import ListQuery
from routes.refused import Forbidden, Unauthenticated
from routes.resource import Resource
from runtime.internal_token import HEADER, InternalTokens
from runtime.upstream.errors import UpstreamBroke, UpstreamUnreachable
from runtime.upstream.reply import Reply
from runtime.upstream.upstream import Upstream


class _PageReply(msgspec.Struct):
    items: list[Row]
    next: str | None
    known: list[bool]
    total: int | None = None


class _KnownReply(msgspec.Struct):
    known: list[bool]


_page = msgspec.json.Decoder(_PageReply)
_known = msgspec.json.Decoder(_KnownReply)


def owners(upstreams: Mapping[Service, Upstream]) -> dict[str, Upstream]:
    """The upstream that owns each resource, by the resource's path; only of the services that are given."""
    return {r.path: upstreams[r.service] for r in resources() if r.service in upstreams}


class ServiceSide:
    """All services; `owners` as `owners` makes them."""

    def __init__(
        self, owners: Mapping[str, Upstream], tokens: InternalTokens, cursor_key: bytes
    ) -> None:
        self._owners = owners
        self._tokens = tokens
        self._cursor_key = cursor_key

    async def get(
        self,
        resource: Resource,
        path: bytes,
        query: bytes,
        caller: Caller,
        extra: Sequence[tuple[bytes, bytes]] = (),
    ) -> Reply:
        """The service's own answer: success, 304 or 404. Raises UpstreamError, Refused."""
        upstream = self._owners[resource.path]
        target = path + (b"?" + query if query else b"")
        reply = await upstream.fetch(
            "GET", target, [*caller.headers(), *extra], echo=caller.correlation_id.encode()
        )
        if reply.status not in (200, 304, 404):
            raise refusal(reply.status, upstream.name)
        return reply

    async def page(
        self, query: ListQuery, caller: Caller, keys: Sequence[Key] = (), *, count: bool = False
    ) -> Page:
        """A page, and which of `keys` the service knows, both from one snapshot of its database."""
        request = {"path": query.path, "query": query.text(self._cursor_key), "keys": keys}
        prefer = [(b"prefer", b"count=exact")] if count else []
        body = await self._internal(query.resource, b"/internal/page", request, caller, prefer)
        try:
            reply = _page.decode(body)
        except msgspec.MsgspecError:
            raise Disagreement from None
        if len(reply.known) != len(keys) or len(reply.items) > query.limit:
            raise Disagreement
        return Page(
            rows=reply.items, done=reply.next is None, total=reply.total, known=tuple(reply.known)
        )

    async def known(
        self, resource: Resource, keys: Sequence[Key], caller: Caller
    ) -> tuple[bool, ...]:
        """Which keys the service has, or has deleted, whatever the user may see."""
        request = {"entity": resource.entity, "keys": keys}
        body = await self._internal(resource, b"/internal/known", request, caller)
        try:
            known = tuple(_known.decode(body).known)
        except msgspec.MsgspecError:
            raise Disagreement from None
        if len(known) != len(keys):
            raise Disagreement
        return known

    async def _internal(
        self,
        resource: Resource,
        target: bytes,
        request: Any,
        caller: Caller,
        extra: Sequence[tuple[bytes, bytes]] = (),
    ) -> bytes:
        upstream = self._owners[resource.path]
        headers = [
            *caller.headers(),
            *extra,
            (b"content-type", b"application/json"),
            (HEADER, self._tokens.mint(resource.service)),
        ]
        reply = await upstream.fetch(
            "POST",
            target,
            headers,
            msgspec.json.encode(request),
            echo=caller.correlation_id.encode(),
        )
        if reply.status != 200:
            raise refusal(reply.status, upstream.name)
        return reply.body


def refusal(status: int, upstream: str) -> Exception:
    """The gateway has checked the request already, so a service's 400 or 404 here is a mistake of ours."""
    match status:
        case 401:
            return Unauthenticated()
        case 403:
            return Forbidden()
        case 429 | 503:
            return UpstreamUnreachable(upstream)
        case _:
            return UpstreamBroke(upstream)
