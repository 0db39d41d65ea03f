"""Failures on demand, for tests: late, refused, broken off, empty or stale answers.

Off unless the setting `faults` is on. A rule comes from `PUT /standin/faults` (a list of rules for everybody) or from
the request's own header `X-Banyan-Fault` (one rule as JSON). The first rule that fits a request is applied and counted down.

Stand-in, not PostgREST, never for production.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-banyan-fault"


class Fault(BaseModel):
    """What goes wrong, and for which requests. Milliseconds."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field("/rest/v1/", description="Only requests whose path begins with this")
    method: str | None = Field(None, description="Only requests of this method")
    times: int | None = Field(None, ge=1, description="How many requests; none: all of them")
    latency_ms: int = Field(0, ge=0, le=60_000, description="Wait before the request is looked at")
    status: int | None = Field(None, ge=400, le=599, description="Answer this and do nothing")
    retry_after: int | None = Field(None, description="Retry-After of that answer, in seconds")
    cut_body: bool = Field(False, description="Announce the whole body, send half, hang up")
    rls_empty: bool = Field(False, description="Answer as if no row were visible")
    stale_read: bool = Field(False, description="Repeat the first answer to the same question")


_FAULTS = TypeAdapter(list[Fault])


class Faults:
    """ASGI middleware; `enabled` False passes everything through."""

    def __init__(self, app: ASGIApp, *, enabled: bool) -> None:
        self.app = app
        self.enabled = enabled
        self.rules: list[Fault] = []
        self._seen: dict[tuple[Any, ...], list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._choose(scope) if self.enabled and scope["type"] == "http" else None
        if fault is None:
            await self.app(scope, receive, send)
            return
        await asyncio.sleep(fault.latency_ms / 1000)
        if fault.status is not None:
            await _refusal(fault)(scope, receive, send)
        elif fault.stale_read and scope["method"] in ("GET", "HEAD"):
            await self._stale(scope, receive, send)
        elif fault.cut_body:
            await self._cut(scope, receive, send)
        else:
            if fault.rls_empty:
                scope["state"] = {**scope.get("state", {}), "rls_empty": True}
            await self.app(scope, receive, send)

    def _choose(self, scope: Scope) -> Fault | None:
        own = dict(scope["headers"]).get(HEADER)
        if own is not None:
            return Fault.model_validate_json(own)
        for rule in self.rules:
            if rule.path and not scope["path"].startswith(rule.path):
                continue
            if rule.method is not None and rule.method != scope["method"]:
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times == 0:
                    self.rules.remove(rule)
            return rule
        return None

    async def _stale(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        asked = (
            scope["method"],
            scope["path"],
            scope["query_string"],
            *(headers.get(name) for name in (b"authorization", b"apikey", b"prefer", b"range")),
        )
        if asked not in self._seen:
            self._seen[asked] = await self._record(scope, receive)
        for message in self._seen[asked]:
            await send(message)

    async def _cut(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To return before the body is complete makes the server hang up."""
        start, *parts = await self._record(scope, receive)
        body = b"".join(part.get("body", b"") for part in parts)
        await send(start)
        await send(
            {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
        )

    async def _record(self, scope: Scope, receive: Receive) -> list[Message]:
        messages: list[Message] = []

        async def keep(message: MutableMapping[str, Any]) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        return messages

    async def configure(self, request: Request) -> Response:
        """PUT /standin/faults: the rules from now on; [] ends them all."""
        if not self.enabled:
            return JSONResponse({"message": "faults are switched off"}, status_code=404)
        try:
            self.rules = _FAULTS.validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"message": f"{error.error_count()} errors"}, status_code=400)
        self._seen.clear()
        return JSONResponse({"rules": len(self.rules)})


def _refusal(fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return JSONResponse(
        {"message": "fault on demand"}, status_code=fault.status or 500, headers=headers
    )
