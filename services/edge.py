"""The outermost layer of a service, pure ASGI: correlation id, errors as problem documents, one log line per request."""

import time

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from routes.problem import MEDIA_TYPE, PROBLEMS, problem_body
from routes.refused import Refused
from runtime.correlation import correlation_id
from services.errors import EXPECTED, code_of, extra_headers, outcome_of

log = structlog.get_logger("service")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Edge:
    """Wraps the application. Handlers leave the route's pattern in `request.state.route`; paths are never logged."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        state = scope.setdefault("state", {})
        given = [value for name, value in scope["headers"] if name == b"x-correlation-id"]
        id_, rejected = correlation_id(given)
        state["correlation_id"] = id_
        reply = _Reply(send, id_, head=scope["method"] == "HEAD")
        code = ""
        try:
            await self.app(scope, receive, reply.send)
        except Exception as error:
            code = code_of(error)
            if not isinstance(error, EXPECTED):
                log.exception("request.failed", correlation_id=id_, code=code)
            if reply.status:
                raise
            await _problem(error, code, id_, scope["method"])(scope, receive, reply.send)
        finally:
            log.info(
                "request",
                correlation_id=id_,
                client_id_rejected=rejected,
                method=scope["method"] if scope["method"] in _METHODS else "OTHER",
                route=state.get("route", ""),
                status=reply.status,
                code=code,
                duration_ms=round((time.monotonic() - began) * 1000, 3),
            )


class _Reply:
    """Puts on every answer what every answer has. `status` is 0 until the answer has begun."""

    def __init__(self, send: Send, correlation_id: str, *, head: bool) -> None:
        self._send = send
        self._headers = [
            (b"x-correlation-id", correlation_id.encode()),
            (b"cache-control", b"no-store"),
        ]
        self._head = head
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        elif self._head:
            message = {**message, "body": b""}
        await self._send(message)


def _problem(error: Exception, code: str, correlation_id: str, method: str) -> Response:
    refused = error if isinstance(error, Refused) else None
    return Response(
        problem_body(
            code,
            correlation_id,
            refused.errors if refused else (),
            legal=refused.legal if refused else None,
            outcome=outcome_of(error, method),
        ),
        status_code=PROBLEMS[code].status,
        media_type=MEDIA_TYPE.decode(),
        headers=extra_headers(error),
    )
