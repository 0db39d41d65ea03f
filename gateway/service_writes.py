"""Writes to a service: the caller's own words, which the service judges, with the epoch that fences a stale gateway."""

from collections.abc import Iterable, Mapping

import orjson

from catalog.asset import Asset
from gateway.caller import Caller
from gateway.edge.body import Body
from gateway.edge.request import Request
from gateway.repeat_store import Kept
from gateway.service_side import refusal
from gateway.upload import upload
from gateway.written_row import Problem, WriteFailed, WrittenRow, failed
from routes.key import Key
from routes.match import Match
from routes.problem import MEDIA_TYPE, PROBLEMS
from routes.refused import Fenced, IdempotencyInFlight
from routes.resource import Resource
from runtime.intent import Outcome
from runtime.upstream.errors import UpstreamBroke, UpstreamError
from runtime.upstream.exchange import Header
from runtime.upstream.reply import Reply
from runtime.upstream.upstream import Upstream

EPOCH = b"x-banyan-epoch"
STREAM_SECONDS = 600.0
"""Longest time for a file, either way; a client that is too slow is sent away long before (gateway.edge.connection)."""
_OF_BODY = (b"content-type", b"if-match", b"content-digest", b"repr-digest")


class ServiceWrites:
    """By the path of the resource that a service owns."""

    def __init__(self, owners: Mapping[str, Upstream], *, deadline: float) -> None:
        self._owners = owners
        self._deadline = deadline

    async def send(
        self,
        owner: str,
        method: str,
        path: bytes,
        caller: Caller,
        headers: Iterable[Header],
        body: bytes,
        *,
        epoch: int,
    ) -> Reply:
        """The service's own answer, if it is one to a write: success, or a refusal in a problem document.

        Raises WriteFailed with what became of the write, and Unauthenticated.
        """
        upstream = self._owners[owner]
        sent = [*caller.headers(), *headers, (EPOCH, b"%d" % epoch)]
        try:
            reply = await upstream.fetch(
                method,
                path,
                sent,
                body,
                deadline=self._deadline,
                echo=caller.correlation_id.encode(),
            )
        except UpstreamError as error:
            raise failed(error) from None
        if reply.status in (200, 201, 204):
            return reply
        return _refused(reply, upstream.name)

    async def upload(
        self, found: Match, request: Request, body: Body, caller: Caller, epoch: int
    ) -> WrittenRow | Kept:
        """A streamed body. Raises as `send` does, and what the body raises."""
        upstream = self._owners[found.path]
        headers = [*caller.headers(), (EPOCH, b"%d" % epoch)]
        headers += [(name, value) for name in _OF_BODY for value in request.all(name)]
        echo = caller.correlation_id.encode()
        try:
            reply = await upload(
                upstream, request.path, headers, body, deadline=STREAM_SECONDS, echo=echo
            )
        except UpstreamError as error:
            raise failed(error) from None
        if reply.status not in (200, 201, 204):
            reply = _refused(reply, upstream.name)
        return said(found.resource, reply)


def said(resource: Resource, reply: Reply) -> WrittenRow | Kept:
    """A service's answer; a refusal in its own words. Raises Fenced and IdempotencyInFlight, which are no answer to keep."""
    if reply.status < 400:
        return written(resource.asset, reply)
    code = orjson.loads(reply.body).get("code")
    if code == Fenced.code:
        raise Fenced
    if code == IdempotencyInFlight.code:
        raise IdempotencyInFlight
    passed = [(n, v) for n, v in reply.headers if n in (b"content-type", b"retry-after")]
    return Kept(status=reply.status, body=reply.body, headers=passed)


def written(asset: Asset, reply: Reply) -> WrittenRow:
    """The row of a successful answer."""
    tag = (reply.header(b"etag") or b"").decode("latin-1")
    return WrittenRow(status=reply.status, body=reply.body, etag=tag, key=_key(asset, reply))


def _key(asset: Asset, reply: Reply) -> Key | None:
    if not reply.body:
        return None
    try:
        row = orjson.loads(reply.body)
        return tuple(str(row[name]) for name in asset.key)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _refused(reply: Reply, upstream: str) -> Reply:
    """A refusal that the service words itself goes through; the rest is trouble, of which it says whether it has written."""
    problem = _problem(reply)
    if reply.status < 500 and reply.status != 401 and problem is not None:
        return reply
    if reply.status == 401:
        raise refusal(401, upstream)
    if problem is None:
        raise WriteFailed(UpstreamBroke(upstream), Outcome.UNKNOWN)
    outcome = (
        Outcome.NOT_APPLIED if problem.get("outcome") == Outcome.NOT_APPLIED else Outcome.UNKNOWN
    )
    code = str(problem.get("code"))
    raise WriteFailed(Problem(code if code in PROBLEMS else "upstream_broke"), outcome)


def _problem(reply: Reply) -> Mapping[str, object] | None:
    if reply.header(b"content-type") != MEDIA_TYPE:
        return None
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
