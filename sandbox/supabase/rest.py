"""/rest/v1: request -> plan -> one transaction as the caller -> answer.

The transaction takes the caller's role and settings locally, so that row level security, triggers and write modes are
the real ones. Every error rolls it back.

Stand-in, not PostgREST, never for production.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.supabase import answer, media, plan, prefer
from sandbox.supabase.answer import Outcome
from sandbox.supabase.caller import Caller, identify
from sandbox.supabase.errors import STALE_CACHE, RestError, from_postgres
from sandbox.supabase.keys import Keyring
from sandbox.supabase.plan import Call, Plan
from sandbox.supabase.schema_cache import Cache, Schema

T = TypeVar("T")

ACQUIRE_SECONDS = 10.0
_RELOAD_SECONDS = 0.2
_CONTEXT = (
    "select set_config('search_path', $1, true), set_config('role', $2, true),"
    " set_config('request.jwt.claims', $3, true), set_config('request.headers', $4, true),"
    " set_config('request.cookies', $5, true), set_config('request.method', $6, true),"
    " set_config('request.path', $7, true)"
)
_TIMEZONE = "select set_config('timezone', $1, true)"


@dataclass(kw_only=True)
class Rest:
    """The REST side of one stand-in."""

    pool: asyncpg.Pool
    cache: Cache
    keys: Keyring
    schemas: Sequence[str]
    max_rows: int | None
    _reloaded: float = 0.0

    async def handle(self, request: Request) -> Response:
        """One request. Never raises what can be answered."""
        try:
            caller = identify(
                request.headers.get("authorization"), request.headers.get("apikey", ""), self.keys
            )
            call = await _call(request)
            if call.method == "OPTIONS":
                return await self._options(call)
            made = await self._with_schema(
                lambda schema: plan.make(call, schema, schemas=self.schemas, max_rows=self.max_rows)
            )
            if request.scope.get("state", {}).get("rls_empty"):
                caller = Caller(role=caller.role, claims={})  # a fault on demand: nobody's rows
            outcome = await self._run(request, caller, call, made)
            return answer.respond(call, made, outcome)
        except RestError as error:
            return error.response()

    async def _options(self, call: Call) -> Response:
        allow = await self._with_schema(
            lambda schema: plan.allowed_methods(call, schema, self.schemas)
        )
        return Response(headers={"Allow": allow})

    async def _with_schema(self, use: Callable[[Schema], T]) -> T:
        """What is unknown may be new: then the catalog is read once more, though not for every request."""
        try:
            return use(await self.cache.current())
        except RestError as error:
            if error.code not in STALE_CACHE or time.monotonic() - self._reloaded < _RELOAD_SECONDS:
                raise
        schema = await self.cache.reload()
        self._reloaded = time.monotonic()
        return use(schema)

    async def _run(self, request: Request, caller: Caller, call: Call, made: Plan) -> Outcome:
        try:
            async with (
                self.pool.acquire(timeout=ACQUIRE_SECONDS) as connection,
                connection.transaction(readonly=made.read_only),
            ):
                await _take_on(connection, request, caller, call, made)
                outcome = _outcome(
                    await connection.fetchrow(made.statement.text, *made.statement.values)
                )
                answer.check(call, made, outcome)
                return await self._with_planned_total(connection, made, outcome)
        except asyncpg.PostgresError as error:
            raise from_postgres(error, anonymous=caller.anonymous) from error
        except TimeoutError:
            raise RestError(
                "PGRST003", "Timed out acquiring connection from connection pool."
            ) from None
        except (OSError, asyncpg.InterfaceError) as error:
            raise RestError("PGRST001", "Database client error.") from error

    async def _with_planned_total(
        self, connection: asyncpg.pool.PoolConnectionProxy, made: Plan, outcome: Outcome
    ) -> Outcome:
        """`count=planned` takes the planner's guess; `estimated` does so only past max-rows."""
        if made.planned is None:
            return outcome
        told = await connection.fetchval(made.planned.text, *made.planned.values)
        guess = int(orjson.loads(told)[0]["Plan"]["Plan Rows"])
        total = guess
        if outcome.total is not None:
            beyond = self.max_rows is None or outcome.total > self.max_rows
            total = max(outcome.total, guess) if beyond else outcome.total
        return Outcome(
            body=outcome.body,
            rows=outcome.rows,
            total=total,
            response_headers=outcome.response_headers,
            response_status=outcome.response_status,
        )


async def _call(request: Request) -> Call:
    path = request.path_params.get("path", "")
    writes = request.method in ("POST", "PATCH", "PUT", "DELETE")
    return Call(
        method=request.method,
        path=path.split("/") if path else (),
        raw_query=request.scope["query_string"],
        range_header=request.headers.get("range"),
        content_type=request.headers.get("content-type"),
        profile=request.headers.get("content-profile" if writes else "accept-profile"),
        body=await request.body(),
        prefer=prefer.parse(request.headers.getlist("prefer")),
        media=media.negotiate(request.headers.get("accept"), of_call=path.startswith("rpc/")),
    )


async def _take_on(
    connection: asyncpg.pool.PoolConnectionProxy,
    request: Request,
    caller: Caller,
    call: Call,
    made: Plan,
) -> None:
    """Become the caller until the transaction ends."""
    headers = {name: value for name, value in request.headers.items() if name != "cookie"}
    await connection.execute(
        _CONTEXT,
        f'"{made.schema}", "public", "extensions"',
        caller.role,
        caller.claims_json(),
        orjson.dumps(headers).decode(),
        orjson.dumps(request.cookies).decode(),
        call.method,
        "/" + "/".join(call.path),
    )
    if call.prefer.timezone is not None:
        await connection.execute(_TIMEZONE, call.prefer.timezone)


def _outcome(row: asyncpg.Record | None) -> Outcome:
    if row is None:
        raise RestError("PGRST001", "The statement answered no row.")
    return Outcome(
        body=row["body"].encode(),
        rows=row["rows"],
        total=row["total"],
        location=row["location"],
        updated=row["updated"],
        response_headers=row["response_headers"],
        response_status=row["response_status"],
    )
