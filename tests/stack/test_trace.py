"""`banyan trace` over a whole sandbox: writes at both sides' stages, followed from the gateway to the other side."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner, Result

from catalog import assets
from catalog.stage import Side, Stage
from cli.main import app
from runtime.stack import Stack
from tests.sandboxes import Banyan
from tests.until import until
from tests.world import SEEDED_SUBMISSION

pytestmark = pytest.mark.stack

NAME = "Zebulon Quickwater"
NOBODY = "postgresql://nobody@127.0.0.1:1/x"
STAGES = {"compliance_tasks": Stage.DUAL_WRITE, "lab_orders": Stage.LIVE}
"""Of everybody in this world."""
TABLES = {
    "compliance_tasks": ("public.compliance_tasks", "compliance.task", "title"),
    "lab_orders": ("public.lab_orders", "diagnostics.lab_order", "test_name"),
}
"""On both sides, and the column that holds NAME."""


class World:
    """The sandbox's own gateway, whose writes its own movers follow."""

    def __init__(self, stack: Stack, run: Path) -> None:
        self.stack = stack
        self.run = run

    def send(
        self, method: str, path: str, body: Any = None, user: str = "clinician"
    ) -> tuple[str, httpx.Response]:
        """The correlation id, and the answer."""
        id_ = f"corr-{uuid4()}"
        answer = httpx.request(
            method,
            f"{self.stack.urls['gateway']}/v2{path}",
            json=body,
            headers={
                "authorization": f"Bearer {self.stack.tokens[user]}",
                "idempotency-key": f'"{uuid4()}"',
                "x-correlation-id": id_,
            },
            trust_env=False,
            timeout=20,
        )
        return id_, answer

    def make(self, entity: str) -> tuple[str, str]:
        """The correlation id, and the new row's key."""
        if entity == "compliance_tasks":
            task = {"task_type": "follow_up_call", "title": NAME, "metadata": {}}
            id_, made = self.send("POST", "/compliance", task, "compliance")
        else:
            found = self.send("GET", SEEDED_SUBMISSION)[1].json()
            order = {"submission_id": found["items"][0]["id"], "test_code": "HBA1C"}
            named = {**order, "test_name": NAME, "status": "ordered"}
            id_, made = self.send("POST", "/lab-orders", named)
        assert made.status_code == 201, made.text
        return id_, str(made.json()["id"])

    def order(self) -> tuple[str, str]:
        return self.make("lab_orders")

    def __call__(self, id_: str, *arguments: str, run: Path | None = None) -> Result:
        where = ("--run", str(run or self.run))
        return CliRunner().invoke(app, ["trace", id_, *arguments, *where])

    def json(self, id_: str, *arguments: str) -> dict[str, Any]:
        answer = self(id_, *arguments, "--json")
        assert answer.exit_code == 0, answer.output
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    def when(self, id_: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The trace, as soon as the condition holds."""
        found: list[dict[str, Any]] = []

        def holds() -> bool:
            found.append(self.json(id_))
            return condition(found[-1])

        until(holds)
        return found[-1]

    def changed(self, folder: Path, **environment: str) -> Path:
        """A run folder whose settings differ."""
        environment = {**self.stack.environment, **environment}
        self.stack.model_copy(update={"environment": environment}).write(folder / "stack.json")
        return folder

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.stack.databases[name])
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def world(written_world: Stack, written_folder: Path) -> Iterator[World]:
    command = Banyan(written_folder / "run")
    try:
        for entity, stage in STAGES.items():
            ramp = command.json("flags", "ramp", entity, stage, "100", "--reason", "test")
        line = f"\nbanyan_flags_version {ramp['version']}"
        until(lambda: line in metrics(written_world))
        yield World(written_world, written_folder / "run")
    finally:
        for entity in STAGES:
            command.json("flags", "ramp", entity, Stage.SHADOW, "0", "--reason", "test")


def metrics(stack: Stack) -> str:
    return httpx.get(f"{stack.urls['gateway']}/metrics", trust_env=False, timeout=5).text


def settled(found: Mapping[str, Any]) -> bool:
    return {one["state"] for one in found["writes"]} == {"settled"} and "settled" in whats(found)


def whats(found: Mapping[str, Any]) -> list[str]:
    return [line["what"] for line in found["lines"]]


# --- what became of writes


@pytest.mark.parametrize("entity", STAGES)
def test_a_write_is_followed_from_the_gateway_to_the_other_side(world: World, entity: str) -> None:
    stage = STAGES[entity]
    side = stage.meaning.writes
    id_, _ = world.make(entity)
    found = world.when(id_, settled)
    assert found["partial"] is False
    lines = found["lines"]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    own = [line for line in lines if line["entity"] == entity]
    service = f"service {assets()[entity].service}"
    where = {(line["what"], line["where"], line["word"]) for line in own}
    assert where >= {
        ("announced", "log mirror", ""),
        ("closed", "log mirror", "applied"),
        ("settled", "log mirror", ""),
        ("row", "legacy", ""),
        ("row", service, ""),
        ("request", "gateway", "201"),
    }
    assert (("recorded", service, "created") in where) is (side is Side.SERVICE)
    [request] = [line for line in lines if line["what"] == "request"]
    facts = request["facts"]
    assert (facts["method"], facts["stage"], facts["side"]) == ("POST", stage, side)
    [write] = [one for one in found["writes"] if one["entity"] == entity]
    assert (write["origin"], write["measure"]) == (side, "commit times of both databases")
    copies = {side_of(line): line for line in own if line["what"] == "row"}
    lag = instant(copies[side.other]["at"]) - instant(copies[side]["at"])
    assert write["lag_ms"] == pytest.approx(lag.total_seconds() * 1000)
    assert lag.total_seconds() > 0
    assert copies[side]["updated_at"] == copies[side.other]["updated_at"] == write["written_at"]


def side_of(line: Mapping[str, Any]) -> Side:
    return Side.LEGACY if line["where"] == "legacy" else Side.SERVICE


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_write_that_the_authority_refused_was_not_applied(world: World) -> None:
    body = {"submission_id": str(uuid4()), "test_code": "HBA1C"}
    id_, refused = world.send("POST", "/lab-orders", body)
    assert refused.status_code == 422
    found = world.when(id_, lambda found: "closed" in whats(found))
    [write] = found["writes"]
    assert (write["state"], write["written_at"], write["arrived_at"]) == ("refused", None, None)
    assert "422" in [line["word"] for line in found["lines"] if line["what"] == "request"]


def test_a_read_is_no_write(world: World) -> None:
    id_, _ = world.send("GET", "/submissions?limit=1")
    answer = world(id_)
    assert answer.exit_code == 0, answer.output
    assert "GET" in answer.stdout
    assert "No write of it is known." in answer.stderr


def test_a_write_that_a_later_one_replaced_is_known_by_its_row(world: World) -> None:
    first, key = world.order()
    world.when(first, settled)
    second, changed = world.send("PATCH", f"/lab-orders/{key}", {"test_name": "N"})
    assert changed.status_code == 200, changed.text
    world.when(second, settled)
    lines = world.json(first)["lines"]
    later = [line for line in lines if line["what"] == "other version"]
    assert {line["where"] for line in later} == {"legacy", "service diagnostics"}
    assert {line["facts"]["correlation_id"] for line in later} == {second}
    assert {line["facts"]["row_version"] for line in later} == {2}


async def test_a_write_round_the_gateway_is_found_by_its_transaction(world: World) -> None:
    _, key = await asyncio.to_thread(world.order)
    async with world.database("services") as services:
        id_ = await services.fetchval(
            "update diagnostics.lab_order set test_name = 'by hand' where id = $1 returning correlation_id",
            key,
        )
    assert id_.startswith("db-")

    def there(found: Mapping[str, Any]) -> bool:
        return [one["state"] for one in found["writes"]] == ["settled"]

    found = await asyncio.to_thread(world.when, id_, there)
    assert {"row", "recorded", "published"} <= set(whats(found))
    assert "request" not in whats(found)


async def test_a_delete_leaves_tombstones(world: World) -> None:
    made, key = await asyncio.to_thread(world.make, "compliance_tasks")
    await asyncio.to_thread(world.when, made, settled)
    id_ = f"corr-{uuid4()}"
    async with world.database("services") as services, services.transaction():
        await services.execute("select set_config('banyan.correlation_id', $1, true)", id_)
        await services.execute("delete from compliance.task where id = $1", key)

    def there(found: Mapping[str, Any]) -> bool:
        return whats(found).count("tombstone") == 2

    found = await asyncio.to_thread(world.when, id_, there)
    assert {line["where"] for line in found["lines"] if line["what"] == "tombstone"} == {
        "legacy",
        "service compliance",
    }


# --- what cannot be said


def test_an_id_that_nobody_knows(world: World) -> None:
    answer = world(f"corr-{uuid4()}")
    assert answer.exit_code == 1
    for place in ("control", "gateway", "legacy", "log mirror", "log service.*", "services"):
        assert f"looked at: {place}: " in answer.stderr
    assert answer.stderr.rstrip().endswith("Nothing is known of it.")


@pytest.mark.parametrize(
    ("setting", "value", "where"),
    [
        ("LEGACY_DATABASE_URL", NOBODY, "legacy: database"),
        ("SERVICES_APPLY_DATABASE_URL", NOBODY, "services: database"),
        ("CONTROL_DATABASE_URL", NOBODY, "control: database"),
        ("REDIS_URL", "redis://127.0.0.1:1/0", "log: topics"),
        ("ACCESS_LOG_FOLDER", "/nowhere", "gateway: access records"),
    ],
)
def test_a_source_that_is_away_is_named_and_the_others_are_told(
    world: World, tmp_path: Path, setting: str, value: str, where: str
) -> None:
    id_, _ = world.order()
    world.when(id_, settled)
    run = world.changed(tmp_path, **{setting: value})
    answer = world(id_, run=run)
    assert answer.exit_code == 1
    assert f"  {where}: " in answer.stderr
    assert "lab_orders #1" in answer.stdout
    found = json.loads(world(id_, "--json", run=run).stdout)
    assert found["partial"] is True
    gone = where.partition(":")[0].removesuffix("s")
    places = [line["where"].partition(" ")[0] for line in found["lines"]]
    assert places
    assert gone not in places


async def test_a_table_that_is_locked_holds_up_nobody(world: World) -> None:
    id_, _ = await asyncio.to_thread(world.order)
    await asyncio.to_thread(world.when, id_, settled)
    async with world.database("legacy") as owner, owner.transaction():
        await owner.execute("lock table public.lab_orders in access exclusive mode")
        answer = await asyncio.to_thread(world, id_)
    assert answer.exit_code == 1
    assert "  legacy: lab_orders: 55P03" in answer.stderr
    assert "lab_order_events" in answer.stdout


@pytest.mark.parametrize("id_", ["", "with space", "x" * 129, "a'b", "ümlaut", "a\n"])
def test_what_is_no_correlation_id_is_refused(world: World, id_: str) -> None:
    assert world(id_).exit_code == 3


# --- who sees what


@pytest.mark.parametrize("entity", STAGES)
def test_nothing_of_a_patient_is_shown(world: World, entity: str) -> None:
    id_, key = world.make(entity)
    world.when(id_, settled)
    shown = world(id_).output + world(id_, "--json").output
    assert id_ in shown
    for secret in (*NAME.split(), key, "HBA1C", "follow_up_call", world.stack.tokens["clinician"]):
        assert secret not in shown
    legacy, service, column = TABLES[entity]

    async def held() -> list[int]:
        count = f"select count(*) from {{}} where {column} = $1 and correlation_id = $2"
        async with world.database("legacy") as old, world.database("services") as new:
            return [
                await old.fetchval(count.format(legacy), NAME, id_),
                await new.fetchval(count.format(service), NAME, id_),
            ]

    assert asyncio.run(held()) == [1, 1], "the rows hold what must not be shown"


async def test_keys_are_shown_for_a_reason_that_is_kept_first(world: World, tmp_path: Path) -> None:
    id_, key = await asyncio.to_thread(world.order)
    await asyncio.to_thread(world.when, id_, settled)
    refused = await asyncio.to_thread(world, id_, "--keys")
    assert (refused.exit_code, key in refused.output) == (3, False)
    shown = await asyncio.to_thread(world, id_, "--keys", "--reason", "ticket 7")
    assert shown.exit_code == 0
    assert f"lab_orders {key}" in shown.stdout
    async with world.database("control") as control:
        rows = await control.fetch(
            "select action, reason, subject::text from control.audit where reason = 'ticket 7'"
        )
    assert [tuple(row) for row in rows] == [
        ("trace.keys_shown", "ticket 7", json.dumps({"correlation_id": id_}))
    ]
    lines = (await asyncio.to_thread(world.json, id_))["lines"]
    audited = [line for line in lines if line["what"] == "audited"]
    assert [(line["word"], line["facts"]["writer"]) for line in audited] == [
        ("trace.keys_shown", "operators")
    ]
    run = world.changed(tmp_path, CONTROL_DATABASE_URL=NOBODY)
    unkept = await asyncio.to_thread(world, id_, "--keys", "--reason", "ticket 8", run=run)
    assert (unkept.exit_code, key in unkept.output) == (1, False)


def test_how_far_back_it_looks_is_the_callers_to_say(world: World) -> None:
    id_, _ = world.order()
    world.when(id_, settled)
    found = world.json(id_, "--since", f"{datetime.now(UTC):%Y}-12-31T23:59:59")
    assert not {"request", "announced"} & set(whats(found))
    assert whats(found).count("row") == 4
    assert [one["state"] for one in found["writes"]] == ["settled"] * 2
