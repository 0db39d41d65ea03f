"""The control API's alerts, and `banyan alerts`: what is shown, and who may say that they are on it."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.alertclass import CLOCK_SKEW, CONFLICT
from runtime.alerts import Alert, Alerts
from runtime.stack import Stack
from tests.stack.test_control_api import Api, running

pytestmark = pytest.mark.stack


@pytest.fixture
async def api(empty_dsn, redis_url, tmp_path):
    async with running(empty_dsn, redis_url, tmp_path) as api:
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
    assert alerts("ack").exit_code == 2
