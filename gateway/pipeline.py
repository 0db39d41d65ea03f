"""The way of a request, top to bottom: who asks, which side answers, what is asked of it. Nothing else in the gateway decides.

What can be decided at once is: a request whose answer one service gives alone becomes a `Forward`, without a task. The
rest becomes a coroutine that ends in a `Response` or, once the caller is known, in a `Forward`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

import orjson

from catalog.column import Column
from catalog.stage import Side
from gateway import ofrep
from gateway.announcer import NotAnnounced
from gateway.caller import Caller
from gateway.credentials import SERVICE_KEY, user_token
from gateway.deps import Deps
from gateway.edge.request import Request
from gateway.errors import EXPECTED
from gateway.facts import Facts
from gateway.metrics import CONTENT_TYPE
from gateway.pinned import pinned_item, pinned_list
from gateway.plan import Read, SplitRead, plan_partitions
from gateway.plans import whole_plan
from gateway.read import Answer
from gateway.response import NO_STORE, Header, Response
from gateway.row_write import RowRequest, sole
from gateway.user import User
from routes.asked import Asked, AskedItem, AskedList, read_asked
from routes.key import parse_key, write_key
from routes.match import Match, match
from routes.query import ListQuery, Op
from routes.refused import (
    InvalidKey,
    InvalidQuery,
    MethodNotAllowed,
    NoSuchRoute,
    NotFound,
    Unauthenticated,
)
from routes.resource import Resource
from routes.value import ValueRefused
from runtime.accessrecord import many, resource_tag
from runtime.flagsnapshot import Snapshot
from runtime.identity import TokenRefused
from runtime.tasks import spawn
from runtime.upstream.errors import UpstreamBusy, UpstreamError
from runtime.upstream.upstream import Upstream

LARGEST_OFREP_BODY: Final = 64 * 1024
LARGEST_WRITE: Final = 1024 * 1024


Instead = Callable[[UpstreamError | None], Coroutine[Any, Any, Response]]
"""Asks legacy in the service's place: because of an error, or because the service does not show the row (None)."""


class Forward:
    """The answer is this upstream's. `head` is the request, up to the end of its last header.

    `instead` answers when the upstream fails before its answer has begun (the error), or does not show the row (None).
    """

    __slots__ = ("head", "instead", "upstream")

    def __init__(self, upstream: Upstream, head: bytes, instead: "Instead | None") -> None:
        self.upstream = upstream
        self.head = head
        self.instead = instead


Answering = Response | Forward | Coroutine[Any, Any, Response | Forward]


def handle(request: Request, facts: Facts, deps: Deps) -> Answering:
    """The answer to a clear request. Raises one of errors.EXPECTED for everything that is not an ordinary answer."""
    snapshot = deps.flags.current
    facts.flags = snapshot.version
    found = match(request.path)
    if found is None or found.operations is not None:
        return _beside(request, facts, deps)
    facts.route, facts.entity = found.pattern, found.entity
    facts.single = found.item is not None
    if request.method not in ("GET", "HEAD"):
        return _write(request, found, facts, deps)
    token = identify(request, deps)
    user = deps.verifier.remembered(token)
    if user is None:
        return _after_verifying(request, token, found, facts, deps)
    return _resource(request, user, found, snapshot, facts, deps)


async def _after_verifying(
    request: Request, token: bytes, found: Match, facts: Facts, deps: Deps
) -> Response | Forward:
    """The same, for a token that is seen for the first time."""
    user = await verified(token, deps)
    answer = _resource(request, user, found, deps.flags.current, facts, deps)
    return await answer if isinstance(answer, Coroutine) else answer


def _resource(
    request: Request, user: User, found: Match, snapshot: Snapshot, facts: Facts, deps: Deps
) -> Answering:
    """A /v2 read by a known user: which side answers, and what it is asked."""
    facts.user, facts.flags = user, snapshot.version
    deps.limits.take(user)
    planned = deps.plans.of(found, user, snapshot)
    facts.stage, plan = planned.stage, planned.plan
    if found.item is not None:
        facts.resource = _tag(found, deps)
    if deps.pins.open:
        sides = deps.pins.sides(_pin_tag(user, deps), found.resource.asset.flag_entity)
        if sides:
            return _pinned(request, user, found, facts, deps)
    if plan is not None and plan.side is _SERVICE and (facts.single or not plan.federated):
        facts.side = _SERVICE_WORD
        return _forward(plan, request, user, found, facts, deps)
    return _composed(request, user, found, facts, deps)


_SERVICE: Final = Side.SERVICE
_SERVICE_WORD: Final = Side.SERVICE.value


# --- writes


def _write(request: Request, found: Match, facts: Facts, deps: Deps) -> Answering:
    """A POST, PATCH or DELETE of a row."""
    methods = found.resource.writes.methods
    on_item = found.item is not None
    if request.method not in methods or (request.method != "POST") is not on_item:
        raise MethodNotAllowed(_allowed(found))
    return _written(request, identify(request, deps), found, facts, deps)


def _allowed(found: Match) -> str:
    """The methods of a path, for the header."""
    writing = [
        method
        for method in ("POST", "PATCH", "DELETE")
        if method in found.resource.writes.methods
        and (method != "POST") is (found.item is not None)
    ]
    return ", ".join(("GET", "HEAD", *writing))


async def _written(
    request: Request, token: bytes, found: Match, facts: Facts, deps: Deps
) -> Response:
    facts.user = user = deps.verifier.remembered(token) or await verified(token, deps)
    deps.limits.take(user)
    if deps.writes is None:
        raise NotAnnounced
    body = b"" if request.body is None else await request.body.read(LARGEST_WRITE)
    snapshot = deps.flags.current
    facts.flags = snapshot.version
    asked = RowRequest(
        method=request.method,
        path=request.path,
        query=request.query,
        found=found,
        body=body,
        content_type=sole(request.all(b"content-type")),
        idempotency_keys=request.all(b"idempotency-key"),
        if_match=b", ".join(request.all(b"if-match")) or None,
    )
    caller = _caller(request, user, facts)
    read = plan_for(found.resource, user, snapshot, None)
    return await _finished(deps.writes.write(asked, caller, snapshot, read, facts), deps)


async def _finished(writing: Coroutine[Any, Any, Response], deps: Deps) -> Response:
    """What is once begun is finished, even if the caller leaves (http-rules section 4)."""
    task = spawn(_outcome(writing), name="gateway.write")
    deps.running.writes.add(task)
    task.add_done_callback(deps.running.writes.discard)
    answer = await asyncio.shield(task)
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _outcome(writing: Coroutine[Any, Any, Response]) -> Response | Exception:
    """A refusal is no death of a task: it is told, if anybody is still there."""
    try:
        return await writing
    except EXPECTED as error:
        return error


# --- a user's own writes that are not on both sides yet


def _pin_tag(user: User, deps: Deps) -> str:
    if not user.tag:
        user.tag = resource_tag(deps.record_key, "user", user.identity.sub)
    return user.tag


async def _pinned(
    request: Request, user: User, found: Match, facts: Facts, deps: Deps
) -> Response | Forward:
    """The read of a user with pins: from the side that has them, or a moment later, when both have."""
    asked, caller = _asked(request, user, found, facts, deps)
    query = asked.query if isinstance(asked, AskedList) else None
    entity, tag = found.resource.asset.flag_entity, _pin_tag(user, deps)
    ends = deps.clock() + PINNED_SECONDS
    while True:
        snapshot = deps.flags.current
        plan: Read | SplitRead | None = plan_for(found.resource, user, snapshot, query)
        assert plan is not None  # noqa: S101 - there is always one
        sides = deps.pins.sides(tag, entity)
        if sides and isinstance(asked, AskedItem):
            row = deps.pins.of_row(tag, found.resource.asset, asked.key)
            plan = pinned_item(plan, sides, row, found.resource)
        elif sides:
            backfilled = snapshot.state(found.entity).backfilled
            plan = pinned_list(plan, sides, found.resource, backfilled=backfilled)
        if plan is not None:
            return _respond(await _read(plan, asked, request, caller, deps), facts)
        if deps.clock() >= ends:
            raise UpstreamBusy("mirror")
        await asyncio.sleep(PIN_POLL_SECONDS)


PINNED_SECONDS: Final = 2.0
"""Longest wait for the mirror, where no single side has all of a user's own writes."""
PIN_POLL_SECONDS: Final = 0.02


# --- identify


def identify(request: Request, deps: Deps) -> bytes:
    """The token of the request, unverified. Raises Unauthenticated, for every reason alike."""
    headers = request.headers
    try:
        token = user_token(headers.get(b"authorization"), headers.get(b"apikey"))
        if token is None:
            raise TokenRefused("missing")
    except TokenRefused as refused:
        raise _refused(refused, deps) from None
    return token


async def verified(token: bytes, deps: Deps) -> User:
    """Whose it is. Raises Unauthenticated, KeysUnavailable, TooManyTokens."""
    try:
        return await deps.verifier.verify(token)
    except TokenRefused as refused:
        raise _refused(refused, deps) from None


def _refused(refused: TokenRefused, deps: Deps) -> Unauthenticated:
    deps.metrics.refused_tokens.inc(refused.reason)
    if refused.reason == SERVICE_KEY:
        deps.alarm.ring(SERVICE_KEY)
    return Unauthenticated()


# --- plan


def plan_for(
    resource: Resource, user: User, snapshot: Snapshot, query: ListQuery | None
) -> Read | SplitRead:
    """The plan of this user for any resource; `query` narrows the partitions that count. Pure."""
    entity = resource.entity
    if resource.asset.partition and snapshot.split_partitions(entity):
        stages = {p: snapshot.stage(entity, user.flags, p) for p in _partitions(resource, query)}
        return plan_partitions(stages, backfilled=snapshot.state(entity).backfilled)
    return whole_plan(resource, user, snapshot)


def _partitions(resource: Resource, query: ListQuery | None) -> set[str]:
    """The partitions that can be in the answer."""
    column = resource.asset.by_target[resource.asset.partition]
    assert isinstance(column, Column)  # noqa: S101 - the catalog refuses another kind of partition
    wanted = set(column.values.values())
    for one in query.filters if query is not None else ():
        if one.column is column and one.op in (Op.EQ, Op.IN):
            wanted &= set(one.values)
    return wanted or set(column.values.values())


# --- one side alone


def _forward(
    plan: Read, request: Request, user: User, found: Match, facts: Facts, deps: Deps
) -> Forward:
    """The service is asked in the caller's own words, and answers the caller; it judges the query, too."""
    if found.item is not None and request.query:
        raise InvalidQuery("query", "an_item_takes_none")
    upstream = deps.services[found.path]
    target = request.path + b"?" + request.query if request.query else request.path
    head = b"".join((upstream.start("GET", target), user.wire, facts.wire_id))
    for name in _FORWARDED:
        if name in request.headers:
            head += b"\r\n%b: %b" % (name, b", ".join(request.all(name)))
    if not plan.falls_back:
        return Forward(upstream, head, None)
    return Forward(upstream, head, partial(_instead, request, user, found, facts, deps))


async def _instead(
    request: Request,
    user: User,
    found: Match,
    facts: Facts,
    deps: Deps,
    error: UpstreamError | None,
) -> Response:
    """Legacy's answer, since the service has failed, or perhaps does not know the row yet."""
    asked, caller = _asked(request, user, found, facts, deps)
    if isinstance(asked, AskedItem):
        tags = _if_none_match(request)
        answer = await deps.reader.item_instead(asked.resource, asked.key, caller, tags, error)
    elif error is None:
        raise NotFound
    else:
        answer = await deps.reader.page_instead(asked.query, caller, error, count=asked.counted)
    return _respond(answer, facts)


_FORWARDED: Final = (b"prefer", b"if-none-match", b"traceparent")


def _tag(found: Match, deps: Deps) -> str:
    """The row's tag for the access record. Raises InvalidKey."""
    assert found.item is not None  # noqa: S101 - asked for items only
    asset = found.resource.asset
    try:
        key = parse_key(asset, found.item)
    except ValueRefused as refused:
        raise InvalidKey(refused.code) from None
    return resource_tag(deps.record_key, asset.entity, write_key(key))


# --- more than one question


async def _composed(
    request: Request, user: User, found: Match, facts: Facts, deps: Deps
) -> Response:
    """Legacy's answer in v2's words, or both sides' put together."""
    asked, caller = _asked(request, user, found, facts, deps)
    query = asked.query if isinstance(asked, AskedList) else None
    plan = plan_for(found.resource, user, deps.flags.current, query)
    return _respond(await _read(plan, asked, request, caller, deps), facts)


def _asked(
    request: Request, user: User, found: Match, facts: Facts, deps: Deps
) -> tuple[Asked, Caller]:
    """What is asked, checked, and who asks. Raises Refused."""
    asked = read_asked(
        found,
        request.query,
        request.all(b"prefer"),
        staff=user.identity.staff,
        cursor_key=deps.cursor_key,
    )
    return asked, _caller(request, user, facts)


def _caller(request: Request, user: User, facts: Facts) -> Caller:
    return Caller(
        user=user,
        correlation_id=facts.correlation_id,
        traceparent=request.header(b"traceparent"),
    )


async def _read(
    plan: Read | SplitRead, asked: Asked, request: Request, caller: Caller, deps: Deps
) -> Answer:
    if isinstance(asked, AskedList):
        return await deps.reader.page(plan, asked.query, request.query, caller, count=asked.counted)
    return await deps.reader.item(
        plan, asked.resource, asked.key, request.path, caller, _if_none_match(request)
    )


def _if_none_match(request: Request) -> bytes | None:
    tags = request.all(b"if-none-match")
    return b", ".join(tags) if tags else None


def _respond(answer: Answer, facts: Facts) -> Response:
    facts.side = answer.side
    if answer.rows is not None:
        facts.resource = many(answer.rows)
    headers: list[Header] = [NO_STORE]
    if answer.etag:
        headers.append((b"etag", answer.etag.encode()))
    if answer.counted:
        headers.append((b"preference-applied", b"count=exact"))
    return Response(status=answer.status, body=answer.body, headers=tuple(headers))


# --- beside the resources


def _beside(request: Request, facts: Facts, deps: Deps) -> Answering:
    if request.path in PLAIN:
        return _plain(request, facts, deps)
    if request.path.startswith(ofrep.PREFIX):
        return _own_flags(request, facts, deps)
    raise NoSuchRoute


async def _own_flags(request: Request, facts: Facts, deps: Deps) -> Response:
    """OFREP: the caller's own flags, by the same snapshot that routes the caller."""
    facts.route, facts.side = "ofrep", "gateway"
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    token = identify(request, deps)
    facts.user = user = deps.verifier.remembered(token) or await verified(token, deps)
    deps.limits.take(user)
    body = b"" if request.body is None else await request.body.read(LARGEST_OFREP_BODY)
    answer = ofrep.answer(
        deps.flags.current, user.flags, request.path, body, request.header(b"if-none-match")
    )
    return Response(status=answer.status, body=answer.body, headers=tuple(answer.headers))


PLAIN: Final = frozenset({b"/healthz", b"/readyz", b"/metrics", b"/v2/openapi.json"})
"""Pages without a user; never shed, or whoever watches an overloaded process would end it."""


def _plain(request: Request, facts: Facts, deps: Deps) -> Response:
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
    feed, draining = deps.flags, deps.running.draining
    state: dict[str, Any] = {
        "status": "draining" if draining else "ready",
        "flags": feed.current.version,
        "source": feed.source,
        "staleness_seconds": round(feed.staleness_seconds, 3),
    }
    headers = ((b"retry-after", b"1"),) if draining else ()
    return Response(status=503 if draining else 200, body=orjson.dumps(state), headers=headers)
