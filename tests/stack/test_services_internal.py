"""What the gateway alone may ask of a service: which keys it knows, and a page together with that."""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import pytest

from catalog import assets
from catalog.service import Service
from routes import resources
from routes.query import parse_list
from runtime.identity import Identity
from runtime.internal_token import HEADER, InternalTokens
from runtime.postgres import create_pool
from services.snapshot import snapshot
from tests.services_world import (
    CURSOR_KEY,
    INTERNAL_KEY,
    Issuer,
    ServicesDatabase,
    gateway_headers,
    serve,
)

pytestmark = pytest.mark.stack

Clients = Mapping[Service, httpx.AsyncClient]

TOP = {resource.path: resource for resource in resources() if not resource.nested}
NOBODY = "ffffffff-ffff-4fff-bfff-ffffffffffff"


async def keys_of(database: ServicesDatabase, entity: str) -> list[list[str]]:
    asset = assets()[entity]
    names = ", ".join(f"{name}::text" for name in asset.key)
    connection = await asyncpg.connect(database.apply)
    rows = await connection.fetch(
        f"select {names} from {asset.service}.{asset.target} order by {names}"
    )
    await connection.close()
    return [list(row.values()) for row in rows]


def strange_key(entity: str) -> list[str]:
    columns = assets()[entity].key_columns
    return ["9223372036854775807" if column.type == "bigint" else NOBODY for column in columns]


# --- which keys are known


@pytest.mark.parametrize("entity", assets())
async def test_known_are_the_keys_that_are_there_in_the_order_asked(
    entity: str, clients: Clients, services_database: ServicesDatabase
) -> None:
    service = assets()[entity].service
    keys = (await keys_of(services_database, entity))[:900]
    strange = strange_key(entity)
    asked = [strange, *reversed(keys), strange, keys[0]]
    response = await clients[service].post(
        "/internal/known",
        headers=gateway_headers(service),
        json={"entity": entity, "keys": asked},
    )
    assert response.status_code == 200
    assert response.json() == {"known": [key != strange for key in asked]}
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "entity", ["compliance_tasks", "partner_stock_levels", "partner_label_queue"]
)
async def test_a_deleted_key_is_known(
    entity: str, own_services: ServicesDatabase, issuer: Issuer
) -> None:
    asset = assets()[entity]
    table = f"{asset.service}.{asset.target}"
    gone, kept = (await keys_of(own_services, entity))[:2]
    key = ", ".join(f"'{name}', {name}" for name in asset.key)
    there = " and ".join(f"{name}::text = ${n}" for n, name in enumerate(asset.key, 1))
    owner = await asyncpg.connect(own_services.owner)
    await owner.execute(
        f"insert into {asset.service}.tombstones (entity, key, updated_at, origin, row_version)"
        f" select '{entity}', jsonb_build_object({key}), now(), 'service', 2 from {table} where {there}",
        *gone,
    )
    assert await owner.execute(f"delete from {table} where {there}", *gone) == "DELETE 1"
    await owner.close()
    async with AsyncExitStack() as stack:
        client = await serve(stack, asset.service, own_services, issuer)
        response = await client.post(
            "/internal/known",
            headers=gateway_headers(asset.service),
            json={"entity": entity, "keys": [gone, kept, strange_key(entity)]},
        )
    assert response.json() == {"known": [True, True, False]}


# --- a page and what is known, from one snapshot


@pytest.mark.parametrize("path", TOP)
@pytest.mark.parametrize("user", ["admin", "patient", "partner"])
async def test_a_page_is_what_get_answers_and_what_is_known_beside_it(
    user: str,
    path: str,
    clients: Clients,
    issuer: Issuer,
    services_database: ServicesDatabase,
) -> None:
    resource = TOP[path]
    client = clients[resource.service]
    keys = [strange_key(resource.entity), *(await keys_of(services_database, resource.entity))[:5]]
    headers = issuer.headers(user, prefer="count=exact")
    for query in ("", "limit=3", "limit=200&created_at[lt]=2024-06-01T00:00:00Z"):
        get = await client.get(f"{resource.collection_path}?{query}".rstrip("?"), headers=headers)
        asked = {"path": resource.collection_path, "query": query, "keys": keys}
        page = await client.post(
            "/internal/page", headers={**headers, **gateway_headers(resource.service)}, json=asked
        )
        assert (page.status_code, get.status_code) == (200, 200)
        assert page.json() == {**get.json(), "known": [False] + [True] * 5}
        assert page.headers["preference-applied"] == "count=exact"
        # Not only equal as JSON: the same bytes of rows.
        assert page.text.partition('"next"')[0] == get.text.partition('"next"')[0]


async def test_events_have_pages_too(clients: Clients, issuer: Issuer) -> None:
    client = clients[Service.DIAGNOSTICS]
    headers = issuer.headers("admin")
    order = (await client.get("/v2/lab-orders?limit=1", headers=headers)).json()["items"][0]["id"]
    path = f"/v2/lab-orders/{order}/events"
    events = (await client.get(path, headers=headers)).json()
    page = await client.post(
        "/internal/page",
        headers={**headers, **gateway_headers(Service.DIAGNOSTICS)},
        json={"path": path, "query": "", "keys": [[str(events["items"][0]["id"])], ["1"]]},
    )
    assert page.json() == {**events, "known": [True, False]}


async def test_page_and_known_are_of_one_instant(own_services: ServicesDatabase) -> None:
    """A row that is copied between the two questions is in neither answer, else it would be missing or doubled."""
    resource = TOP["/partner/payouts"]
    admin = Identity(sub="00000002-0000-4000-8000-00000000000d", app_role="admin")
    query = parse_list(
        resource, b"limit=200", staff=True, parent=None, cursor_key=CURSOR_KEY.encode()
    )
    pool = await create_pool(own_services.service, name="test")
    writer = await asyncpg.connect(own_services.apply)
    async with snapshot(pool, Service.FINANCE, wait=1) as view:
        before = await view.page(query, admin, count=True)
        await writer.execute(
            "insert into finance.payout (id, partner_id, period_start, period_end, gross_minor, fee_minor, currency, status,"
            " lines, created_at, updated_at, row_version, origin)"
            " values ($1::text::uuid, gen_random_uuid(), '2030-01-01', '2030-01-31', 1, 0, 'GBP', 'draft', '[]', now(), now(), 1, 'legacy')",
            NOBODY,
        )
        assert await view.known(resource.asset, [(NOBODY,)]) == [False]
        assert await view.page(query, admin, count=True) == before
    async with snapshot(pool, Service.FINANCE, wait=1) as view:
        after = await view.page(query, admin, count=True)
        assert await view.known(resource.asset, [(NOBODY,)]) == [True]
    await writer.close()
    await pool.close()
    assert before.total is not None
    assert after.total == before.total + 1


# --- who may ask, and what


async def test_to_everybody_else_the_routes_do_not_exist(clients: Clients, issuer: Issuer) -> None:
    client = clients[Service.DIAGNOSTICS]
    headers = issuer.headers("admin", **{"x-correlation-id": "fixed-correlation"})
    nothing = await client.post("/internal/nothing", headers=headers)
    assert (nothing.status_code, nothing.json()["code"]) == (404, "no_such_route")
    other = InternalTokens("another-key-of-the-same-length-" + "x" * 16)
    proofs: dict[str, dict[str, str]] = {
        "none": {},
        "empty": {HEADER.decode(): ""},
        "another service's": gateway_headers(Service.INTAKE),
        "another key's": {HEADER.decode(): other.mint(Service.DIAGNOSTICS).decode()},
        "the user's": {HEADER.decode(): headers["authorization"].removeprefix("Bearer ")},
        "old": {
            HEADER.decode(): InternalTokens(INTERNAL_KEY, clock=lambda: 1_600_000_000)
            .mint(Service.DIAGNOSTICS)
            .decode()
        },
    }
    asked: dict[str, Any] = {
        "/internal/known": {"entity": "lab_orders", "keys": [[NOBODY]]},
        "/internal/page": {"path": "/v2/lab-orders", "query": "", "keys": []},
    }
    for name, proof in proofs.items():
        for path, body in asked.items():
            for method in ("POST", "GET", "DELETE"):
                response = await client.request(
                    method, path, headers={**headers, **proof}, json=body
                )
                assert (response.status_code, response.content) == (404, nothing.content), name
                assert response.headers == nothing.headers, name


async def test_a_page_needs_the_user_s_own_token_as_well(clients: Clients) -> None:
    response = await clients[Service.DIAGNOSTICS].post(
        "/internal/page",
        headers=gateway_headers(Service.DIAGNOSTICS),
        json={"path": "/v2/lab-orders", "query": "", "keys": []},
    )
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


KNOWN = "/internal/known"
PAGE = "/internal/page"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (KNOWN, b"", 400, "malformed"),
        (KNOWN, b"[]", 400, "malformed"),
        (KNOWN, b'{"entity": "lab_orders"}', 400, "malformed"),
        (KNOWN, b'{"entity": "lab_orders", "keys": [], "more": 1}', 400, "malformed"),
        (KNOWN, b'{"entity": "submissions", "keys": []}', 400, "malformed"),
        (KNOWN, b'{"entity": "nothing", "keys": []}', 400, "malformed"),
        (KNOWN, b'{"entity": "lab_orders", "keys": [[1]]}', 400, "malformed"),
        (KNOWN, b'{"entity": "lab_orders", "keys": [["1"]]}', 400, "invalid_key"),
        (KNOWN, b'{"entity": "lab_orders", "keys": [[]]}', 400, "invalid_key"),
        (KNOWN, b'{"entity": "lab_order_events", "keys": [["1", "2"]]}', 400, "invalid_key"),
        (
            KNOWN,
            json.dumps({"entity": "lab_orders", "keys": [[NOBODY]] * 1001}).encode(),
            400,
            "malformed",
        ),
        (KNOWN, b" " * (1024 * 1024 + 1), 413, "too_large"),
        (PAGE, b'{"path": "/v2/submissions", "query": "", "keys": []}', 404, "no_such_route"),
        (PAGE, b'{"path": "/v2/lab-orders/x", "query": "", "keys": []}', 404, "no_such_route"),
        (PAGE, b'{"path": "/internal/page", "query": "", "keys": []}', 404, "no_such_route"),
        (PAGE, b'{"path": "/v2/lab-orders", "query": "a=b", "keys": []}', 400, "invalid_query"),
        (PAGE, b'{"path": "/v2/lab-orders", "query": "", "keys": [["1"]]}', 400, "invalid_key"),
        ("/internal/other", b"{}", 404, "no_such_route"),
    ],
)
async def test_bad_questions_are_refused(
    path: str, body: bytes, status: int, code: str, clients: Clients, issuer: Issuer
) -> None:
    headers = {**issuer.headers("admin"), **gateway_headers(Service.DIAGNOSTICS)}
    response = await clients[Service.DIAGNOSTICS].post(path, headers=headers, content=body)
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_the_gateway_must_post(clients: Clients) -> None:
    response = await clients[Service.DIAGNOSTICS].get(
        KNOWN, headers=gateway_headers(Service.DIAGNOSTICS)
    )
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_no_keys_are_no_question(clients: Clients) -> None:
    response = await clients[Service.DIAGNOSTICS].post(
        KNOWN,
        headers=gateway_headers(Service.DIAGNOSTICS),
        json={"entity": "lab_orders", "keys": []},
    )
    assert response.json() == {"known": []}


async def test_odd_texts_in_keys(own_services: ServicesDatabase, issuer: Issuer) -> None:
    odd = ["a~b", "%2F", "'; --", "ключ", " ", '"', "\\", "a\u0301"]
    owner = await asyncpg.connect(own_services.owner)
    await owner.executemany(
        "insert into partner_ops.stock_level (partner_id, site_code, sku, on_hand, reserved, created_at, updated_at, row_version, origin)"
        " values ($1::text::uuid, $2, $2, 0, 0, now(), now(), 1, 'legacy')",
        [(NOBODY, text) for text in odd],
    )
    await owner.close()
    keys = [[NOBODY, text, text] for text in odd] + [[NOBODY, "á", "á"], [NOBODY, "a~", "b"]]
    async with AsyncExitStack() as stack:
        client = await serve(stack, Service.PARTNER_OPS, own_services, issuer)
        response = await client.post(
            KNOWN,
            headers=gateway_headers(Service.PARTNER_OPS),
            json={"entity": "partner_stock_levels", "keys": keys},
        )
    assert response.json() == {"known": [True] * len(odd) + [False, False]}
