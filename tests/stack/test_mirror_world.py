"""Writes at the gateway of a whole sandbox, and what its movers make of them on the other side."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from catalog import assets
from catalog.stage import Side
from migration.app import NAMES
from runtime.settings import inherited_environment
from runtime.stack import Stack
from sandbox.seed.people import CLINICIANS
from tests.sandboxes import Banyan
from tests.until import until, until_async

pytestmark = pytest.mark.stack

AT_LEGACY, AT_SERVICE = ("compliance_tasks", "partner_label_queue", "appointments"), ("lab_orders",)
"""Entities whose writes the sandbox below takes at legacy, and at the service."""


@pytest.fixture(scope="module")
def banyan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banyan]:
    command = Banyan(tmp_path_factory.mktemp("mirrored") / "run")
    up = command("up", "--detach", "--scale", "30")
    try:
        assert up.returncode == 0, up.stderr
        for entity in (*AT_LEGACY, *AT_SERVICE):
            stage = "live" if entity in AT_SERVICE else "dual_write"
            ramp = command.json("flags", "ramp", entity, stage, "100", "--reason", "test")
        line = f"\nbanyan_flags_version {ramp['version']}"
        until(lambda: line in metrics(command.stack()))
        yield command
    finally:
        command("down")


def metrics(stack: Stack) -> str:
    return httpx.get(f"{stack.urls['gateway']}/metrics", trust_env=False, timeout=5).text


@dataclass(frozen=True, kw_only=True)
class World:
    stack: Stack
    users: dict[Side, asyncpg.Connection]
    control: asyncpg.Connection

    async def send(
        self, method: str, path: str, user: str = "clinician", body: Any = None, **headers: str
    ) -> httpx.Response:
        sent = {
            "authorization": f"Bearer {self.stack.tokens[user]}",
            "content-type": "application/json",
            "idempotency-key": f'"{uuid4()}"',
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            return await client.request(
                method,
                f"{self.stack.urls['gateway']}/v2{path}",
                content=None if body is None else json.dumps(body),
                headers=sent,
            )

    async def row(self, entity: str, key: str, side: Side) -> asyncpg.Record | None:
        asset = assets()[entity]
        table = asset.source if side is Side.LEGACY else f"{asset.service}.{asset.target}"
        own = asset.key_columns[0].type.value
        return await self.users[side].fetchrow(
            f"select * from {table} where id = $1::text::{own}", key
        )

    async def arrived(self, entity: str, key: str, side: Side) -> asyncpg.Record:
        """The row on `side`, as soon as it is the very version that the other side holds."""
        found: list[asyncpg.Record] = []

        async def same() -> bool:
            here = await self.row(entity, key, side)
            there = await self.row(entity, key, side.other)
            stamps = [
                row and (row["origin"], row["row_version"], row["correlation_id"])
                for row in (here, there)
            ]
            if here is None or stamps[0] != stamps[1]:
                return False
            found.append(here)
            return True

        await until_async(same)
        return found[-1]

    async def open_intents(self) -> int:
        return int(await self.control.fetchval("select count(*) from control.intents"))

    async def submission(self) -> str:
        return str(
            await self.users[Side.SERVICE].fetchval("select id from intake.submission limit 1")
        )


@pytest.fixture
async def world(banyan: Banyan) -> AsyncIterator[World]:
    stack = banyan.stack()
    users = {
        Side.LEGACY: await asyncpg.connect(stack.databases["legacy"]),
        Side.SERVICE: await asyncpg.connect(stack.databases["services"]),
    }
    control = await asyncpg.connect(stack.databases["control"])
    yield World(stack=stack, users=users, control=control)
    for connection in (*users.values(), control):
        await connection.close()


async def test_a_write_at_legacy_arrives_at_the_service_with_its_id(world: World) -> None:
    id_ = f"corr-{uuid4()}"
    body = {"task_type": "follow_up_call", "title": "T", "metadata": {}}
    made = await world.send("POST", "/compliance", "compliance", body, x_correlation_id=id_)
    assert made.status_code == 201, made.text
    key = str(made.json()["id"])
    row = await world.arrived("compliance_tasks", key, Side.SERVICE)
    assert (row["correlation_id"], row["origin"]) == (id_, "legacy")
    path, again = f"/compliance/{key}", f"corr-{uuid4()}"
    changed = await world.send("PATCH", path, "compliance", {"title": "U"}, x_correlation_id=again)
    assert changed.status_code == 200

    async def second() -> bool:
        found = await world.arrived("compliance_tasks", key, Side.SERVICE)
        return bool(found["title"] == "U")

    await until_async(second)


async def test_a_write_at_the_service_arrives_at_legacy_with_its_trail(world: World) -> None:
    id_ = f"corr-{uuid4()}"
    body = {"submission_id": await world.submission(), "test_code": "HBA1C", "status": "ordered"}
    made = await world.send("POST", "/lab-orders", "clinician", body, x_correlation_id=id_)
    assert made.status_code == 201, made.text
    key = str(made.json()["id"])
    row = await world.arrived("lab_orders", key, Side.LEGACY)
    assert (row["correlation_id"], row["origin"]) == (id_, "service")
    assert row["order_number"] == made.json()["order_number"]

    async def trail(side: Side) -> list[tuple[int, str]]:
        table = "public.lab_order_events" if side is Side.LEGACY else "diagnostics.lab_order_event"
        kind = "event_type" if side is Side.LEGACY else "kind"
        rows = await world.users[side].fetch(
            f"select id, {kind} as kind from {table} where lab_order_id = $1::text::uuid order by id",
            key,
        )
        return [(row["id"], row["kind"]) for row in rows]

    async def both() -> bool:
        return len(await trail(Side.LEGACY)) == 1

    await until_async(both)
    assert await trail(Side.LEGACY) == await trail(Side.SERVICE)


async def test_a_row_that_legacy_numbers_arrives_under_its_number(world: World) -> None:
    made = await world.send("POST", "/partner/labels", "partner", {"site_code": "S"})
    assert made.status_code == 201, made.text
    row = await world.arrived("partner_label_queue", str(made.json()["id"]), Side.SERVICE)
    assert row["origin"] == "legacy"


async def test_a_delete_arrives_and_nothing_comes_back(world: World) -> None:
    body = {
        "submission_id": await world.submission(),
        "clinician_id": str(CLINICIANS[2].id),
        "starts_at": "2033-01-01T09:00:00Z",
        "ends_at": "2033-01-01T09:30:00Z",
    }
    made = await world.send("POST", "/appointments", "clinician", body)
    assert made.status_code == 201, made.text
    key = str(made.json()["id"])
    await world.arrived("appointments", key, Side.SERVICE)
    assert (await world.send("DELETE", f"/appointments/{key}")).status_code == 204

    async def gone() -> bool:
        return await world.row("appointments", key, Side.SERVICE) is None

    await until_async(gone)
    graves = "select origin, row_version from {}.tombstones where entity = 'appointments' and key ->> 'id' = $1"
    there = await world.users[Side.LEGACY].fetchrow(graves.format("banyan"), key)
    here = await world.users[Side.SERVICE].fetchrow(graves.format("scheduling"), key)
    assert there == here is not None


async def test_a_write_round_the_gateway_at_a_service_arrives(world: World) -> None:
    """Nobody has announced it: the outbox tells."""
    key = await world.users[Side.SERVICE].fetchval(
        "update compliance.task set title = 'by hand' where id = (select id from compliance.task limit 1) returning id::text"
    )
    row = await world.arrived("compliance_tasks", key, Side.LEGACY)
    assert (row["title"], row["origin"]) == ("by hand", "service")


async def test_every_intent_is_settled_and_nothing_is_left_unpublished(world: World) -> None:
    for n in range(20):
        body = {"task_type": "follow_up_call", "title": f"T{n}", "metadata": {}}
        made = await world.send("POST", "/compliance", "compliance", body)
        assert made.status_code == 201

    async def idle() -> bool:
        return await world.open_intents() == 0

    await until_async(idle)

    async def published() -> bool:
        left = "select count(*) from compliance.outbox where published_at is null"
        return int(await world.users[Side.SERVICE].fetchval(left)) == 0

    await until_async(published)
    unsolved = "select count(*) from control.divergences where state <> 'solved'"
    assert await world.control.fetchval(unsolved) == 0

    async def unpinned() -> bool:
        return "\nbanyan_pins 0" in await asyncio.to_thread(metrics, world.stack)

    await until_async(unpinned)


async def test_poison_waits_in_the_ledger_and_others_flow(world: World) -> None:
    service = world.users[Side.SERVICE]
    await service.execute(
        "alter table compliance.task add constraint no_ill check (title <> 'ill') not valid"
    )
    try:
        keys = []
        for title in ("ill", "well"):
            body: Any = {"task_type": "follow_up_call", "title": title, "metadata": {}}
            made = await world.send("POST", "/compliance", "compliance", body)
            keys.append(str(made.json()["id"]))
        await world.arrived("compliance_tasks", keys[1], Side.SERVICE)

        async def quarantined() -> Any:
            return await world.control.fetchrow(
                "select reason, attempts from control.divergences where key = $1 and state = 'quarantined'",
                keys[0],
            )

        await until_async(quarantined, within=30)
        assert tuple(await quarantined()) == ("23514", 5)
        assert await world.row("compliance_tasks", keys[0], Side.SERVICE) is None
    finally:
        await service.execute("alter table compliance.task drop constraint no_ill")
    await world.control.execute(
        "update control.divergences set state = 'retrying', attempts = 0, next_at = now() where key = $1",
        keys[0],
    )
    await world.arrived("compliance_tasks", keys[0], Side.SERVICE)

    async def solved() -> bool:
        state = "select state from control.divergences where key = $1"
        return bool(await world.control.fetchval(state, keys[0]) == "solved")

    await until_async(solved)
    # Its intent would be looked at again after half a minute.
    await world.control.execute("update control.intents set next_at = now()")


async def test_a_laboratory_signs_as_the_docs_say(banyan: Banyan, world: World) -> None:
    order = {
        "submission_id": await world.submission(),
        "test_code": "HBA1C",
        "status": "ordered",
        "vendor": "Synthetic Labs",
    }
    made = await world.send("POST", "/lab-orders", "clinician", order)
    path = f"/lab-orders/{made.json()['id']}"
    sent = await world.send("PATCH", path, "clinician", {"vendor_reference": "V-1"})
    assert sent.status_code == 200, sent.text
    page = (Path(__file__).parents[2] / "docs" / "v2-api.md").read_text(encoding="utf-8")
    example = page.partition("<!-- vendor -->")[2].partition("<!-- /vendor -->")[0]
    script = example.replace("```sh", "").replace("```", "").replace(".run/", f"{banyan.run}/")
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euo", "pipefail", "-c", script],
        env={**inherited_environment(), "BANYAN": world.stack.urls["gateway"]},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert json.loads(done.stdout) == {"applied": True, "status": "collected"}, done.stderr
    assert (await world.send("GET", path)).json()["status"] == "collected"


async def test_a_row_that_only_legacy_has_is_seen_and_not_changed_yet(world: World) -> None:
    """Written round the gateway, and nothing captures legacy's changes here."""
    key = await world.users[Side.LEGACY].fetchval(
        "insert into public.lab_orders (submission_id, test_code, status)"
        " select id, 'X', 'ordered' from public.submissions limit 1 returning id::text"
    )
    before = await world.row("lab_orders", key, Side.LEGACY)
    path = f"/lab-orders/{key}"
    assert (await world.send("GET", path)).status_code == 200
    answer = await world.send("PATCH", path, "clinician", {"test_name": "n"})
    assert answer.status_code == 409, answer.text
    assert (answer.json()["code"], answer.json()["outcome"]) == ("not_here_yet", "not_applied")
    assert answer.headers["retry-after"] == "1"
    assert await world.row("lab_orders", key, Side.LEGACY) == before
    assert await world.row("lab_orders", key, Side.SERVICE) is None


async def alert(world: World, alert_class: str) -> Any:
    """The newest one of that class, as soon as it is there."""
    found: list[Any] = []

    async def rung() -> bool:
        found[:] = await world.control.fetch(
            "select entity, detail, count from control.alerts where class = $1", alert_class
        )
        return bool(found)

    await until_async(rung, within=30)
    return tuple(found[-1])


async def test_a_true_conflict_rings_within_thirty_seconds(world: World) -> None:
    """The service's user writes first and commits last, so neither write has seen the other."""
    body = {"task_type": "follow_up_call", "title": "T", "metadata": {}}
    made = await world.send("POST", "/compliance", "compliance", body)
    key = str(made.json()["id"])
    await world.arrived("compliance_tasks", key, Side.SERVICE)
    service = world.users[Side.SERVICE]
    async with service.transaction():
        here = "update compliance.task set title = 'here' where id = $1::text::uuid"
        await service.execute(here, key)
        there = await world.send("PATCH", f"/compliance/{key}", "compliance", {"title": "there"})
        assert there.status_code == 200
    assert await alert(world, "conflict") == ("compliance_tasks", "lost_on_service", 1)
    row = await world.arrived("compliance_tasks", key, Side.SERVICE)
    assert row["title"] == "there"


async def test_a_secret_key_sent_as_a_user_s_token_rings(world: World) -> None:
    for _ in range(5):
        sent = {"authorization": "Bearer sb_secret_of-nobody", "x-correlation-id": f"c-{uuid4()}"}
        assert (await world.send("GET", "/compliance", **sent)).status_code == 401
    assert await alert(world, "service_key_refused") == ("", "gateway", 1)


async def test_the_movers_say_that_they_live(banyan: Banyan, world: World) -> None:
    rows = await world.control.fetch(
        "select distinct name from control.workers where beat_at > now() - interval '10 seconds' order by 1"
    )
    assert [row["name"] for row in rows] == ["keeper", "mirror", "relay", "sync-backfill"]


# --- the processes


@contextmanager
def started(
    banyan: Banyan, folder: Path, *arguments: str, **environment: str
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    log = folder / "out.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**inherited_environment(), **banyan.stack().environment, **environment},
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def test_workers_in_the_foreground_end_when_told(banyan: Banyan, tmp_path: Path) -> None:
    command = ("cli.main", "worker", "relay", "mirror", "--run", str(banyan.run))
    with started(banyan, tmp_path, *command) as (process, log):
        until(lambda: log.read_text().count("worker.ready") == 2)
        process.terminate()
        assert process.wait(timeout=20) == 0
        assert log.read_text().count("worker.stopped") == 2
        assert "task.died" not in log.read_text()


def test_one_that_lives_on_this_machine_is_found(banyan: Banyan, tmp_path: Path) -> None:
    alive = ("migration", "mirror", "--alive")
    with started(banyan, tmp_path, *alive) as (process, _):
        assert process.wait(timeout=20) == 0
    nowhere = {"CONTROL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}
    with started(banyan, tmp_path, *alive, **nowhere) as (process, _):
        assert process.wait(timeout=20) == 1


@pytest.mark.parametrize("name", NAMES)
def test_one_that_counts_other_partitions_rings_and_ends(
    name: str, banyan: Banyan, tmp_path: Path
) -> None:
    other = {"EVENT_LOG_PARTITIONS": "3"}
    before = mismatches(banyan, name)
    with started(banyan, tmp_path, "migration", name, **other) as (process, log):
        assert process.wait(timeout=20) == 2
        [said] = [line for line in log.read_text().splitlines() if not line.startswith("{")]
        assert said.startswith(f"{name}: topic ")
        assert said.endswith("set EVENT_LOG_PARTITIONS to 8")
    assert mismatches(banyan, name) == before + 1


def mismatches(banyan: Banyan, name: str) -> int:
    """How often it was rung for such a worker. The world's own of that name may have answered an earlier one meanwhile."""
    alerts = banyan.json("alerts", "list", "--all")["items"]
    entity = name.replace("-", "_")
    return sum(
        one["count"]
        for one in alerts
        if (one["alert_class"], one["entity"]) == ("worker_mismatch", entity)
    )


def test_several_in_one_process_say_it_once(banyan: Banyan, tmp_path: Path) -> None:
    command = ("cli.main", "worker", "relay", "relay", "mirror", "--run", str(banyan.run))
    with started(banyan, tmp_path, *command, EVENT_LOG_PARTITIONS="3") as (process, log):
        assert process.wait(timeout=20) == 3
        assert "Traceback" not in log.read_text()
        said = [line for line in log.read_text().splitlines() if not line.startswith("{")]
        assert "set EVENT_LOG_PARTITIONS to 8" in "".join(said)


def test_a_setting_that_is_missing_is_named(banyan: Banyan, tmp_path: Path) -> None:
    missing = {"LEGACY_CONTROL_DATABASE_URL": ""}
    with started(banyan, tmp_path, "migration", "keeper", **missing) as (process, log):
        assert process.wait(timeout=20) == 2
        assert "LEGACY_CONTROL_DATABASE_URL is not set" in log.read_text()
