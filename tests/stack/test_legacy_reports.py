"""The sample dashboard of legacy counts what users write through the gateway, in legacy's own words."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from benchmarks.writes.caller import client
from benchmarks.writes.ramp import Ramp
from catalog.stage import MEANINGS, Side, Stage
from runtime.stack import Stack
from sandbox.seed.people import CLINICIANS
from tests.until import until_async
from tests.world import SEEDED_SUBMISSION

pytestmark = pytest.mark.stack

FOLDER = Path(__file__).parents[2] / "examples" / "legacy_reports"
ORDERS, TASKS, APPOINTMENTS = "lab_orders_by_day", "tasks_due", "appointments_per_clinician"
STAGES = (Stage.LEGACY, Stage.SHADOW, Stage.DUAL_WRITE, Stage.LIVE)
CLINICIAN = CLINICIANS[2]

Cell = tuple[str, ...]
"""The words that name a row, and the column."""
Cells = Mapping[Cell, Decimal]
"""The numbers of a report that are not zero."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A gateway whose users are all at one stage, and the reports on the legacy database behind it."""

    stack: Stack
    url: str
    side: Side
    """That takes the writes."""

    async def write(
        self, method: str, path: str, user: str, body: Mapping[str, object]
    ) -> dict[str, Any]:
        headers = {
            "authorization": f"Bearer {self.stack.tokens[user]}",
            "idempotency-key": f'"{uuid4()}"',
        }
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=20) as client:
            answer = await client.request(method, f"{self.url}/v2{path}", json=body)
        assert answer.is_success, answer.text
        assert answer.headers["etag"].endswith(f'.{self.side}"')
        row: dict[str, Any] = answer.json()
        return row

    async def submission(self) -> str:
        headers = {"authorization": f"Bearer {self.stack.tokens['clinician']}"}
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=20) as client:
            answer = await client.get(f"{self.url}/v2{SEEDED_SUBMISSION}")
        return str(answer.json()["items"][0]["id"])

    async def report(self, name: str) -> Cells:
        connection = await asyncpg.connect(self.stack.databases["legacy"])
        try:
            rows = await connection.fetch((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
        finally:
            await connection.close()
        return cells(rows)

    async def becomes(self, name: str, before: Cells, change: Mapping[Cell, float]) -> Cells:
        """The report, once it differs from `before` by exactly this. At once where legacy is written to; a mirror may take a while."""
        sums = {cell: before.get(cell, Decimal()) + Decimal(by) for cell, by in change.items()}
        wanted = {cell: number for cell, number in {**before, **sums}.items() if number}
        found = before

        async def is_there() -> bool:
            nonlocal found
            found = await self.report(name)
            return found == wanted

        await until_async(is_there)
        return found


def cells(rows: list[asyncpg.Record]) -> Cells:
    found = {}
    for row in rows:
        names = [str(value) for value in row.values() if not isinstance(value, int | Decimal)]
        for column, value in row.items():
            if isinstance(value, int | Decimal) and value:
                found[(*names, column)] = Decimal(value)
    return found


@pytest.fixture(scope="module")
def world(written_world: Stack) -> Stack:
    return written_world


@pytest.fixture(scope="module", params=STAGES, ids=str)
async def edge(request: pytest.FixtureRequest, world: Stack) -> AsyncIterator[Edge]:
    """The sandbox's own gateway: its movers bring back what the services take."""
    stage: Stage = request.param
    url = world.urls["gateway"]
    async with client(20) as opened:
        ramp = Ramp(world, opened, [url])
        await ramp.everybody(stage)
        yield Edge(stack=world, url=url, side=MEANINGS[stage].writes)
        await ramp.everybody(Stage.LEGACY)


async def test_an_order_is_counted_in_its_state(edge: Edge) -> None:
    day = "2024-02-29"
    before = await edge.report(ORDERS)
    body = {
        "submission_id": await edge.submission(),
        "test_code": "HBA1C",
        "status": "ordered",
        "vendor": "northlab",
        "ordered_at": f"{day}T23:59:59Z",
    }
    made = await edge.write("POST", "/lab-orders", "clinician", body)
    ordered = (day, "ordered", "orders")
    between = await edge.becomes(ORDERS, before, {ordered: 1})
    await edge.write("PATCH", f"/lab-orders/{made['id']}", "clinician", {"status": "sent"})
    sent = (day, "sent_to_vendor", "orders")
    await edge.becomes(ORDERS, between, {ordered: -1, sent: 1})


async def test_a_task_is_counted_as_long_as_it_waits(edge: Edge) -> None:
    before = await edge.report(TASKS)
    body = {
        "task_type": "follow_up_call",
        "title": "Call back",
        "due_at": "2020-01-01T00:00:00Z",
        "is_blocking": True,
    }
    made = await edge.write("POST", "/compliance", "compliance", body)
    counted: dict[Cell, int] = {
        ("follow_up_call", column): 1 for column in ("waiting", "overdue", "blocks")
    }
    between = await edge.becomes(TASKS, before, counted)
    path = f"/compliance/{made['id']}"
    await edge.write("PATCH", path, "compliance", {"status": "in_progress"})
    await edge.becomes(TASKS, between, {})
    await edge.write("PATCH", path, "compliance", {"status": "completed"})
    await edge.becomes(TASKS, between, dict.fromkeys(counted, -1))


async def test_an_appointment_is_counted_for_its_clinician(edge: Edge) -> None:
    before = await edge.report(APPOINTMENTS)
    body = {
        "submission_id": await edge.submission(),
        "clinician_id": str(CLINICIAN.id),
        "starts_at": "2031-06-02T05:00:00Z",
        "ends_at": "2031-06-02T06:30:00Z",
    }
    made = await edge.write("POST", "/appointments", CLINICIAN.name, body)
    to_come, hours, off = (
        (str(CLINICIAN.id), column) for column in ("to_come", "hours_to_come", "called_off")
    )
    between = await edge.becomes(APPOINTMENTS, before, {to_come: 1, hours: 1.5})
    change = {"status": "cancelled", "cancellation_reason": "ill"}
    await edge.write("PATCH", f"/appointments/{made['id']}", CLINICIAN.name, change)
    await edge.becomes(APPOINTMENTS, between, {to_come: -1, hours: -1.5, off: 1})


def test_every_report_is_looked_at_and_finds_something(world: Stack) -> None:
    names = {path.stem for path in FOLDER.glob("*.sql")}
    assert names == {ORDERS, TASKS, APPOINTMENTS}
    edge = Edge(stack=world, url="", side=Side.LEGACY)
    for name in names:
        assert sum(asyncio.run(edge.report(name)).values()) > 1, name


def test_it_is_held_at_every_stage_that_writes_to_legacy() -> None:
    assert {s for s, meaning in MEANINGS.items() if meaning.writes is Side.LEGACY} <= set(STAGES)
