"""Fixtures over the services: their database filled by a copy from a seeded legacy, and an app per service in process.

Tokens are signed by a key of the test run's own; apps get the matching key set instead of fetching one.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from catalog.service import Service
from migration.copy import TableCopy, copy_all
from runtime.identity import Identity, row_claims
from runtime.internal_token import HEADER, InternalTokens
from runtime.jwks import KeySet
from runtime.settings import Settings
from sandbox.engines import postgres
from sandbox.engines.postgres import Cluster
from sandbox.legacy.load import OWNER, Legacy
from sandbox.seed.hours import load_hours
from sandbox.seed.people import CLINICIANS, PARTNER_A, PATIENTS, PEOPLE
from services.app import create_app
from services.migrate import migrate_all
from tests.fakes.keys import key_setting

ISSUER = "https://project.supabase.example/auth/v1"
CURSOR_KEY = "cursor-key-of-the-tests-" + "c" * 16
INTERNAL_KEY = "internal-key-of-the-tests-" + "i" * 16


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody who calls: a sample person, or one whose claims are unusual."""

    name: str
    sub: str
    app_metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def claims(self) -> dict[str, Any]:
        return {"sub": self.sub, "role": "authenticated", "app_metadata": dict(self.app_metadata)}

    @property
    def row_claims(self) -> str:
        words = {name: self.app_metadata.get(name, "") for name in ("app_role", "partner_id")}
        return row_claims(Identity(sub=self.sub, **words))


SAMPLES = tuple(
    User(name=person.name, sub=str(person.id), app_metadata=person.app_metadata)
    for person in PEOPLE
)
UNUSUAL = (
    User(name="clinician-without-role", sub=str(CLINICIANS[0].id)),
    User(name="patient-without-role", sub=str(PATIENTS[0].id)),
    User(
        name="clinician-of-a-partner",
        sub=str(CLINICIANS[1].id),
        app_metadata={"app_role": "partner", "partner_id": str(PARTNER_A)},
    ),
    User(
        name="partner-without-partner",
        sub="00000003-0000-4000-8000-0000000000ff",
        app_metadata={"app_role": "partner"},
    ),
    User(
        name="unknown-role",
        sub=str(PATIENTS[1].id),
        app_metadata={"app_role": "Admin", "partner_id": ""},
    ),
    User(name="stranger", sub="0000000f-0000-4000-8000-00000000000f"),
)
USERS = {user.name: user for user in (*SAMPLES, *UNUSUAL)}


class Issuer:
    """Signs tokens and serves the key set."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        self._document = json.dumps(
            {"keys": [{**public, "kid": "k1", "alg": "ES256", "use": "sig"}]}
        ).encode()

    def keys(self) -> KeySet:
        async def fetch() -> bytes:
            return self._document

        return KeySet(fetch)

    def token(self, user: User, **claims: Any) -> str:
        now = int(time.time())
        standard = {"iss": ISSUER, "aud": "authenticated", "iat": now, "exp": now + 3600}
        return jwt.encode(
            {**user.claims, **standard, **claims}, self._key, "ES256", headers={"kid": "k1"}
        )

    def headers(self, user: str, **headers: str) -> dict[str, str]:
        """Request headers of a user, by name."""
        return {"authorization": f"Bearer {self.token(USERS[user])}", **headers}


@dataclass(frozen=True, kw_only=True)
class ServicesDatabase:
    """DSNs of one services database, by role."""

    cluster: Cluster
    database: str
    copied: tuple[TableCopy, ...] = ()

    @property
    def owner(self) -> str:
        return self.cluster.dsn(self.database, OWNER)

    @property
    def service(self) -> str:
        return self.cluster.dsn(self.database, "banyan_service")

    @property
    def apply(self) -> str:
        return self.cluster.dsn(self.database, "banyan_apply")


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="session")
def source(cluster: Cluster, legacy_template: str) -> Iterator[Legacy]:
    """The seeded legacy database that the services below are copied from; only read it."""
    name = "services_source"
    asyncio.run(postgres.create_database(cluster, name, owner=OWNER, template=legacy_template))
    yield Legacy(cluster=cluster, database=name)
    asyncio.run(postgres.drop_database(cluster, name))


@pytest.fixture(scope="session")
def services_template(cluster: Cluster, source: Legacy) -> ServicesDatabase:
    """A services database, migrated and filled; copy it, never connect to it."""

    async def build() -> tuple[TableCopy, ...]:
        owner = await postgres.create_database(cluster, database, owner=OWNER)
        await migrate_all(owner)
        await load_hours(owner)
        return tuple(await copy_all(source.worker, cluster.dsn(database, "banyan_apply")))

    database = "services_template"
    return ServicesDatabase(cluster=cluster, database=database, copied=asyncio.run(build()))


@pytest.fixture(scope="session")
def services_database(services_template: ServicesDatabase) -> Iterator[ServicesDatabase]:
    """The services' rows, shared by all tests; only read them."""
    yield from _copy(services_template, "services_shared")


@pytest.fixture
def own_services(services_template: ServicesDatabase) -> Iterator[ServicesDatabase]:
    """The services' rows, for one test: write what you like."""
    yield from _copy(services_template, "services_own")


def _copy(template: ServicesDatabase, name: str) -> Iterator[ServicesDatabase]:
    cluster = template.cluster
    asyncio.run(postgres.create_database(cluster, name, owner=OWNER, template=template.database))
    yield ServicesDatabase(cluster=cluster, database=name, copied=template.copied)
    asyncio.run(postgres.drop_database(cluster, name))


def settings_for(database: str, **changes: Any) -> Settings:
    """Settings of a service process over this DSN."""
    values: dict[str, Any] = {
        "profile": "sandbox",
        "services_database_url": database,
        "token_issuer": ISSUER,
        "cursor_key": CURSOR_KEY,
        "internal_token_key": INTERNAL_KEY,
        "field_keys": key_setting("f1"),
        "evidence_keys": key_setting("e1"),
        "object_store_url": "memory:///",
        "vendor_keys": key_setting("acme", "other"),
    }
    return Settings(**{**values, **changes})


def gateway_headers(service: Service) -> dict[str, str]:
    """By which the gateway proves itself to a service."""
    return {HEADER.decode(): InternalTokens(INTERNAL_KEY).mint(service).decode()}


Client = httpx.AsyncClient


@pytest.fixture(scope="session")
async def clients(
    services_database: ServicesDatabase, issuer: Issuer
) -> AsyncIterator[Mapping[Service, Client]]:
    """A client per service over the shared database."""
    async with AsyncExitStack() as stack:
        yield {
            service: await serve(stack, service, services_database, issuer) for service in Service
        }


async def serve(
    stack: AsyncExitStack,
    service: Service,
    database: ServicesDatabase,
    issuer: Issuer,
    **changes: Any,
) -> Client:
    """A client of a service that runs in this process until the stack closes."""
    app = create_app(service, settings_for(database.service, **changes), keys=issuer.keys())
    await stack.enter_async_context(app.router.lifespan_context(app))
    transport = httpx.ASGITransport(app=app)
    return await stack.enter_async_context(
        httpx.AsyncClient(transport=transport, base_url=f"http://{service}")
    )


async def as_legacy_user(connection: asyncpg.Connection, user: User) -> None:
    """Inside a transaction: what the REST interface of legacy does for a caller."""
    await connection.execute(
        "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)",
        json.dumps(user.claims),
    )


async def as_service_user(connection: asyncpg.Connection, service: Service, user: User) -> None:
    """Inside a transaction: what a service does for a caller."""
    await connection.execute(
        "select set_config('role', $1, true), set_config('banyan.caller', $2, true)",
        f"banyan_{service}",
        user.row_claims,
    )
