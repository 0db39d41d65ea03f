"""The composition root of a service: the same machinery for all seven, over the schema and the resources of one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog.service import Service
from routes import resources
from routes.openapi import document
from routes.refused import MethodNotAllowed, NoSuchRoute
from runtime.internal_token import InternalTokens
from runtime.issuer import issuer_identities, issuer_keys, issuer_upstream
from runtime.jwks import KeySet
from runtime.objectstore import open_store
from runtime.postgres import create_pool
from runtime.repeats import Repeats
from runtime.sealed import Sealer
from runtime.settings import Settings
from runtime.tasks import spawn, stop
from services import health
from services.background import tasks_of
from services.body import JSON
from services.changes import Changes
from services.deps import Deps
from services.edge import Edge
from services.idempotency import Idempotency
from services.internal import internal
from services.leased_ids import LeasedIds
from services.migrate import expected_versions
from services.rules import rules_of
from services.v2 import answer


def create_app(service: Service, settings: Settings, *, keys: KeySet | None = None) -> FastAPI:
    """The ASGI application; its lifespan connects to the database. Raises SettingsError for what is missing.

    `keys` replaces the issuer's key set, for tests.
    """
    upstream = issuer_upstream(settings)
    keys = keys or issuer_keys(settings, upstream)
    verifier = issuer_identities(settings, keys)
    internal_tokens = InternalTokens(settings.need_secret("internal_token_key"))
    cursor_key = settings.need_secret("cursor_key").encode()
    dsn = settings.service_database_url(service)
    vendors = settings.known_vendors()
    keeps_files = service is Service.CARE_PLANS
    objects = open_store(settings.need_secret("object_store_url")) if keeps_files else None
    repeats = Repeats(settings.need_keyring("evidence_keys"))
    idempotency = Idempotency(repeats, Sealer(settings.need_keyring("field_keys")))
    own = tuple(resource for resource in resources() if resource.service is service)
    openapi = document(own, title=service.label)
    channels = [f"{service}.{resource.asset.target}" for resource in own if resource.waits]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = await create_pool(
            dsn,
            name=f"banyan {service}",
            statement_timeout_seconds=settings.read_deadline_seconds,
            longest_timeout_seconds=settings.write_deadline_seconds,
        )
        numbers = await create_pool(dsn, name=f"banyan {service} ids", size=1)
        ids = LeasedIds(service, numbers)
        changes = Changes(dsn, channels, name=f"banyan {service}")
        app.state.deps = deps = Deps(
            service=service,
            pool=pool,
            pool_wait=settings.pool_wait_seconds,
            verifier=verifier,
            keys=None if settings.token_hs256_secret else keys,
            internal=internal_tokens,
            cursor_key=cursor_key,
            openapi=openapi,
            migrations=expected_versions(service),
            write_deadline=settings.write_deadline_seconds,
            idempotency=idempotency,
            ids=ids,
            rules=rules_of(service, ids),
            vendors=vendors,
            changes=changes,
            objects=objects,
        )
        running = [
            spawn(work(deps, settings), name=f"{service}.{name}")
            for name, work in tasks_of(service).items()
        ]
        if channels:
            running.append(spawn(changes.run(), name="changes"))
        try:
            yield
        finally:
            await stop(*running)
            await numbers.close()
            await pool.close()
            await upstream.close()

    app = FastAPI(
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _no_match},
    )
    app.add_middleware(Edge)
    app.add_route("/healthz", _alive, methods=["GET", "HEAD"])
    app.add_route("/readyz", _ready, methods=["GET", "HEAD"])
    app.add_route("/openapi.json", _openapi, methods=["GET", "HEAD"])
    # Mounted whole: what is behind these prefixes goes by the raw path, which the framework would decode and merge.
    app.mount("/internal", _handler(internal))
    app.mount("/v2", _handler(answer))
    return app


def _handler(answer_to: Callable[[Request, Deps], Awaitable[Response]]) -> ASGIApp:
    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await answer_to(request, scope["app"].state.deps)
        await response(scope, receive, send)

    return handle


async def _alive(request: Request) -> Response:
    return health.alive()


async def _ready(request: Request) -> Response:
    return await health.ready(request.app.state.deps)


async def _openapi(request: Request) -> Response:
    return Response(request.app.state.deps.openapi, media_type=JSON)


async def _no_match(request: Request, error: Exception) -> Response:
    """The framework's own refusals become ours, which the edge words."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        raise MethodNotAllowed
    raise NoSuchRoute
