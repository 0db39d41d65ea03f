"""The control API's alerts, and `banyan alerts`: what is shown, and who may say that they are on it."""

import asyncio
import json
from pathlib import Path

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.alertclass import CLOCK_SKEW, CONFLICT
from runtime.alerts import Alert, Alerts
from runtime.stack import Stack
from tests.stack.test_control_api import Api, running
from tests.until import until_async

pytestmark = pytest.mark.stack


@pytest.fixture
async def api(empty_dsn, redis_url, tmp_path):
    async with running(empty_dsn, redis_url, tmp_path) as api:
        yield api


@pytest.fixture
async def careful(empty_dsn, redis_url, tmp_path):
    async with running(empty_dsn, redis_url, tmp_path, profile="production") as api:
        yield api


async def ring(dsn: str) -> tuple[Alert, Alert]:
    """One that is over and one that is not."""
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        alerts = Alerts(pool)
        await alerts.ring(CONFLICT, entity="lab_orders")
        over = await alerts.resolve(CONFLICT, entity="lab_orders")
        assert over is not None
        return over, await alerts.ring(CLOCK_SKEW, detail="this_machine")


async def test_they_are_listed_and_acknowledged(api: Api, empty_dsn: str) -> None:
    assert (await api.ok("GET", "/alerts"))["items"] == []
    over, rung = await ring(empty_dsn)
    [shown] = (await api.ok("GET", "/alerts", by="connie"))["items"]
    assert (shown["id"], shown["state"], shown["runbook"]) == (
        rung.id,
        "open",
        "docs/playbook.md#clock_skew",
    )
    every = (await api.ok("GET", "/alerts?resolved=true"))["items"]
    assert [item["id"] for item in every] == [rung.id, over.id]
    assert (await api.ok("GET", f"/alerts?before={rung.id}"))["items"] == []
    taken = (await api.ok("POST", f"/alerts/{rung.id}/acknowledge", {}))["alert"]
    assert (taken["state"], taken["acknowledged_by"]) == ("acknowledged", "olga")
    again = (await api.ok("POST", f"/alerts/{rung.id}/acknowledge", by="anna"))["alert"]
    assert again["acknowledged_by"] == "olga"
    await api.refused("not_found", "POST", f"/alerts/{over.id}/acknowledge", {})
    told = (await api.ok("GET", "/audit"))["items"]
    assert [(item["action"], item["actor"]) for item in told] == [
        ("alerts.acknowledge", "olga"),
        ("flags.first", "banyan"),
    ], "who said so first, once"


async def test_what_a_person_ends_is_ended_with_a_reason(careful: Api, empty_dsn: str) -> None:
    over, rung = await ring(empty_dsn)
    async with asyncpg.create_pool(empty_dsn, min_size=1, max_size=1) as pool:
        conflict = await Alerts(pool).ring(CONFLICT, entity="lab_orders")
    path = f"/alerts/{conflict.id}/resolve"
    assert (await careful.refused("invalid_request", "POST", path, {}))["status"] == 400
    body = {"reason": "the owner has it"}
    await careful.refused("role_needed", "POST", path, body, by="connie")
    assert (await careful.ok("POST", path, body))["alert"]["state"] == "resolved"
    for gone in (conflict, over):
        await careful.refused("not_found", "POST", f"/alerts/{gone.id}/resolve", body)
    problem = await careful.refused("ends_by_itself", "POST", f"/alerts/{rung.id}/resolve", body)
    assert problem["status"] == 409
    [told, _] = (await careful.ok("GET", "/audit"))["items"]
    assert (told["action"], told["reason"]) == ("alerts.resolve", "the owner has it")


async def test_open_alerts_are_a_gauge_for_those_who_scrape(api: Api, empty_dsn: str) -> None:
    await ring(empty_dsn)

    async def counted() -> bool:
        page = (await api.client.get("/metrics")).text
        return 'banyan_alerts{class="clock_skew"} 1.0' in page

    await until_async(counted)
    page = await api.client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert 'banyan_alerts{class="conflict"} 0.0' in page.text
    elsewhere = httpx.ASGITransport(api.app, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://127.0.0.1:8401") as other:
        assert (await other.get("/metrics")).status_code == 401
        assert (await other.get("/healthz")).status_code == 200


async def test_a_service_key_at_the_control_api_rings(api: Api) -> None:
    for _ in range(3):
        assert (await api.call("GET", "/flags", by="a-service-key")).status_code == 401

    async def rung() -> bool:
        items = (await api.ok("GET", "/alerts"))["items"]
        return [(i["alert_class"], i["detail"], i["count"]) for i in items] == [
            ("service_key_refused", "control", 1)
        ]

    await until_async(rung)


@pytest.mark.parametrize("who", ["viewer", "connie"])
async def test_who_only_reads_is_on_nothing(api: Api, who: str) -> None:
    await api.refused("role_needed", "POST", "/alerts/1/acknowledge", {}, by=who)


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("GET", "/alerts?resolved=yes", "resolved"),
        ("GET", "/alerts?before=x", "before"),
        ("GET", "/alerts?state=open", "state"),
        ("POST", "/alerts/1/acknowledge", "by"),
    ],
)
async def test_what_is_not_understood_is_named(
    api: Api, method: str, path: str, field: str
) -> None:
    body = {"by": "otto"} if method == "POST" else None
    problem = await api.refused("invalid_request", method, path, body)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_banyan_alerts(world: Stack, world_folder: Path) -> None:
    def alerts(*arguments: str) -> Result:
        run = ("--run", str(world_folder / "run"))
        return CliRunner().invoke(app, ["alerts", *arguments, *run])

    _, rung = asyncio.run(ring(world.databases["control"]))
    listed = alerts("list")
    assert listed.exit_code == 0, listed.output
    assert "clock_skew" in listed.stdout
    assert "docs/playbook.md#clock_skew" in listed.stdout
    assert "conflict" not in listed.stdout
    assert "conflict" in alerts("list", "--all").stdout
    done = alerts("ack", str(rung.id))
    assert (done.exit_code, "is on it" in done.stdout) == (0, True)
    items = json.loads(alerts("list", "--json", "--limit", "1").stdout)["items"]
    assert [(item["id"], item["state"]) for item in items] == [(rung.id, "acknowledged")]
    assert alerts("ack", "999999").exit_code == 3
    refused = alerts("resolve", str(rung.id), "--reason", "x")
    assert (refused.exit_code, "runbook" in refused.output) == (3, True)
    assert alerts("ack").exit_code == 2
