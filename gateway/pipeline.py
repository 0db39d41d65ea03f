"""The way of a request, top to bottom: strict request, identify, plan, read, answer. Nothing else in the gateway decides."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from catalog.column import Column
from catalog.stage import Side
from gateway import ofrep
from gateway.caller import Caller
from gateway.deps import Deps
from gateway.facts import Facts
from gateway.metrics import CONTENT_TYPE
from gateway.plan import Read, SplitRead, plan_partitions, plan_read
from gateway.read import Answer
from gateway.request import Request
from gateway.response import Header, Response
from routes.asked import Asked, AskedList, read_asked
from routes.match import match
from routes.query import ListQuery, Op
from routes.refused import (
    MethodNotAllowed,
    NoSuchRoute,
    NotFound,
    Unauthenticated,
)
from routes.resource import Resource
from runtime.flagsnapshot import FlagUser, Snapshot
from runtime.identity import Identity, TokenRefused

Body = Callable[[int], Awaitable[bytes]]
"""Reads the request's body, up to a number of bytes; longer ones are refused."""

LARGEST_OFREP_BODY = 64 * 1024


async def handle(request: Request, body: Body, deps: Deps, facts: Facts) -> Response:
    """The answer to a checked request. Raises one of errors.EXPECTED for everything that is not an ordinary answer."""
    facts.flags = deps.flags.current.version
    if request.path in _PLAIN:
        return await _plain(request, deps, facts)
    if request.path.startswith(ofrep.PREFIX):
        return await _own_flags(request, body, deps, facts)
    return await _resource(request, deps, facts)


async def _resource(request: Request, deps: Deps, facts: Facts) -> Response:
    """A /v2 read: who asks, which side answers, what the caller gets."""
    found = match(request.path)
    if found is None:
        raise NoSuchRoute
    facts.route, facts.entity = found.pattern, found.resource.entity
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed
    caller = await identify(request, deps, facts)
    snapshot = deps.flags.current
    asked = read_asked(
        found,
        request.query,
        request.all(b"prefer"),
        staff=caller.staff,
        cursor_key=deps.cursor_key,
    )
    query = asked.query if isinstance(asked, AskedList) else None
    plan = plan_for(found.resource, caller.identity, snapshot, query)
    facts.stage = snapshot.stage(found.resource.entity, flag_user(caller.identity)).value
    answer = await _read(plan, asked, request, caller, deps)
    facts.side = answer.side
    return _respond(answer, caller.identity, facts)


# --- identify


async def identify(request: Request, deps: Deps, facts: Facts) -> Caller:
    """The verified user. Raises Unauthenticated, for every reason alike."""
    header = request.header(b"authorization")
    scheme, _, token = (header or b"").partition(b" ")
    try:
        if header is None or scheme.lower() != b"bearer":
            raise TokenRefused("missing")
        identity = await deps.verifier.verify(token.decode("latin-1"))
    except TokenRefused as refused:
        deps.metrics.refused_tokens.labels(refused.reason).inc()
        raise Unauthenticated from None
    facts.sub, facts.role = identity.sub, identity.app_role
    return Caller(
        identity=identity,
        authorization=header,
        correlation_id=facts.correlation_id,
        traceparent=request.header(b"traceparent"),
    )


def flag_user(identity: Identity) -> FlagUser:
    """The caller as flags know one: verified claims alone."""
    return FlagUser(
        sub=identity.sub,
        role=identity.app_role,
        partner_id=identity.partner_id,
        cohorts=identity.cohorts,
    )


# --- plan


def plan_for(
    resource: Resource, identity: Identity, snapshot: Snapshot, query: ListQuery | None
) -> Read | SplitRead:
    """The plan of this user for this resource; `query` narrows the partitions that count. Pure."""
    entity = resource.entity
    user = flag_user(identity)
    backfilled = snapshot.state(entity).backfilled
    if resource.asset.partition and snapshot.split_partitions(entity):
        stages = {p: snapshot.stage(entity, user, p) for p in _partitions(resource, query)}
        return plan_partitions(stages, backfilled=backfilled)
    moved = bool(resource.home) and identity.app_role != "clinician"
    return plan_read(
        snapshot.stage(entity, user),
        backfilled=backfilled,
        homes_moved=moved and snapshot.highest(entity).meaning.reads is Side.SERVICE,
    )


def _partitions(resource: Resource, query: ListQuery | None) -> set[str]:
    """The partitions that can be in the answer."""
    column = resource.asset.by_target[resource.asset.partition]
    assert isinstance(column, Column)  # noqa: S101 - the catalog refuses another kind of partition
    wanted = set(column.values.values())
    for one in query.filters if query is not None else ():
        if one.column is column and one.op in (Op.EQ, Op.IN):
            wanted &= set(one.values)
    return wanted or set(column.values.values())


# --- read


async def _read(
    plan: Read | SplitRead, asked: Asked, request: Request, caller: Caller, deps: Deps
) -> Answer:
    if isinstance(asked, AskedList):
        return await deps.reader.page(plan, asked.query, request.query, caller, count=asked.counted)
    tags = request.all(b"if-none-match")
    if_none_match = b", ".join(tags) if tags else None
    return await deps.reader.item(
        plan, asked.resource, asked.key, request.path, caller, if_none_match
    )


def _respond(answer: Answer, identity: Identity, facts: Facts) -> Response:
    headers: list[Header] = [(b"cache-control", b"no-store")]
    if answer.etag:
        headers.append((b"etag", answer.etag.encode()))
    if answer.counted:
        headers.append((b"preference-applied", b"count=exact"))
    if "operator" in identity.operator_roles:
        route = f"{answer.side};stage={facts.stage};flags={facts.flags}"
        headers.append((b"x-banyan-route", route.encode()))
    return Response(status=answer.status, body=answer.body, headers=tuple(headers))


# --- beside the resources


async def _own_flags(request: Request, body: Body, deps: Deps, facts: Facts) -> Response:
    """OFREP: the caller's own flags, by the same snapshot that routes the caller."""
    facts.route, facts.side = "ofrep", "gateway"
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    caller = await identify(request, deps, facts)
    answer = ofrep.answer(
        deps.flags.current,
        flag_user(caller.identity),
        request.path,
        await body(LARGEST_OFREP_BODY),
        request.header(b"if-none-match"),
    )
    return Response(status=answer.status, body=answer.body, headers=tuple(answer.headers))


_PLAIN = frozenset({b"/healthz", b"/readyz", b"/metrics", b"/v2/openapi.json"})


async def _plain(request: Request, deps: Deps, facts: Facts) -> Response:
    """Pages without a user."""
    facts.route, facts.side = request.path.decode(), "gateway"
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed
    if request.path == b"/metrics":
        if request.peer not in deps.settings.metrics_peers:
            raise NotFound
        return Response(status=200, body=deps.metrics.exposition(), content_type=CONTENT_TYPE)
    if request.path == b"/v2/openapi.json":
        return Response(status=200, body=deps.openapi)
    if request.path == b"/healthz":
        return Response(status=200, body=b'{"status":"ok"}')
    return _readiness(deps)


def _readiness(deps: Deps) -> Response:
    feed = deps.flags
    state: dict[str, Any] = {
        "status": "ready",
        "flags": feed.current.version,
        "source": feed.source,
        "staleness_seconds": round(feed.staleness_seconds, 3),
    }
    return Response(status=200, body=orjson.dumps(state))
