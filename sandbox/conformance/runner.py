"""Runs the cases against one server and the database behind it.

The fixture is a schema of its own, made and dropped through the DSN; the server must expose it. Every request runs as
anon. After each case that may write, the tables are filled again and their sequences reset.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from sandbox.conformance.case import Case, differences, same_json

SCHEMA = "banyan_conformance"
COMMENT = "fixture of the conformance runner"
NOTE = (
    "The cases were written from documentation and observed behaviour. No real PostgREST was run"
    " when they were written; against the stand-in they show what it was built to do."
)
_FIXTURE = Path(__file__).with_name("fixture.sql").read_text(encoding="utf-8")
_READY_SECONDS = 20.0
_POLL_SECONDS = 0.1
_REQUEST_SECONDS = 15.0


class CannotRun(Exception):
    """The runner could not begin; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What one case showed."""

    case: str
    found: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a run ended."""

    target: str
    held: int
    skipped: int
    differences: tuple[Difference, ...]

    @property
    def ran(self) -> int:
        return self.held + len(self.differences)


async def run(
    cases: Sequence[Case],
    *,
    base_url: str,
    dsn: str,
    apikey: str | None = None,
    allow_writes: bool = False,
) -> Report:
    """Raises CannotRun. The fixture is gone afterwards, whatever happened."""
    headers = {"Accept-Profile": SCHEMA, "Content-Profile": SCHEMA, "Accept": "*/*"}
    if apikey is not None:
        headers["apikey"] = apikey
    connection = await _connect(dsn)
    try:
        await _install(connection)
        async with httpx.AsyncClient(
            base_url=base_url.rstrip("/"), headers=headers, timeout=_REQUEST_SECONDS
        ) as client:
            await _until_known(client)
            chosen = [case for case in cases if allow_writes or not case.write]
            results = [await _try(client, connection, case) for case in chosen]
    finally:
        await _remove(connection)
        await connection.close()
    different = tuple(result for result in results if result.found)
    return Report(
        target=base_url,
        held=len(results) - len(different),
        skipped=len(cases) - len(chosen),
        differences=different,
    )


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotRun(f"the database does not let us in: {type(error).__name__}") from None


async def _install(connection: asyncpg.Connection) -> None:
    """Never touches a schema of that name that is not ours."""
    comment = await connection.fetchval(
        "select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = $1",
        SCHEMA,
    )
    if comment not in (None, COMMENT):
        raise CannotRun(f"the schema {SCHEMA} is there and is not ours")
    try:
        async with connection.transaction():
            await connection.execute(f"drop schema if exists {SCHEMA} cascade")
            await connection.execute(_FIXTURE)
        tables = await connection.fetch(
            "select quote_ident(relname) from pg_class"
            " where relnamespace = $1::text::regnamespace and relkind = 'r'",
            SCHEMA,
        )
        for (table,) in tables:
            await connection.execute(f"analyze {SCHEMA}.{table}")
        await connection.execute("notify pgrst, 'reload schema'")
    except asyncpg.PostgresError as error:
        raise CannotRun(f"the fixture cannot be made: {error.sqlstate}") from None


async def _remove(connection: asyncpg.Connection) -> None:
    """Only what carries our comment."""
    ours = await connection.fetchval(
        "select obj_description(oid, 'pg_namespace') = $2 from pg_namespace where nspname = $1",
        SCHEMA,
        COMMENT,
    )
    if ours:
        await connection.execute(f"drop schema {SCHEMA} cascade")
        await connection.execute("notify pgrst, 'reload schema'")


async def _until_known(client: httpx.AsyncClient) -> None:
    """Until the server has read the schema again."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            response = await client.get("/place?limit=1")
        except httpx.TransportError as error:
            raise CannotRun(f"{client.base_url} does not answer: {type(error).__name__}") from None
        if response.status_code == 200:
            return
        if response.status_code == 401:
            raise CannotRun("the server wants an API key: give one with --apikey")
        if response.status_code == 406:
            raise CannotRun(f"the server does not expose the schema {SCHEMA}")
        if time.monotonic() > deadline:
            raise CannotRun(f"the server does not know the fixture: {response.status_code}")
        await asyncio.sleep(_POLL_SECONDS)


async def _try(client: httpx.AsyncClient, connection: asyncpg.Connection, case: Case) -> Difference:
    headers = dict(case.headers)
    if case.send is not None:
        headers.setdefault("Content-Type", "application/json")
    try:
        response = await client.request(
            case.method,
            case.path,
            headers=headers,
            content=None if case.send is None else case.send.encode(),
        )
        found = differences(case, response)
        if case.then is not None:
            after = await client.get(case.then)
            if not same_json(case.rows or "[]", after.text):
                found.append(f"afterwards {after.text!r}, expected {case.rows!r}")
    except httpx.TransportError as error:
        found = [f"no answer: {type(error).__name__}"]
    if case.write:
        await connection.execute(f"select {SCHEMA}.fill()")
    return Difference(case=case.id, found=tuple(found))
