"""Items of the services, who may ask, and what every answer carries."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog

from catalog.asset import Kind
from catalog.service import Service
from routes import resources
from routes.key import write_key
from routes.resource import Resource
from runtime.tasks import spawn
from sandbox.children import start
from sandbox.engines import postgres
from services.migrate import migrate
from tests.services_world import (
    ISSUER,
    USERS,
    Issuer,
    ServicesDatabase,
    gateway_headers,
    serve,
)

pytestmark = pytest.mark.stack

Clients = Mapping[Service, httpx.AsyncClient]

TOP = {resource.path: resource for resource in resources() if not resource.nested}


async def rows(clients: Clients, issuer: Issuer, resource: Resource, user: str) -> list[Any]:
    response = await clients[resource.service].get(
        f"{resource.collection_path}?limit=200", headers=issuer.headers(user)
    )
    return json.loads(response.text)["items"]  # type: ignore[no-any-return]


def path_of(resource: Resource, row: Mapping[str, Any]) -> str:
    key = tuple(str(row[name]) for name in resource.asset.key)
    return f"{resource.collection_path}/{write_key(key)}"


@pytest.mark.parametrize("path", TOP)
async def test_an_item_is_the_row_of_the_list(path: str, clients: Clients, issuer: Issuer) -> None:
    resource = TOP[path]
    for row in (await rows(clients, issuer, resource, "admin"))[:30]:
        if any("/" in str(row[name]) for name in resource.asset.key):
            continue
        response = await clients[resource.service].get(
            path_of(resource, row), headers=issuer.headers("admin")
        )
        assert response.status_code == 200, path_of(resource, row)
        assert response.json() == row
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", TOP)
async def test_entity_tag_is_the_version_and_spares_the_body(
    path: str, clients: Clients, issuer: Issuer, services_database: ServicesDatabase
) -> None:
    resource = TOP[path]
    asset = resource.asset
    row = (await rows(clients, issuer, resource, "admin"))[0]
    stamp = "updated_at" if asset.kind is Kind.VERSIONED else "created_at"
    connection = await asyncpg.connect(services_database.apply)
    micros = await connection.fetchval(
        f"select (extract(epoch from '{row[stamp]}'::timestamptz) * 1000000)::bigint"
    )
    await connection.close()
    client, target = clients[resource.service], path_of(resource, row)
    response = await client.get(target, headers=issuer.headers("admin"))
    tag = response.headers["etag"]
    assert tag == f'"{micros}.legacy"'
    for given in (tag, f"W/{tag}", f'"0.service", {tag}', "*"):
        headers = issuer.headers("admin", **{"if-none-match": given})
        spared = await client.get(target, headers=headers)
        assert (spared.status_code, spared.content, spared.headers["etag"]) == (304, b"", tag)
    headers = issuer.headers("admin", **{"if-none-match": '"0.service"'})
    assert (await client.get(target, headers=headers)).status_code == 200


async def test_entity_tag_changes_with_the_side_that_wrote(
    own_services: ServicesDatabase, issuer: Issuer
) -> None:
    applier = await asyncpg.connect(own_services.apply)
    async with AsyncExitStack() as stack:
        client = await serve(stack, Service.FINANCE, own_services, issuer)
        listed = await client.get("/v2/partner/payouts?limit=1", headers=issuer.headers("finance"))
        target = f"/v2/partner/payouts/{listed.json()['items'][0]['id']}"
        before = (await client.get(target, headers=issuer.headers("finance"))).headers["etag"]
        await applier.execute("update finance.payout set origin = 'service'")
        after = (await client.get(target, headers=issuer.headers("finance"))).headers["etag"]
    await applier.close()
    assert after == before.replace("legacy", "service")


@pytest.mark.parametrize("path", TOP)
async def test_head_is_get_without_its_body(path: str, clients: Clients, issuer: Issuer) -> None:
    resource = TOP[path]
    client = clients[resource.service]
    row = (await rows(clients, issuer, resource, "admin"))[0]
    headers = issuer.headers("admin", **{"x-correlation-id": "fixed-correlation"})
    for target in (f"{resource.collection_path}?limit=3", path_of(resource, row)):
        get = await client.get(target, headers=headers)
        head = await client.head(target, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers == get.headers
        assert int(head.headers["content-length"]) == len(get.content) > 0


@pytest.mark.parametrize("user", ["patient", "clinician", "partner", "finance", "stranger"])
async def test_what_is_not_yours_looks_like_what_is_not_there(
    user: str, clients: Clients, issuer: Issuer
) -> None:
    hidden = 0
    for resource in TOP.values():
        mine = {
            json.dumps(row, sort_keys=True) for row in await rows(clients, issuer, resource, user)
        }
        visible = {path_of(resource, json.loads(row)) for row in mine}
        client = clients[resource.service]
        nothing = await client.get(
            path_of(resource, dict.fromkeys(resource.asset.key, absent(resource))),
            headers=issuer.headers(user, **{"x-correlation-id": "fixed-correlation"}),
        )
        assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")
        for row in await rows(clients, issuer, resource, "admin"):
            target = path_of(resource, row)
            if target in visible or "%2F" in target:
                continue
            hidden += 1
            response = await client.get(
                target, headers=issuer.headers(user, **{"x-correlation-id": "fixed-correlation"})
            )
            assert (response.status_code, response.content) == (404, nothing.content)
            assert response.headers == nothing.headers
            break
    assert hidden >= 3


def absent(resource: Resource) -> str:
    return (
        "9223372036854775807"
        if resource.asset.key_columns[0].type == "bigint"
        else ("ffffffff-ffff-4fff-bfff-ffffffffffff")
    )


# --- the way in


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/v2/lab-orders/1", 400, "invalid_key"),
        ("GET", "/v2/lab-orders/1/events", 400, "invalid_key"),
        ("GET", "/v2/lab-orders/%FF", 400, "invalid_key"),
        (
            "GET",
            "/v2/lab-orders/00000000-0000-4000-8000-000000000000?limit=1",
            400,
            "invalid_query",
        ),
        ("GET", "/v2/lab-orders/", 404, "no_such_route"),
        ("GET", "/v2/Lab-Orders", 404, "no_such_route"),
        ("GET", "/V2/lab-orders", 404, "no_such_route"),
        ("GET", "/v2/lab%2Dorders", 404, "no_such_route"),
        ("GET", "/v2//lab-orders", 404, "no_such_route"),
        ("GET", "/v2", 404, "no_such_route"),
        ("GET", "/", 404, "no_such_route"),
        ("GET", "/docs", 404, "no_such_route"),
        ("GET", "/v2/submissions", 404, "no_such_route"),
        ("OPTIONS", "/v2/lab-orders", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ],
)
async def test_refusals_are_problems(
    method: str, target: str, status: int, code: str, clients: Clients, issuer: Issuer
) -> None:
    response = await clients[Service.DIAGNOSTICS].request(
        method, target, headers=issuer.headers("admin")
    )
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["correlation_id"] == response.headers["x-correlation-id"]
    assert ("allow" in response.headers) == (status == 405)
    if code == "invalid_key":
        assert response.json()["errors"][0]["field"] == "key"


def bad_tokens(issuer: Issuer) -> dict[str, dict[str, str]]:
    patient = USERS["patient"]
    good = issuer.token(patient)

    def bearer(token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}

    return {
        "none": {},
        "empty": {"authorization": ""},
        "basic": {"authorization": f"Basic {good}"},
        "no token": {"authorization": "Bearer "},
        "garbage": bearer("abc.def.ghi"),
        "cut": bearer(good[:-5]),
        "expired": bearer(issuer.token(patient, exp=1_600_000_000, iat=1_599_999_000)),
        "other issuer": bearer(issuer.token(patient, iss=ISSUER + "/")),
        "other audience": bearer(issuer.token(patient, aud="anon")),
        "service key": bearer(issuer.token(patient, role="service_role")),
        "without an account": bearer(issuer.token(patient, is_anonymous=True)),
        "other key": bearer(Issuer().token(patient)),
        "only headers": {"x-user-id": patient.sub, "x-role": "admin"},
        "the gateway's own": gateway_headers(Service.DIAGNOSTICS),
    }


async def test_without_a_good_token_nobody_is_let_in(clients: Clients, issuer: Issuer) -> None:
    client = clients[Service.DIAGNOSTICS]
    for name, headers in bad_tokens(issuer).items():
        response = await client.get(
            "/v2/lab-orders?nonsense=1",
            headers={**headers, "x-correlation-id": "fixed-correlation"},
        )
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated"), name
        assert response.headers["www-authenticate"] == "Bearer"


async def test_two_tokens_are_none(clients: Clients, issuer: Issuer) -> None:
    header = ("authorization", f"Bearer {issuer.token(USERS['admin'])}")
    response = await clients[Service.DIAGNOSTICS].get("/v2/lab-orders", headers=[header, header])
    assert (response.status_code, response.json()["code"]) == (400, "malformed")


async def test_the_body_of_a_get_is_ignored(clients: Clients, issuer: Issuer) -> None:
    response = await clients[Service.DIAGNOSTICS].request(
        "GET", "/v2/lab-orders?limit=1", headers=issuer.headers("admin"), content=b'{"limit": 0'
    )
    assert response.status_code == 200


async def test_a_well_formed_correlation_id_comes_back_and_another_is_replaced(
    clients: Clients, issuer: Issuer
) -> None:
    client = clients[Service.DIAGNOSTICS]
    for given, kept in (
        ("0190b1a2-0000-7000-8000-000000000001", True),
        ("abcdefgh", True),
        ("short", False),
        ("has blank in it", False),
        ("x" * 65, False),
    ):
        headers = issuer.headers("patient", **{"x-correlation-id": given})
        for target in ("/v2/lab-orders?limit=1", "/v2/nothing", "/healthz"):
            answered = (await client.get(target, headers=headers)).headers.get_list(
                "x-correlation-id"
            )
            assert len(answered) == 1
            assert (answered[0] == given) is kept


# --- when the database does not answer


@pytest.mark.parametrize("settings", [{"read_deadline_seconds": 1.0}])
async def test_a_statement_that_takes_too_long_is_504(
    settings: dict[str, Any], own_services: ServicesDatabase, issuer: Issuer
) -> None:
    owner = await asyncpg.connect(own_services.owner)
    async with AsyncExitStack() as stack:
        client = await serve(stack, Service.FINANCE, own_services, issuer, **settings)
        async with owner.transaction():
            await owner.execute("lock table finance.payout in access exclusive mode")
            response = await client.get("/v2/partner/payouts", headers=issuer.headers("finance"))
        assert (response.status_code, response.json()["code"]) == (504, "upstream_timeout")
        again = await client.get("/v2/partner/payouts", headers=issuer.headers("finance"))
        assert again.status_code == 200
    await owner.close()


@pytest.mark.parametrize("settings", [{"read_deadline_seconds": 0.2}])
async def test_a_write_may_wait_longer_than_a_read(
    settings: dict[str, Any], own_services: ServicesDatabase, issuer: Issuer
) -> None:
    owner = await asyncpg.connect(own_services.owner)
    headers = issuer.headers("clinician", **{"content-type": "application/json"})
    async with AsyncExitStack() as stack:
        client = await serve(stack, Service.DIAGNOSTICS, own_services, issuer, **settings)
        [order] = (await client.get("/v2/lab-orders?limit=1", headers=headers)).json()["items"]
        path = f"/v2/lab-orders/{order['id']}"
        async with owner.transaction():
            await owner.execute("lock table diagnostics.lab_order in access exclusive mode")
            patching = spawn(
                client.patch(path, content=b'{"tags": ["late"]}', headers=headers), name="patching"
            )
            await asyncio.sleep(2)  # longer than the client's own margin over a read's deadline
            assert not patching.done()
        assert (await patching).status_code == 200
    await owner.close()


async def test_no_free_connection_is_503_with_a_hint_when_to_come_back(
    own_services: ServicesDatabase, issuer: Issuer
) -> None:
    async with AsyncExitStack() as stack:
        client = await serve(stack, Service.FINANCE, own_services, issuer, pool_wait_seconds=0.01)
        pool = client._transport.app.state.deps.pool  # type: ignore[attr-defined]
        taken = [await pool.acquire() for _ in range(pool.get_max_size())]
        response = await client.get("/v2/partner/payouts", headers=issuer.headers("finance"))
        for connection in taken:
            await pool.release(connection)
        assert (response.status_code, response.json()["code"]) == (503, "upstream_busy")
        assert response.headers["retry-after"] == "1"
        again = await client.get("/v2/partner/payouts", headers=issuer.headers("finance"))
        assert again.status_code == 200


async def test_a_database_that_has_gone_is_503_and_comes_back_by_itself(
    tmp_path: Path, issuer: Issuer
) -> None:
    cluster = postgres.new_cluster(tmp_path / "data")
    assert await start(cluster.initdb()).ended() == 0
    server = start(cluster.server())
    server.wait(cluster.is_ready, within=30)
    await migrate(Service.FINANCE, cluster.dsn("postgres"))
    database = ServicesDatabase(cluster=cluster, database="postgres")
    headers = issuer.headers("finance")
    async with AsyncExitStack() as stack:
        client = await serve(stack, Service.FINANCE, database, issuer)
        assert (await client.get("/v2/partner/payouts", headers=headers)).status_code == 200
        server.stop()
        for _ in range(3):
            response = await client.get("/v2/partner/payouts", headers=headers)
            assert response.status_code == 503
            assert response.json()["code"] == "upstream_unreachable"
            assert response.headers["retry-after"] == "1"
        assert (await client.get("/readyz")).json()["checks"]["database"] == "unreachable"
        server = start(cluster.server())
        server.wait(cluster.is_ready, within=30)
        assert (await client.get("/v2/partner/payouts", headers=headers)).status_code == 200
    server.stop()


async def test_a_mistake_of_ours_is_a_500_that_says_nothing(
    own_services: ServicesDatabase, issuer: Issuer
) -> None:
    """The driver's text would name the column, and in other cases the value."""
    owner = await asyncpg.connect(own_services.owner)
    await owner.execute("alter table finance.payout rename column currency to money")
    await owner.close()
    async with AsyncExitStack() as stack:
        client = await serve(stack, Service.FINANCE, own_services, issuer)
        with structlog.testing.capture_logs() as lines:
            response = await client.get(
                "/v2/partner/payouts?remittance_reference=Planted",
                headers=issuer.headers("finance"),
            )
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "money" not in response.text
    assert "currency" not in response.text
    assert [line["event"] for line in lines] == ["request.failed", "request"]
    assert "Planted" not in str([{**line, "exc_info": ""} for line in lines])


async def test_one_log_line_per_request_without_ids_or_values(
    clients: Clients, issuer: Issuer
) -> None:
    resource = TOP["/lab-orders"]
    row = (await rows(clients, issuer, resource, "admin"))[0]
    client = clients[resource.service]
    with structlog.testing.capture_logs() as lines:
        await client.get(path_of(resource, row), headers=issuer.headers("admin"))
        await client.get("/v2/lab-orders?test_code=Planted", headers=issuer.headers("admin"))
        await client.get("/v2/planted", headers=issuer.headers("admin"))
        await client.get(f"/v2/lab-orders/{row['id']}/events", headers=issuer.headers("admin"))
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/v2/lab-orders/{key}", 200),
        ("/v2/lab-orders", 200),
        ("", 404),
        ("/v2/lab-orders/{id}/events", 200),
    ]
    assert row["id"] not in str(lines)
    assert "lanted" not in str(lines)
