"""`Caller`: a client of /v2 that does what the documentation asks of one: it repeats a write with the same key until it is answered."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import httpx

from runtime.stack import Stack
from runtime.upstream.transport import PoolTransport
from runtime.upstream.upstream import Upstream

_AGAIN_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0
_REPEATABLE = frozenset({"idempotency_in_flight", "authority_changed"})
"""Refusals that say: the same again, later."""


class Unanswered(Exception):
    """Repeated for too long; the last answer's status, or the exception's class."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One write, however often it is sent."""

    method: str
    path: str
    """Behind /v2."""
    user: str
    body: Mapping[str, Any] | None = None
    if_match: str = ""
    key: str = field(default_factory=lambda: str(uuid4()))
    correlation_id: str = field(default_factory=lambda: f"bench-{uuid4()}")


@dataclass(frozen=True, kw_only=True)
class Said:
    """The answer that ended it, and how often the write was sent."""

    response: httpx.Response
    attempts: int

    @property
    def ok(self) -> bool:
        return self.response.is_success


class Caller:
    """`tokens`: by the sample users' names; `numbered`: attempts of one write bear correlation ids of their own, the write's and a
    number behind it. One may serve many tasks.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        tokens: Mapping[str, str],
        url: str,
        *,
        numbered: bool = False,
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._url = url
        self._numbered = numbered

    async def send(self, ask: Ask) -> httpx.Response:
        """Once. Raises httpx.TransportError."""
        headers = {
            "authorization": f"Bearer {self._tokens[ask.user]}",
            "x-correlation-id": ask.correlation_id,
        }
        if ask.method != "GET":
            headers["idempotency-key"] = f'"{ask.key}"'
        if ask.if_match:
            headers["if-match"] = ask.if_match
        content = None
        if ask.body is not None:
            headers["content-type"] = "application/json"
            content = json.dumps(ask.body).encode()
        return await self._client.request(
            ask.method, f"{self._url}/v2{ask.path}", content=content, headers=headers
        )

    async def insist(self, ask: Ask, *, seconds: float) -> Said:
        """Until an answer that the same request would get again. Raises Unanswered after so many seconds."""
        attempts, last = 0, "nothing"
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            attempts += 1
            wait = _AGAIN_SECONDS
            try:
                response = await self.send(self._attempt(ask, attempts))
            except httpx.TransportError as error:
                last = type(error).__name__
            else:
                if not _to_repeat(response):
                    return Said(response=response, attempts=attempts)
                last = str(response.status_code)
                wait = float(response.headers.get("retry-after", wait))
            await asyncio.sleep(min(wait, 2.0) * random.uniform(0.5, 1.0))
        raise Unanswered(last)

    def _attempt(self, ask: Ask, number: int) -> Ask:
        if not self._numbered:
            return ask
        return replace(ask, correlation_id=f"{ask.correlation_id}.{number}")


def _to_repeat(response: httpx.Response) -> bool:
    if response.status_code in (429, 500, 502, 503, 504, 507):
        return True
    return response.status_code == 409 and response.json()["code"] in _REPEATABLE


def client(connections: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncClient(trust_env=False, timeout=_PATIENCE_SECONDS, limits=limits)


@asynccontextmanager
async def pooled(url: str, connections: int) -> AsyncIterator[httpx.AsyncClient]:
    """A client of this server alone that costs the machine less: by the product's own pool of connections."""
    upstream = Upstream(
        "edge",
        url,
        connections=connections,
        pool_wait=_PATIENCE_SECONDS,
        deadline=_PATIENCE_SECONDS,
    )
    try:
        async with httpx.AsyncClient(
            transport=PoolTransport(upstream), trust_env=False, timeout=_PATIENCE_SECONDS
        ) as opened:
            yield opened
    finally:
        await upstream.close()


def caller(stack: Stack, url: str, opened: httpx.AsyncClient) -> Caller:
    return Caller(opened, stack.tokens, url)
