"""`Forward`: an answer that goes through from one upstream as it comes; and what else the pipeline may answer with."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.response import Response
from gateway.user import User
from routes.key import parse_key, write_key
from routes.match import Match
from routes.refused import InvalidKey
from routes.value import ValueRefused
from runtime.accessrecord import resource_tag
from runtime.upstream.errors import UpstreamError
from runtime.upstream.upstream import Upstream

Instead = Callable[[UpstreamError | None], Coroutine[Any, Any, Response]]
"""Asks legacy in the service's place: because of an error, or because the service does not show the row (None)."""


class Forward:
    """The answer is this upstream's. `head` is the request, up to the end of its last header.

    `instead` answers when the upstream fails before its answer has begun (the error), or does not show the row (None).
    `says`: the upstream words its refusals itself, whatever they are. `deadline` in seconds, else the upstream's own.
    """

    __slots__ = ("deadline", "head", "instead", "says", "upstream")

    def __init__(
        self,
        upstream: Upstream,
        head: bytes,
        instead: "Instead | None",
        *,
        says: bool = False,
        deadline: float | None = None,
    ) -> None:
        self.upstream = upstream
        self.head = head
        self.instead = instead
        self.says = says
        self.deadline = deadline


Answering = Response | Forward | Coroutine[Any, Any, Response | Forward]


def forwarded_head(upstream: Upstream, request: Request, user: User, facts: Facts) -> bytes:
    """The caller's own question, with the headers that every upstream gets and those of the caller's that count."""
    target = request.path + b"?" + request.query if request.query else request.path
    head = b"".join((upstream.start("GET", target), user.wire, facts.wire_id))
    for name in _FORWARDED:
        if name in request.headers:
            head += b"\r\n%b: %b" % (name, b", ".join(request.all(name)))
    return head


_FORWARDED: Final = (b"prefer", b"if-none-match", b"traceparent")


def row_tag(found: Match, record_key: bytes) -> str:
    """The row's tag for the access record. Raises InvalidKey."""
    assert found.item is not None  # noqa: S101 - asked for items only
    asset = found.resource.asset
    try:
        key = parse_key(asset, found.item)
    except ValueRefused as refused:
        raise InvalidKey(refused.code) from None
    return resource_tag(record_key, asset.entity, write_key(key))
