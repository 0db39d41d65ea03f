"""Pages without a user: liveness, readiness, metrics, the interface's description."""

from typing import Any, Final

import orjson

from gateway.deps import Deps
from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.metrics import CONTENT_TYPE
from gateway.response import Response
from routes.refused import MethodNotAllowed, NotFound

PLAIN: Final = frozenset({b"/healthz", b"/readyz", b"/metrics", b"/v2/openapi.json"})
"""Pages without a user; never shed, or whoever watches an overloaded process would end it."""


def plain(request: Request, facts: Facts, deps: Deps) -> Response:
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
