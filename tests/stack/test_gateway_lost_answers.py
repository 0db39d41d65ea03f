"""Two attempts of one write reach the authority and their answers are lost; each bears a correlation id of its own."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from benchmarks.writes.caller import Ask
from benchmarks.writes.edge_world import EdgeWorld, edge_world
from benchmarks.writes.wire import Break
from catalog.stage import Side
from runtime.stack import Stack

pytestmark = pytest.mark.stack

_SETTINGS = {"WRITE_DEADLINE_SECONDS": "1", "LEGACY_STATEMENT_SECONDS": "1"}


@pytest.fixture(scope="module")
async def lossy(
    written_world: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EdgeWorld]:
    folder = tmp_path_factory.mktemp("lossy")
    async with edge_world(
        written_world, folder, Side.LEGACY, redis_number=15, settings=_SETTINGS
    ) as world:
        yield world


@pytest.fixture
def name() -> str:
    return str(uuid4())


def asks(world: EdgeWorld, name: str) -> dict[str, tuple[Ask, str]]:
    """By who gives the key: a write, and the condition by which its rows are found in legacy."""
    label = {"site_code": "S", "payload": {"name": name}}
    return {
        "derived from the request": (world.order(name), f"lab_orders where test_name = '{name}'"),
        "the row's own": (
            Ask(method="POST", path="/partner/stock", user="partner", body={"site_code": "S", "sku": name}),
            f"partner_stock_levels where sku = '{name}'",
        ),
        "numbered by the authority": (
            Ask(method="POST", path="/partner/labels", user="partner", body=label),
            f"partner_label_queue where payload ->> 'name' = '{name}'",
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["derived from the request", "the row's own", "numbered by the authority"]
)
async def test_the_third_attempt_finds_the_first_one_s_row(
    lossy: EdgeWorld, name: str, kind: str
) -> None:
    ask, there = asks(lossy, name)[kind]

    async def rows() -> int:
        return int(await lossy.database.fetchval(f"select count(*) from public.{there}"))

    first = ask
    await lossy.authority.breaks(Break.LOSE_REPLY)
    try:
        lost = await lossy.edge.send(ask)
        assert (lost.status_code, lost.json()["outcome"]) == (502, "unknown")
        while True:
            # A row that is numbered can be looked for when the first attempt must have ended.
            ask = replace(ask, correlation_id=f"again-{uuid4()}")
            lost = await lossy.edge.send(ask)
            if lost.json()["code"] != "idempotency_in_flight":
                break
        assert (lost.status_code, lost.json()["outcome"]) == (502, "unknown")
    finally:
        await lossy.authority.breaks(Break.NOTHING)
    assert await rows() == 1
    said = await lossy.edge.insist(replace(ask, correlation_id=f"third-{uuid4()}"), seconds=20)
    assert said.response.status_code == 201
    assert await rows() == 1
    row = await lossy.database.fetchrow(f"select correlation_id, row_version from public.{there}")
    assert row is not None
    assert (row["correlation_id"], row["row_version"]) == (first.correlation_id, 1)


async def test_somebody_else_s_row_is_in_the_way_all_the_same(lossy: EdgeWorld, name: str) -> None:
    ask, _ = asks(lossy, name)["the row's own"]
    assert (await lossy.edge.send(ask)).status_code == 201
    again = await lossy.edge.send(replace(ask, key=str(uuid4())))
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
