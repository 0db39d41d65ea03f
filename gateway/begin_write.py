"""From a writing request to its end: what is once begun is finished, whether or not the caller still waits (http-rules section 4)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from gateway.announcer import NotAnnounced
from gateway.caller import caller_of
from gateway.deps import Deps
from gateway.edge.body import ClientGone
from gateway.edge.request import Request
from gateway.errors import EXPECTED
from gateway.facts import Facts
from gateway.identify import known
from gateway.plans import plan_for
from gateway.response import Response
from gateway.row_write import RowRequest, sole
from routes.match import Match
from routes.refused import Fenced, MethodNotAllowed
from runtime.flagsnapshot import Snapshot
from runtime.tasks import spawn

LARGEST_WRITE: Final = 1024 * 1024


async def write(request: Request, found: Match, facts: Facts, deps: Deps) -> Response:
    """A POST, PATCH or DELETE of a row. Raises one of errors.EXPECTED."""
    methods = allowed(found)
    if request.method not in methods:
        raise MethodNotAllowed(", ".join(("GET", "HEAD", *methods)))
    facts.user = user = await known(request, deps)
    if deps.writes is None:
        raise NotAnnounced
    asked, writes = await whole(request, found), deps.writes
    caller = caller_of(request, user, facts)

    async def attempt(snapshot: Snapshot) -> Response:
        facts.flags = snapshot.version
        read = plan_for(found.resource, user, snapshot, None)
        return await writes.write(asked, caller, snapshot, read, facts)

    return await finished(unfenced(attempt, deps), deps)


async def unfenced(
    attempt: Callable[[Snapshot], Coroutine[Any, Any, Response]], deps: Deps
) -> Response:
    """A write that the authority refused because it has changed hands goes where the newer flags say, once: nothing was
    applied. Raises Fenced if no newer flags come."""
    snapshot = deps.flags.current
    try:
        return await attempt(snapshot)
    except Fenced:
        for _ in range(NEWER_FLAGS_POLLS):
            if deps.flags.current.version != snapshot.version:
                break
            await asyncio.sleep(POLL_SECONDS)
        else:
            raise
    return await attempt(deps.flags.current)


POLL_SECONDS: Final = 0.02
NEWER_FLAGS_POLLS: Final = 50


def allowed(found: Match) -> list[str]:
    """The writing methods of a path."""
    methods, on_item = found.resource.writes.methods, found.item is not None
    return [m for m in ("POST", "PATCH", "DELETE") if m in methods and (m != "POST") is on_item]


async def whole(request: Request, found: Match) -> RowRequest:
    """The request with its body. Raises TooLarge, ClientGone, RequestTimeout, Malformed."""
    body = b"" if request.body is None else await request.body.read(LARGEST_WRITE)
    return RowRequest(
        method=request.method,
        path=request.path,
        query=request.query,
        found=found,
        body=body,
        content_type=sole(request.all(b"content-type")),
        idempotency_keys=request.all(b"idempotency-key"),
        if_match=b", ".join(request.all(b"if-match")) or None,
    )


async def finished(writing: Coroutine[Any, Any, Response], deps: Deps) -> Response:
    """Its answer, as long as somebody waits for it; it goes on without."""
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
    except (*EXPECTED, ClientGone) as error:
        return error
