"""Writes through the services of a database of the test's own: who sends what, and what became of it."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from catalog.service import Service
from tests.services_world import Issuer, ServicesDatabase, serve

CLINICIAN, PATIENT, PARTNER, COMPLIANCE, FINANCE = (
    "clinician", "patient", "partner", "compliance", "finance",
)  # fmt: skip


class World:
    """The services over a database of the test's own."""

    def __init__(
        self, clients: dict[Service, httpx.AsyncClient], owner: asyncpg.Connection, issuer: Issuer
    ) -> None:
        self.clients = clients
        self.owner = owner
        self.issuer = issuer

    async def send(
        self,
        service: Service,
        method: str,
        path: str,
        user: str = CLINICIAN,
        *,
        body: Any = None,
        key: str | None = None,
        **headers: str,
    ) -> httpx.Response:
        found = {
            **self.issuer.headers(user),
            **{n.replace("_", "-"): v for n, v in headers.items()},
        }
        if key is not None:
            found["idempotency-key"] = f'"{key}"'
        content = None
        if body is not None:
            found.setdefault("content-type", "application/json")
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.clients[service].request(
            method, f"/v2{path}", content=content, headers=found
        )

    async def submission(self) -> str:
        """One that the services' projections know."""
        found = await self.owner.fetchval(
            "select submission_id from diagnostics.subject_access limit 1"
        )
        return str(found)

    async def order(self, **members: Any) -> httpx.Response:
        body = {"submission_id": await self.submission(), "test_code": "HBA1C", **members}
        return await self.send(
            Service.DIAGNOSTICS, "POST", "/lab-orders", body=body, key=str(uuid4())
        )


@pytest.fixture
async def writable(own_services: ServicesDatabase, issuer: Issuer) -> AsyncIterator[World]:
    owner = await asyncpg.connect(own_services.owner)
    for schema, entity, column in (
        ("diagnostics", "lab_orders", "order_number"),
        ("diagnostics", "lab_order_events", "id"),
        ("partner_ops", "partner_label_queue", "id"),
        ("compliance", "partner_temperature_logs", "id"),
    ):
        await owner.execute(f"select {schema}.add_ids('{entity}', '{column}', 1000001, 1000500)")
    async with AsyncExitStack() as stack:
        clients = {
            service: await serve(stack, service, own_services, issuer) for service in Service
        }
        yield World(clients, owner, issuer)
    await owner.close()


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def fields(response: httpx.Response) -> dict[str, str]:
    return {one["field"]: one["code"] for one in response.json()["errors"]}


async def outbox(world: World, schema: str, entity: str) -> list[asyncpg.Record]:
    return list(
        await world.owner.fetch(
            f"select event_type, key, correlation_id, row_version from {schema}.outbox"
            " where entity = $1 order by id",
            entity,
        )
    )
