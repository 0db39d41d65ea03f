"""The gateway in a whole world, over HTTP: who sees what, what is refused and how, and that both sides answer alike."""

import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from benchmarks.agreement import Agreement, Pair, compare, visible_as_in_legacy
from benchmarks.world import GatewayProcess, everybody_at, gateway
from catalog.stage import Stage
from routes import resources
from runtime.accessrecord import problems
from runtime.stack import Stack

pytestmark = pytest.mark.stack

EVERYBODY = (
    "patient",
    "clinician",
    "partner",
    "compliance",
    "finance",
    "admin",
    "patient-c",
    "partner-b",
)
NOBODYS = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


@pytest.fixture(scope="module")
def gateways(
    world: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Stage, GatewayProcess]]:
    """A gateway for each of three stages, whatever the world's own flags say."""
    folder = tmp_path_factory.mktemp("gateways")
    with (
        gateway(world, folder, name="legacy", flags=everybody_at(Stage.LEGACY)) as legacy,
        gateway(world, folder, name="live", flags=everybody_at(Stage.LIVE)) as live,
        gateway(world, folder, name="complete", flags=everybody_at(Stage.COMPLETE)) as complete,
    ):
        yield {Stage.LEGACY: legacy, Stage.LIVE: live, Stage.COMPLETE: complete}


@pytest.fixture(params=[Stage.LEGACY, Stage.LIVE, Stage.COMPLETE], ids=str)
def url(gateways: dict[Stage, GatewayProcess], request: pytest.FixtureRequest) -> str:
    """Each gateway in turn: what a caller meets is the same at every stage."""
    return gateways[request.param].url


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as found:
        yield found


def bearer(world: Stack, name: str = "clinician") -> dict[str, str]:
    return {"authorization": f"Bearer {world.tokens[name]}"}


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.COMPLETE], ids=str)
async def test_legacy_and_service_answer_alike(
    world: Stack, gateways: dict[Stage, GatewayProcess], client: httpx.AsyncClient, stage: Stage
) -> None:
    agreement = Agreement()
    pair = Pair(gateways[Stage.LEGACY].url, gateways[stage].url, client)
    users = {user.name: user for user in world.users}
    for name in EVERYBODY:
        for resource in resources():
            await compare(
                pair, resource, users[name], world.tokens[name], queries=2, agreement=agreement
            )
    assert agreement.examples == []
    assert agreement.different == agreement.refused == 0
    assert agreement.rows > 500


async def test_everybody_sees_what_supabase_would_show(
    world: Stack, gateways: dict[Stage, GatewayProcess], client: httpx.AsyncClient
) -> None:
    for name in EVERYBODY:
        for resource in (r for r in resources() if not r.nested):
            for stage in (Stage.LEGACY, Stage.COMPLETE):
                same = await visible_as_in_legacy(
                    world, gateways[stage].url, client, resource, world.tokens[name]
                )
                assert same, (name, resource.path, stage)


@pytest.mark.parametrize(
    ("target", "status", "code", "field"),
    [
        ("/v2/lab-orders?colour=red", 400, "invalid_query", "colour"),
        ("/v2/lab-orders?status=lost", 400, "invalid_query", "status"),
        ("/v2/lab-orders?status[like]=x", 400, "invalid_query", "status[like]"),
        ("/v2/lab-orders?requester_id=me", 400, "invalid_query", "requester_id"),
        (
            "/v2/lab-orders?created_at[gt]=2024-01-01T00:00:00+01:00",
            400,
            "invalid_query",
            "created_at[gt]",
        ),
        ("/v2/lab-orders?limit=0", 400, "invalid_query", "limit"),
        ("/v2/lab-orders?limit=201", 400, "invalid_query", "limit"),
        ("/v2/lab-orders?order=result_summary", 400, "invalid_query", "order"),
        ("/v2/lab-orders?cursor=AAAA", 400, "invalid_query", "cursor"),
        ("/v2/lab-orders/not-a-uuid", 400, "invalid_key", "key"),
        (f"/v2/lab-orders/{NOBODYS}?x=1", 400, "invalid_query", "query"),
        ("/v2/partner/labels/12x", 400, "invalid_key", "key"),
        ("/v2/partner/stock/only-one-part", 400, "invalid_key", "key"),
        (f"/v2/lab-orders/{NOBODYS}", 404, "not_found", None),
        ("/v2/lab-order", 404, "no_such_route", None),
        ("/V2/lab-orders", 404, "no_such_route", None),
        ("/v2/lab-orders/", 404, "no_such_route", None),
        ("/v2", 404, "no_such_route", None),
        ("/v2/lab-orders/%2e%2e/x", 400, "malformed", None),
        ("/internal/known", 404, "no_such_route", None),
    ],
)
async def test_bad_input_gets_a_clear_error(
    world: Stack,
    client: httpx.AsyncClient,
    url: str,
    target: str,
    status: int,
    code: str,
    field: str | None,
) -> None:
    answer = await client.get(
        url + target, headers={**bearer(world), "x-correlation-id": "test-0001"}
    )
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["correlation_id"] == answer.headers["x-correlation-id"] == "test-0001"
    assert problem["detail"]
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])
    for value in ("lost", "red", "me=", "12x", NOBODYS):
        assert value not in json.dumps(problem["errors"] if field else problem)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer x.y.z"},
        {"authorization": "Basic abc"},
        {"authorization": "Bearer"},
    ],
)
async def test_no_or_bad_token(
    client: httpx.AsyncClient, url: str, headers: dict[str, str]
) -> None:
    answer = await client.get(f"{url}/v2/lab-orders", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert UUID(answer.headers["x-correlation-id"]).version == 7


async def test_what_is_not_yours_is_not_there(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    mine = (await client.get(f"{url}/v2/submissions", headers=bearer(world, "patient"))).json()[
        "items"
    ]
    other = (await client.get(f"{url}/v2/submissions", headers=bearer(world, "patient-c"))).json()[
        "items"
    ]
    assert mine
    assert other
    assert not {row["id"] for row in mine} & {row["id"] for row in other}
    answer = await client.get(
        f"{url}/v2/submissions/{other[0]['id']}", headers=bearer(world, "patient")
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods(
    world: Stack, client: httpx.AsyncClient, url: str, method: str
) -> None:
    answer = await client.request(method, f"{url}/v2/lab-orders", headers=bearer(world))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_without_a_mirror_stream_nothing_is_written(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    """These gateways have no Redis: a write could not be announced, not even to the disk."""
    headers = {**bearer(world), "content-type": "application/json", "idempotency-key": '"k"'}
    answer = await client.post(f"{url}/v2/lab-orders", headers=headers, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_announced")
    assert answer.json()["outcome"] == "not_applied"
    assert answer.headers["retry-after"]


async def test_a_body_on_get_is_ignored(world: Stack, client: httpx.AsyncClient, url: str) -> None:
    for _ in range(3):
        answer = await client.request(
            "GET",
            f"{url}/v2/lab-orders?limit=1",
            headers=bearer(world),
            content=b'{"status": "x"}' * 1000,
        )
        assert answer.status_code == 200


async def test_head_is_get_without_the_body(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    full = await client.get(f"{url}/v2/compliance?limit=3", headers=bearer(world))
    head = await client.head(f"{url}/v2/compliance?limit=3", headers=bearer(world))
    assert head.content == b""
    assert head.headers["content-length"] == full.headers["content-length"]


async def test_items_have_tags_that_make_304(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    headers = bearer(world)
    row = (await client.get(f"{url}/v2/compliance?limit=1", headers=headers)).json()["items"][0]
    item = await client.get(f"{url}/v2/compliance/{row['id']}", headers=headers)
    assert item.json() == row
    tag = item.headers["etag"]
    assert re.fullmatch(r'"\d+\.legacy"', tag)
    for wish in (tag, f'"other", W/{tag}', "*"):
        again = await client.get(
            f"{url}/v2/compliance/{row['id']}", headers={**headers, "if-none-match": wish}
        )
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await client.get(
        f"{url}/v2/compliance/{row['id']}", headers={**headers, "if-none-match": '"x"'}
    )
    assert other.status_code == 200


async def test_tags_are_the_same_at_every_stage(
    world: Stack, client: httpx.AsyncClient, gateways: dict[Stage, GatewayProcess]
) -> None:
    for path in ("/v2/lab-orders", "/v2/partner/temperature-logs"):
        headers = bearer(world, "compliance")
        row = (
            await client.get(f"{gateways[Stage.LEGACY].url}{path}?limit=1", headers=headers)
        ).json()["items"][0]
        tags = {
            (await client.get(f"{g.url}{path}/{row['id']}", headers=headers)).headers["etag"]
            for g in gateways.values()
        }
        assert len(tags) == 1


async def test_a_walk_goes_on_across_stages(
    world: Stack, client: httpx.AsyncClient, gateways: dict[Stage, GatewayProcess]
) -> None:
    headers, path = bearer(world, "admin"), "/v2/compliance?order=-due_at&limit=4"
    whole = await client.get(
        f"{gateways[Stage.LEGACY].url}/v2/compliance?order=-due_at&limit=200", headers=headers
    )
    expected = [row["id"] for row in whole.json()["items"]]
    turn = [gateways[stage].url for stage in (Stage.LEGACY, Stage.COMPLETE, Stage.LIVE)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        text = f"&cursor={cursor}" if cursor else ""
        page = (await client.get(turn[len(seen) % 3] + path + text, headers=headers)).json()
        seen += [row["id"] for row in page["items"]]
        cursor = page["next"]
    assert whole.json()["next"] is None
    assert seen == expected


async def test_exact_totals(world: Stack, client: httpx.AsyncClient, url: str) -> None:
    headers = {**bearer(world, "admin"), "prefer": "count=exact"}
    page = await client.get(f"{url}/v2/compliance?limit=1&status=open", headers=headers)
    everything = await client.get(f"{url}/v2/compliance?limit=200&status=open", headers=headers)
    assert page.json()["total"] == len(everything.json()["items"]) > 1
    assert page.headers["preference-applied"] == "count=exact"


async def test_staff_columns_are_for_staff(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    hidden = {"safeguarding_notes", "safeguarding_concern", "safeguarding_details"}
    patient = (await client.get(f"{url}/v2/submissions", headers=bearer(world, "patient"))).json()[
        "items"
    ]
    staff = (await client.get(f"{url}/v2/submissions", headers=bearer(world))).json()["items"]
    assert not hidden & set(patient[0])
    assert hidden < set(staff[0])
    refused = await client.get(
        f"{url}/v2/submissions?safeguarding_concern=true", headers=bearer(world, "patient")
    )
    assert refused.json()["errors"] == [
        {"field": "safeguarding_concern", "code": "unknown_parameter"}
    ]


async def test_cors_is_for_the_configured_origin_alone(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    origin = world.urls["frontend"]
    preflight = await client.options(
        f"{url}/v2/lab-orders", headers={"origin": origin, "access-control-request-method": "GET"}
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    error = await client.get(f"{url}/v2/lab-orders", headers={"origin": origin})
    assert (error.status_code, error.headers["access-control-allow-origin"]) == (401, origin)
    stranger = await client.get(
        f"{url}/v2/lab-orders", headers={"origin": "https://evil.example", **bearer(world)}
    )
    assert "access-control-allow-origin" not in stranger.headers
    assert stranger.headers["vary"] == "Origin"


async def test_the_route_is_told_to_operators_alone(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    own = await client.get(f"{url}/v2/lab-orders", headers=bearer(world))
    assert "x-banyan-route" not in own.headers
    operator = {"authorization": f"Bearer {world.operators['operator']}"}
    answer = await client.get(f"{url}/v2/lab-orders", headers=operator)
    assert re.fullmatch(
        r"(legacy|service|both);stage=\w+;flags=\d+", answer.headers["x-banyan-route"]
    )


async def test_pages_beside_the_resources(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    assert (await client.get(f"{url}/healthz")).json() == {"status": "ok"}
    assert (await client.get(f"{url}/readyz")).json()["status"] == "ready"
    assert (await client.get(f"{url}/v2/openapi.json")).json()["openapi"].startswith("3.1")
    await client.get(f"{url}/v2/lab-orders", headers=bearer(world))
    metrics = (await client.get(f"{url}/metrics")).text
    assert 'banyan_requests_total{method="GET",route="/v2/lab-orders"' in metrics
    assert "banyan_flags_version" in metrics


async def test_another_host_is_not_answered(client: httpx.AsyncClient, url: str) -> None:
    answer = await client.get(f"{url}/healthz", headers={"host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (421, "wrong_host")


def test_it_is_the_strict_parser_that_listens(url: str) -> None:
    """An obsolete line fold: h11 takes it, httptools does not."""
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n folded\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


async def test_ofrep_answers_the_callers_own_flags(
    world: Stack, client: httpx.AsyncClient, url: str
) -> None:
    path = f"{url}/ofrep/v1/evaluate/flags"
    everything = await client.post(path, headers=bearer(world), json={"context": {}})
    values = {flag["key"]: flag["value"] for flag in everything.json()["flags"]}
    one = await client.post(f"{path}/lab_orders.stage", headers=bearer(world), json={"context": {}})
    assert one.json()["value"] == values["lab_orders.stage"]
    tag = everything.headers["etag"]
    again = await client.post(
        path, headers={**bearer(world), "if-none-match": tag}, json={"context": {}}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.post(path, json={"context": {}})).status_code == 401
    other = await client.post(
        path, headers=bearer(world), json={"context": {"targetingKey": NOBODYS}}
    )
    assert (other.status_code, other.json()["errorCode"]) == (400, "INVALID_CONTEXT")
    huge = await client.post(path, headers=bearer(world), content=b" " * 70_000)
    assert huge.status_code == 413


def recorded(folder: Path) -> str:
    """The one file of the PHI access record, which is its owner's alone."""
    (file,) = folder.glob("gateway-*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    return file.read_text()


async def test_each_request_leaves_one_record_and_no_patient_in_it(
    world: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    environment = {**world.environment, "ACCESS_LOG_FOLDER": str(tmp_path)}
    world = world.model_copy(update={"environment": environment})
    with gateway(world, tmp_path, name="lines", flags=everybody_at(Stage.LIVE)) as found:
        row = (
            await client.get(f"{found.url}/v2/submissions?limit=1", headers=bearer(world))
        ).json()["items"][0]
        await client.get(f"{found.url}/v2/submissions/{row['id']}", headers=bearer(world))
        await client.get(
            f"{found.url}/v2/submissions?patient_user_id={row['patient_user_id'] or NOBODYS}",
            headers=bearer(world),
        )
        await client.get(
            f"{found.url}/v2/submissions?email=secret@mail.example", headers=bearer(world)
        )
        await client.get(f"{found.url}/v2/submissions/{NOBODYS}")
    log = (tmp_path / "lines.log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    text = recorded(tmp_path)
    assert [problem for line in text.splitlines() for problem in problems(line.encode())] == []
    records = [json.loads(line) for line in text.splitlines()]
    own = [record for record in records if record["route"].startswith("/v2/")]
    requests = [record for record in own if record["purpose"] != "shadow"]
    assert [(record["status"], record["side"]) for record in requests] == [
        (200, "both"), (200, "service"), (200, "both"), (400, "none"), (401, "none"),
    ]  # fmt: skip
    assert [record["resource"].partition(":")[0] for record in requests] == [
        "many", requests[1]["resource"], "many", "none", "none",
    ]  # fmt: skip
    assert re.fullmatch("[0-9a-f]{32}", requests[1]["resource"])
    text += log
    assert not [line for line in lines if "dropped" in line]
    for value in (
        row["id"],
        row["given_name"],
        row["family_name"],
        "secret",
        "mail.example",
        NOBODYS,
    ):
        assert value not in text
