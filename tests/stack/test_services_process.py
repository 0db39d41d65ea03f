"""A service as a process: readiness, its description, how it starts and ends; and the schemas' migrations."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx
import pytest

from catalog.service import Service
from routes import operations
from runtime.jwks import KeySet
from runtime.settings import inherited_environment
from sandbox import ports
from sandbox.children import Command, start
from services.app import create_app
from services.migrate import expected_versions, folders, migrate, migrate_all
from services.operations import handlers
from tests.fakes.keys import key_setting
from tests.services_world import (
    CURSOR_KEY,
    INTERNAL_KEY,
    ISSUER,
    Issuer,
    ServicesDatabase,
    serve,
    settings_for,
)

pytestmark = pytest.mark.stack

Clients = Mapping[Service, httpx.AsyncClient]


@pytest.mark.parametrize("service", Service)
async def test_a_service_that_has_everything_is_ready(service: Service, clients: Clients) -> None:
    alive = await clients[service].get("/healthz")
    ready = await clients[service].get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "checks": {"database": "ok", "migrations": "ok", "keys": "ok"},
    }


async def test_a_schema_behind_the_code_is_not_ready(
    own_services: ServicesDatabase, issuer: Issuer
) -> None:
    owner = await asyncpg.connect(own_services.owner)
    async with AsyncExitStack() as stack:
        client = await serve(stack, Service.FINANCE, own_services, issuer)
        await owner.execute("delete from finance.schema_migrations where version = '0101'")
        behind = await client.get("/readyz")
        await owner.execute("drop table finance.schema_migrations")
        missing = await client.get("/readyz")
    await owner.close()
    for response, word in ((behind, "behind"), (missing, "missing")):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json()["checks"] == {"database": "ok", "migrations": word, "keys": "ok"}


async def test_without_keys_it_is_not_ready_and_lets_nobody_in(
    services_database: ServicesDatabase, issuer: Issuer
) -> None:
    async def fetch() -> bytes:
        raise OSError

    settings = settings_for(services_database.service)
    app = create_app(Service.FINANCE, settings, keys=KeySet(fetch))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://finance"
        ) as client,
    ):
        ready = await client.get("/readyz")
        listed = await client.get("/v2/partner/payouts", headers=issuer.headers("admin"))
    assert (ready.status_code, ready.json()["checks"]["keys"]) == (503, "missing")
    assert (listed.status_code, listed.json()["code"]) == (503, "upstream_unreachable")
    assert listed.headers["retry-after"] == "1"


@pytest.mark.parametrize("service", Service)
async def test_it_describes_its_own_resources(service: Service, clients: Clients) -> None:
    response = await clients[service].get("/openapi.json")
    document = response.json()
    assert document["info"]["title"] == service.label
    assert document["paths"]
    without_handler = {f"{one.method} {one.pattern}" for one in operations()} - {
        name.replace(" ", " /v2", 1) for name in handlers(service)
    }
    for path, methods in document["paths"].items():
        for method in methods.keys() - {"parameters"}:
            if f"{method.upper().replace('HEAD', 'GET')} {path}" not in without_handler:
                found = await clients[service].request(method, path.replace("{id}", "x"))
                assert found.status_code == 401, (method, path)


# --- the real process


def environment(database: str, **more: str) -> dict[str, str]:
    return {
        **inherited_environment(),
        "PROFILE": "sandbox",
        "SERVICES_DATABASE_URL": database,
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_HS256_SECRET": "s" * 32,
        "CURSOR_KEY": CURSOR_KEY,
        "INTERNAL_TOKEN_KEY": INTERNAL_KEY,
        "FIELD_KEYS": key_setting("f1"),
        "EVIDENCE_KEYS": key_setting("e1"),
        **more,
    }


def test_it_starts_serves_and_ends_on_sigterm(
    services_database: ServicesDatabase, tmp_path: Path
) -> None:
    port = ports.free()
    command = Command(
        name="finance",
        argv=(sys.executable, "-m", "services", "finance", "--port", str(port)),
        log=tmp_path / "finance.log",
        environment=environment(services_database.service),
    )
    child = start(command)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        def is_ready() -> bool:
            try:
                return client.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        child.wait(is_ready, within=60)
        refused = client.get("/v2/partner/payouts?remittance_reference=Planted")
        assert refused.status_code == 401
        # The stock server would answer HEAD with the headers of an empty body.
        head = client.head("/openapi.json")
        assert int(head.headers["content-length"]) > 1000
        assert "server" not in head.headers
    child.process.send_signal(signal.SIGTERM)
    child.process.wait(20)
    lines = [json.loads(line) for line in command.log.read_text(encoding="utf-8").splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert requests[-2]["route"] == "/v2/partner/payouts"
    assert requests[-2]["process"] == "finance"
    assert "Planted" not in command.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", ["SERVICES_DATABASE_URL", "CURSOR_KEY", "TOKEN_ISSUER"])
def test_it_says_which_setting_is_missing(missing: str, tmp_path: Path) -> None:
    command = Command(
        name="finance",
        argv=(sys.executable, "-m", "services", "finance", "--port", "0"),
        log=tmp_path / "finance.log",
        environment={
            name: value
            for name, value in environment("postgresql://nobody@127.0.0.1:1/x").items()
            if name != missing
        },
    )
    assert start(command).process.wait(60) == 2
    assert missing in command.log.read_text(encoding="utf-8")


# --- migrations


def test_migrations_run_once_and_in_any_number_of_databases(
    new_database: Callable[[], str],
) -> None:
    first, second = new_database(), new_database()
    ran = asyncio.run(migrate_all(first))
    assert {service: len(files) for service, files in ran.items()} == {
        service: len(expected_versions(service)) for service in Service
    }
    assert set(map(tuple, asyncio.run(migrate_all(first)).values())) == {()}
    # Roles belong to the cluster: they are there already.
    assert asyncio.run(migrate_all(second)) == ran


async def test_one_service_alone_needs_no_other_schema(empty_dsn: str) -> None:
    """In production each has a database of its own."""
    await migrate(Service.DIAGNOSTICS, empty_dsn)
    connection = await asyncpg.connect(empty_dsn)
    schemas = await connection.fetch(
        "select nspname from pg_namespace where nspname = any($1)", [str(s) for s in Service]
    )
    await connection.close()
    assert [row["nspname"] for row in schemas] == ["diagnostics"]


def test_python_m_services_migrate_migrates(empty_dsn: str, tmp_path: Path) -> None:
    for expected in (True, False):
        command = Command(
            name="migrate",
            argv=(sys.executable, "-m", "services.migrate"),
            log=tmp_path / f"migrate-{expected}.log",
            environment=environment(empty_dsn),
        )
        assert start(command).process.wait(60) == 0
        log = command.log.read_text(encoding="utf-8") if command.log.exists() else ""
        assert ("0101_payout.sql" in log) is expected


@pytest.mark.parametrize("service", Service)
def test_migration_numbers_never_meet(service: Service) -> None:
    files = [path for folder in folders(service) for path in sorted(folder.glob("*.sql"))]
    numbers = [path.name.partition("_")[0] for path in files]
    assert numbers == sorted(set(numbers))
    own = [path.parent.name == "migrations" for path in files]
    assert own == [number > "0100" for number in numbers]
