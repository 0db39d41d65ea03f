"""The composition root of the data plane, and its one ASGI callable."""

import time
from typing import Any

import structlog

from catalog.service import Service
from gateway import cors
from gateway.deps import Deps
from gateway.errors import EXPECTED, code_of, extra_headers
from gateway.facts import Facts
from gateway.legacy_side import LEGACY, LegacySide
from gateway.metrics import Metrics
from gateway.pipeline import handle
from gateway.read import Reader
from gateway.request import Request, check, read_request
from gateway.response import Response, send_response
from gateway.service_side import ServiceSide
from routes import resources
from routes.openapi import document
from routes.problem import MEDIA_TYPE, PROBLEMS, problem_body
from routes.refused import Refused, TooLarge
from runtime.correlation import correlation_id
from runtime.flagfeed import FlagFeed
from runtime.identity import Verifier
from runtime.internal_token import InternalTokens
from runtime.issuer import issuer_keys, issuer_upstream
from runtime.settings import Settings
from runtime.upstream import Upstream

log = structlog.get_logger("gateway")


def create_app(settings: Settings) -> "Gateway":
    """Everything real, put together. Raises SettingsError for what is missing."""
    metrics = Metrics()
    legacy = _upstream(settings, LEGACY, settings.need("legacy_rest_url"))
    services = {
        service: _upstream(settings, service, settings.service_url(service)) for service in Service
    }
    keys = issuer_upstream(settings)
    cursor_key = settings.need_secret("cursor_key").encode()
    secret = settings.token_hs256_secret
    flags = FlagFeed.of(settings)
    metrics.watch_flags(lambda: flags.current.version, lambda: flags.staleness_seconds)
    reader = Reader(
        LegacySide(
            legacy,
            apikey=settings.need_secret("legacy_publishable_key"),
            unrepresentable=lambda entity, column: metrics.unrepresentable.labels(
                entity, column
            ).inc(),
        ),
        ServiceSide(
            services, InternalTokens(settings.need_secret("internal_token_key")), cursor_key
        ),
        cursor_key,
    )
    verifier = Verifier(
        issuer=settings.need("token_issuer"),
        keys=issuer_keys(settings, keys),
        hs256_secret=secret.get_secret_value() if secret else None,
    )
    deps = Deps(
        settings=settings,
        verifier=verifier,
        flags=flags,
        reader=reader,
        metrics=metrics,
        cursor_key=cursor_key,
        openapi=document(resources()),
        clock=time.monotonic,
    )
    return Gateway(deps, (legacy, keys, *services.values()))


def _upstream(settings: Settings, name: str, url: str) -> Upstream:
    return Upstream(
        name,
        url,
        connections=settings.upstream_connections,
        pool_wait=settings.pool_wait_seconds,
        deadline=settings.read_deadline_seconds,
    )


class Gateway:
    """The ASGI application: one access line per request, every error a problem document, nothing about its cause in it."""

    def __init__(self, deps: Deps, upstreams: tuple[Upstream, ...]) -> None:
        self.deps = deps
        self._upstreams = upstreams

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def start(self) -> None:
        """Learn the flags; from then on the gateway can answer."""
        await self.deps.flags.start()

    async def stop(self) -> None:
        await self.deps.flags.stop()
        for upstream in self._upstreams:
            await upstream.close()

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        began = self.deps.clock()
        request = read_request(scope)
        id_, rejected = correlation_id(request.all(b"x-correlation-id"))
        facts = Facts(
            correlation_id=id_,
            client_id_rejected=rejected,
            method=request.method if request.method in _METHODS else "OTHER",
            source_ip=request.peer,
        )
        response = await self._answer(request, receive, facts)
        origin = cors.allowed_origin(request, self.deps.settings.cors_origins)
        extra = [(b"x-correlation-id", id_.encode()), *cors.origin_headers(origin)]
        try:
            await send_response(send, response, extra, head=request.method == "HEAD")
        finally:
            facts.record(response.status, self.deps.clock() - began, self.deps.metrics)

    async def _answer(self, request: Request, receive: Any, facts: Facts) -> Response:
        try:
            check(request, self.deps.settings.allowed_hosts)
            if cors.is_preflight(request):
                return cors.preflight(cors.allowed_origin(request, self.deps.settings.cors_origins))
            return await handle(request, lambda limit: _body(receive, limit), self.deps, facts)
        except EXPECTED as error:
            return _problem(error, facts)
        except (
            Exception
        ) as error:  # the edge: whatever nobody foresaw is a 500, logged by class and place
            log.exception("request.failed", correlation_id=facts.correlation_id, route=facts.route)
            return _problem(error, facts)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _problem(error: Exception, facts: Facts) -> Response:
    facts.code = code_of(error)
    errors = error.errors if isinstance(error, Refused) else ()
    return Response(
        status=PROBLEMS[facts.code].status,
        body=problem_body(facts.code, facts.correlation_id, errors),
        content_type=MEDIA_TYPE,
        headers=((b"cache-control", b"no-store"), *extra_headers(error)),
    )


async def _body(receive: Any, limit: int) -> bytes:
    """The whole body. Raises TooLarge as soon as it is longer than `limit`."""
    chunks = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(chunks)
        chunks += message.get("body", b"")
        if len(chunks) > limit:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(chunks)
