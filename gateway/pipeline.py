"""The way of a request, top to bottom: who asks, which side answers, what is asked of it. Nothing else in the gateway decides.

What can be decided at once is: a request whose answer one service gives alone becomes a `Forward`, without a task. The
rest becomes a coroutine that ends in a `Response` or, once the caller is known, in a `Forward`.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Final

from catalog.stage import Side
from gateway import ofrep
from gateway.asking import answer_of, asked_by, if_none_match
from gateway.begin_write import write
from gateway.deps import Deps
from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.forward import Answering, Forward, forwarded_head, row_tag
from gateway.identify import identify, known, verified
from gateway.operate import operate
from gateway.pinned import pinned_item, pinned_list
from gateway.plain_pages import PLAIN, plain
from gateway.plan import Read, SplitRead
from gateway.plans import plan_for
from gateway.read import Answer
from gateway.response import NO_STORE, Header, Response
from gateway.user import User
from routes.asked import AskedItem, AskedList, wanted_wait
from routes.match import Match, match
from routes.refused import (
    InvalidQuery,
    MethodNotAllowed,
    NoSuchRoute,
    NotFound,
)
from runtime.accessrecord import many, resource_tag
from runtime.flagsnapshot import Snapshot
from runtime.upstream.errors import UpstreamBusy, UpstreamError

LARGEST_OFREP_BODY: Final = 64 * 1024


def handle(request: Request, facts: Facts, deps: Deps) -> Answering:
    """The answer to a clear request. Raises one of errors.EXPECTED for everything that is not an ordinary answer."""
    snapshot = deps.flags.current
    facts.flags = snapshot.version
    found = match(request.path)
    if found is None:
        return _beside(request, facts, deps)
    facts.route, facts.entity = found.pattern, found.entity
    facts.single = found.item is not None
    if found.operations is not None:
        return operate(request, found, found.operations, facts, deps)
    if request.method not in ("GET", "HEAD"):
        return write(request, found, facts, deps)
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
        facts.resource = row_tag(found, deps.record_key)
    if deps.pins.open:
        sides = deps.pins.sides(_pin_tag(user, deps), found.resource.asset.flag_entity)
        if sides:
            return _pinned(request, user, found, facts, deps)
    if plan is not None and plan.compared_with is not None:
        _compare(plan, request, found, facts, deps)
    if plan is not None and plan.side is _SERVICE and (facts.single or not plan.federated):
        facts.side = _SERVICE_WORD
        return _forward(plan, request, user, found, facts, deps)
    return _composed(request, user, found, facts, deps)


_SERVICE: Final = Side.SERVICE
_SERVICE_WORD: Final = Side.SERVICE.value


def _compare(plan: Read, request: Request, found: Match, facts: Facts, deps: Deps) -> None:
    """Note who is asked the same behind the answer, if it is one to compare: no HEAD, and nobody who waits for a change."""
    shadows = deps.shadows
    if shadows is None or request.method != "GET" or not shadows.takes(facts.correlation_id):
        return
    if not (facts.single and found.resource.waits and b"prefer" in request.headers):
        facts.compared = plan


# --- a user's own writes that are not on both sides yet


def _pin_tag(user: User, deps: Deps) -> str:
    if not user.tag:
        user.tag = resource_tag(deps.record_key, "user", user.identity.sub)
    return user.tag


async def _pinned(
    request: Request, user: User, found: Match, facts: Facts, deps: Deps
) -> Response | Forward:
    """The read of a user with pins: from the side that has them, or a moment later, when both have."""
    asked, caller = asked_by(request, user, found, facts, deps.cursor_key)
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
            return _respond(await answer_of(deps.reader, plan, asked, request, caller), facts)
        if deps.clock() >= ends:
            raise UpstreamBusy("mirror")
        await asyncio.sleep(PIN_POLL_SECONDS)


PINNED_SECONDS: Final = 2.0
"""Longest wait for the mirror, where no single side has all of a user's own writes."""
PIN_POLL_SECONDS: Final = 0.02


# --- one side alone


def _forward(
    plan: Read, request: Request, user: User, found: Match, facts: Facts, deps: Deps
) -> Forward:
    """The service is asked in the caller's own words, and answers the caller; it judges the query, too."""
    if found.item is not None and request.query:
        raise InvalidQuery("query", "an_item_takes_none")
    upstream = deps.services[found.path]
    head = forwarded_head(upstream, request, user, facts)
    deadline = None
    if found.item is not None and found.resource.waits and b"prefer" in request.headers:
        wait = wanted_wait(request.all(b"prefer"))
        if wait:
            deadline = wait + deps.settings.read_deadline_seconds
    instead = partial(_instead, request, user, found, facts, deps) if plan.falls_back else None
    return Forward(upstream, head, instead, deadline=deadline)


async def _instead(
    request: Request,
    user: User,
    found: Match,
    facts: Facts,
    deps: Deps,
    error: UpstreamError | None,
) -> Response:
    """Legacy's answer, since the service has failed, or perhaps does not know the row yet."""
    asked, caller = asked_by(request, user, found, facts, deps.cursor_key)
    if isinstance(asked, AskedItem):
        tags = if_none_match(request)
        answer = await deps.reader.item_instead(
            asked.resource, asked.key, request.path, caller, tags, error
        )
    elif error is None:
        raise NotFound
    else:
        answer = await deps.reader.page_instead(asked.query, caller, error, count=asked.counted)
    return _respond(answer, facts)


# --- more than one question


async def _composed(
    request: Request, user: User, found: Match, facts: Facts, deps: Deps
) -> Response:
    """Legacy's answer in v2's words, or both sides' put together."""
    asked, caller = asked_by(request, user, found, facts, deps.cursor_key)
    query = asked.query if isinstance(asked, AskedList) else None
    plan = plan_for(found.resource, user, deps.flags.current, query)
    if isinstance(plan, Read) and plan.compared_with is not None:
        _compare(plan, request, found, facts, deps)
    return _respond(await answer_of(deps.reader, plan, asked, request, caller), facts)


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
        return plain(request, facts, deps)
    if request.path.startswith(ofrep.PREFIX):
        return _own_flags(request, facts, deps)
    raise NoSuchRoute


async def _own_flags(request: Request, facts: Facts, deps: Deps) -> Response:
    """OFREP: the caller's own flags, by the same snapshot that routes the caller."""
    facts.route, facts.side = "ofrep", "gateway"
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    facts.user = user = await known(request, deps)
    body = b"" if request.body is None else await request.body.read(LARGEST_OFREP_BODY)
    answer = ofrep.answer(
        deps.flags.current, user.flags, request.path, body, request.header(b"if-none-match")
    )
    return Response(status=answer.status, body=answer.body, headers=tuple(answer.headers))
