"""The composition root of the stand-in: what is mounted where, and what it is made of.

Stand-in, not PostgREST, never for production.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import asyncpg
import orjson
import structlog
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp

from runtime import tasks
from runtime.postgres import create_pool
from runtime.retry import STARTING, retrying
from sandbox.supabase import edge
from sandbox.supabase.auth import Auth
from sandbox.supabase.faults import Faults
from sandbox.supabase.files import Files
from sandbox.supabase.keys import Keyring
from sandbox.supabase.realtime import Realtime
from sandbox.supabase.rest import Rest
from sandbox.supabase.schema_cache import Cache
from sandbox.supabase.settings import StandinSettings
from sandbox.supabase.storage import Storage

log = structlog.get_logger("standin")

STATEMENT_SECONDS = 8.0
"""As hosted projects set it for signed-in users."""
_AUTH_CONNECTIONS = 3
_RECONNECT_SECONDS = 1.0
_DATABASE_DOWN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_ALL = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]


class Parts(TypedDict):
    """What needs the database: made when the server starts, found in `request.state`."""

    rest: Rest
    auth: Auth
    cache: Cache


def create_app(settings: StandinSettings, base_url: str) -> ASGIApp:
    """The whole stand-in; `base_url` is where clients reach it. Its lifespan opens the database."""
    given = settings.publishable_key
    keys = Keyring.open(
        settings.state,
        settings.base_url or base_url,
        publishable=given.get_secret_value() if given else None,
    )
    storage = Storage(files=Files(folder=settings.state / "storage"), keys=keys)
    realtime = Realtime(keys=keys)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[Parts]:
        try:
            async with _parts(settings, keys) as parts:
                yield parts
        except _DATABASE_DOWN:
            log.exception("standin.database")
            raise

    router = Starlette(
        routes=[
            Route("/healthz", _health),
            Route("/rest/v1", _rest, methods=_ALL),
            Route("/rest/v1/{path:path}", _rest, methods=_ALL),
            Route("/auth/v1/token", _auth(Auth.token), methods=["POST"]),
            Route("/auth/v1/user", _auth(Auth.user), methods=["GET"]),
            Route("/auth/v1/logout", _auth(Auth.logout), methods=["POST"]),
            Route("/auth/v1/.well-known/jwks.json", _auth(Auth.jwks)),
            Route("/auth/v1/health", _auth(Auth.health)),
            Route("/auth/v1/{path:path}", _auth(Auth.not_built), methods=_ALL),
            Mount("/storage/v1", routes=storage.routes()),
            WebSocketRoute("/realtime/v1/websocket", realtime.serve),
        ],
        lifespan=lifespan,
    )
    faults = Faults(edge.ApiKey(router, keys=keys), enabled=settings.faults)
    router.routes.append(Route("/standin/faults", faults.configure, methods=["PUT"]))
    if settings.faults:
        router.routes.append(Route("/standin/realtime", _inject(realtime), methods=["POST"]))
    return edge.Label(
        CORSMiddleware(
            faults,
            allow_origins=["*"],
            allow_methods=edge.CORS_METHODS,
            allow_headers=edge.CORS_HEADERS,
            expose_headers=edge.CORS_EXPOSED,
        )
    )


@asynccontextmanager
async def _parts(settings: StandinSettings, keys: Keyring) -> AsyncIterator[Parts]:
    dsn = settings.dsn.get_secret_value()
    pool = await _pool(dsn, "standin-rest", settings.pool_size)
    users = await _pool(settings.users_dsn(), "standin-auth", _AUTH_CONNECTIONS)
    cache = Cache(pool, settings.schemas)
    await cache.reload()
    listening = tasks.spawn(_listen(dsn, cache), name="listen pgrst")
    try:
        yield Parts(
            rest=Rest(
                pool=pool,
                cache=cache,
                keys=keys,
                schemas=settings.schemas,
                max_rows=settings.max_rows,
            ),
            auth=Auth(pool=users, keys=keys, state=settings.state),
            cache=cache,
        )
    finally:
        await tasks.stop(listening)
        await users.close()
        await pool.close()


async def _pool(dsn: str, name: str, size: int) -> asyncpg.Pool:
    """Waits for a database that is only just being started."""
    async for attempt in retrying(_DATABASE_DOWN, STARTING):
        with attempt:
            return await create_pool(
                dsn, name=name, size=size, statement_timeout_seconds=STATEMENT_SECONDS
            )
    raise AssertionError  # the last attempt raises its own error


async def _listen(dsn: str, cache: Cache) -> None:
    """`notify pgrst` reads the catalog again; so does every reconnection, for what was missed meanwhile."""
    while True:
        try:
            connection = await asyncpg.connect(dsn)
        except _DATABASE_DOWN:
            await asyncio.sleep(_RECONNECT_SECONDS)
            continue
        wake = asyncio.Event()
        connection.add_termination_listener(lambda *_, wake=wake: wake.set())
        try:
            await connection.add_listener("pgrst", lambda *_, wake=wake: wake.set())
            while not connection.is_closed():
                wake.clear()
                await cache.reload()
                await wake.wait()
        except _DATABASE_DOWN as error:
            log.warning("schema_cache.unread", exc_info=error)
            await asyncio.sleep(_RECONNECT_SECONDS)
        finally:
            await connection.close(timeout=_RECONNECT_SECONDS)


async def _health(request: Request) -> Response:
    """Ready: the catalog is read and the database answers."""
    rest: Rest = request.state.rest
    try:
        await rest.pool.fetchval("select 1")
    except _DATABASE_DOWN:
        return JSONResponse({"status": "database down", "standin": True}, status_code=503)
    return JSONResponse({"status": "ok", "standin": True})


async def _rest(request: Request) -> Response:
    rest: Rest = request.state.rest
    return await rest.handle(request)


def _auth(
    method: Callable[[Auth, Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        auth: Auth = request.state.auth
        return await method(auth, request)

    return endpoint


def _inject(realtime: Realtime) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        """POST /standin/realtime: one event for everybody who joined the topic."""
        message: dict[str, Any] = orjson.loads(await request.body())
        reached = await realtime.broadcast(message["topic"], message["event"], message["payload"])
        return JSONResponse({"reached": reached})

    return endpoint
