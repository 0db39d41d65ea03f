"""The way of an operation: what only a service can do, for users whom it serves already (decisions.md 9)."""

from typing import Final

from catalog.stage import Side
from gateway.announcer import NotAnnounced
from gateway.begin_write import finished, unfenced, whole
from gateway.caller import Caller, caller_of
from gateway.deps import Deps
from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.forward import Forward, forwarded_head, row_tag
from gateway.identify import known
from gateway.operation_write import stage_of
from gateway.response import JSON, NO_STORE, Header, Response
from gateway.row_write import RowRequest
from gateway.service_side import refusal
from gateway.service_writes import STREAM_SECONDS
from routes.match import Match
from routes.operation import Body, Operation
from routes.problem import MEDIA_TYPE
from routes.query import QueryError, pairs
from routes.refused import InvalidQuery, MethodNotAllowed, NotHere
from runtime.flagsnapshot import Snapshot


async def operate(
    request: Request,
    found: Match,
    operations: dict[str, Operation],
    facts: Facts,
    deps: Deps,
) -> Response | Forward:
    """What only a service can do: for users whom it serves already."""
    operation = operations.get("GET" if request.method == "HEAD" else request.method)
    if operation is None:
        methods = sorted({*operations, *(["HEAD"] if "GET" in operations else [])})
        raise MethodNotAllowed(", ".join(methods))
    if operation.signed:
        return await _signed(operation, request, found, facts, deps)
    facts.user = user = await known(request, deps)
    caller = caller_of(request, user, facts)
    snapshot = deps.flags.current
    facts.flags = snapshot.version
    if operation.method == "GET":
        return _ask(operation, request, found, caller, snapshot, facts, deps)
    if deps.operations is None:
        raise NotAnnounced
    if operation.body is Body.STREAM:
        uploading = deps.operations.upload(operation, request, found, caller, snapshot, facts)
        return await finished(uploading, deps)
    asked, operations_ = await whole(request, found), deps.operations

    async def attempt(snapshot: Snapshot) -> Response:
        facts.flags = snapshot.version
        return await operations_.do(operation, asked, caller, snapshot, facts)

    return await finished(unfenced(attempt, deps), deps)


def _ask(
    operation: Operation,
    request: Request,
    found: Match,
    caller: Caller,
    snapshot: Snapshot,
    facts: Facts,
    deps: Deps,
) -> Forward:
    """An operation that changes nothing: the service judges the query, too."""
    home = _home(operation, request.query)
    facts.stage = stage_of(operation, caller, snapshot, home).value
    facts.side = Side.SERVICE.value
    if found.item is not None:
        facts.single = True
        facts.resource = row_tag(found, deps.record_key)
    streams = operation.answers is Body.STREAM
    upstream = deps.services[found.path]
    return Forward(
        upstream,
        forwarded_head(upstream, request, caller.user, facts),
        None,
        says=True,
        deadline=STREAM_SECONDS if streams else None,
    )


def _home(operation: Operation, query: bytes) -> str | None:
    """Raises InvalidQuery for a query that cannot be read."""
    if not operation.home:
        return None
    try:
        return dict(pairs(query)).get(operation.home)
    except QueryError as refused:
        raise InvalidQuery(refused.field, refused.code) from None


async def _signed(
    operation: Operation, request: Request, found: Match, facts: Facts, deps: Deps
) -> Response:
    """A system's message: the service looks at its signature, and at these very bytes."""
    snapshot = deps.flags.current
    facts.flags, facts.side = snapshot.version, Side.SERVICE.value
    if snapshot.highest(operation.entity).rank < operation.since.rank:
        raise NotHere
    asked = await whole(request, found)
    headers = [(b"x-correlation-id", facts.wire_id), (b"user-agent", b"banyan")]
    headers.append((b"content-type", asked.content_type or b"application/json"))
    headers += [(name, value) for name in _SIGNATURES for value in request.all(name)]
    return await finished(_told(asked, headers, facts, deps), deps)


_SIGNATURES: Final = (b"x-vendor-signature",)


async def _told(asked: RowRequest, headers: list[Header], facts: Facts, deps: Deps) -> Response:
    upstream = deps.services[asked.found.path]
    reply = await upstream.fetch(
        "POST",
        asked.path,
        headers,
        asked.body,
        deadline=deps.settings.write_deadline_seconds,
        echo=facts.wire_id,
    )
    content_type = reply.header(b"content-type") or JSON
    if reply.status >= 500 or (reply.status >= 400 and content_type != MEDIA_TYPE):
        raise refusal(reply.status, upstream.name)
    return Response(
        status=reply.status, body=reply.body, content_type=content_type, headers=(NO_STORE,)
    )
