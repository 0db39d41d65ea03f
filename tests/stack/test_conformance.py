"""The conformance runner against the stand-in: every case holds, and a server that differs is found out."""

import json
import subprocess
import sys
from typing import Any

import asyncpg
import httpx
import pytest

from runtime.settings import inherited_environment
from sandbox.conformance.case import load
from sandbox.conformance.runner import SCHEMA, CannotRun, run
from tests.standin_server import Standin

pytestmark = pytest.mark.stack


async def test_every_case_holds(standin: Standin) -> None:
    report = await run(
        load(),
        base_url=f"{standin.url}/rest/v1",
        dsn=standin.legacy.owner,
        apikey=standin.keys.publishable,
        allow_writes=True,
    )
    assert report.differences == ()
    assert (report.held, report.skipped) == (len(load()), 0)


async def test_nothing_is_left_behind(standin: Standin) -> None:
    await run(
        load()[:1],
        base_url=f"{standin.url}/rest/v1",
        dsn=standin.legacy.owner,
        apikey=standin.keys.publishable,
    )
    connection = await asyncpg.connect(standin.legacy.owner)
    try:
        assert not await connection.fetchval(
            "select exists (select from pg_namespace where nspname = $1)", SCHEMA
        )
    finally:
        await connection.close()


async def test_a_schema_that_is_not_ours_is_left_alone(standin: Standin) -> None:
    connection = await asyncpg.connect(standin.legacy.owner)
    try:
        await connection.execute(f"create schema {SCHEMA} create table kept (id int)")
        with pytest.raises(CannotRun, match="not ours"):
            await run(
                load()[:1],
                base_url=f"{standin.url}/rest/v1",
                dsn=standin.legacy.owner,
                apikey=standin.keys.publishable,
            )
        assert await connection.fetchval(f"select count(*) from {SCHEMA}.kept") == 0
    finally:
        await connection.execute(f"drop schema {SCHEMA} cascade")
        await connection.close()


def test_without_a_key_it_says_so(standin: Standin) -> None:
    done = conformance(standin, "--base-url", f"{standin.url}/rest/v1", apikey=None)
    assert done.returncode == 2
    assert "--apikey" in done.stderr


def test_reading_is_the_default_and_json_is_whole(standin: Standin) -> None:
    done = conformance(standin, "--base-url", f"{standin.url}/rest/v1", "--json")
    report: dict[str, Any] = json.loads(done.stdout)
    writes = sum(1 for case in load() if case.write)
    assert done.returncode == 0, report["differences"]
    assert report["differences"] == []
    assert report["skipped"] == writes > 0
    assert report["ran"] == report["held"] == len(load()) - writes
    assert "No real PostgREST was run" in report["note"]


def test_differences_are_named_and_end_with_1(standin: Standin) -> None:
    url = f"{standin.url}/rest/v1"
    httpx.put(f"{standin.url}/standin/faults", json=[{"path": "/rest/v1/kinds", "status": 500}])
    try:
        done = conformance(standin, "--base-url", url)
    finally:
        httpx.put(f"{standin.url}/standin/faults", json=[])
    assert done.returncode == 1
    assert "DIFFERS value.forms" in done.stdout
    assert "status 500, expected 200" in done.stdout


async def test_a_server_that_is_not_there_is_no_difference(standin: Standin) -> None:
    with pytest.raises(CannotRun, match="does not answer"):
        await run(load()[:1], base_url="http://127.0.0.1:1", dsn=standin.legacy.owner)


async def test_a_database_that_is_not_there_is_no_difference() -> None:
    with pytest.raises(CannotRun, match="database"):
        await run(load()[:1], base_url="http://127.0.0.1:1", dsn="postgresql://x@127.0.0.1:1/x")


def conformance(
    standin: Standin, *arguments: str, apikey: str | None = ""
) -> "subprocess.CompletedProcess[str]":
    """`banyan conformance`, as one types it."""
    given = [*arguments, "--dsn", standin.legacy.owner]
    if apikey is not None:
        given += ["--apikey", apikey or standin.keys.publishable]
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "conformance", *given],
        capture_output=True,
        text=True,
        timeout=60,
        env=inherited_environment(),
        check=False,
    )
