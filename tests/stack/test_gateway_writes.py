"""Writes through the gateway, to each side: the same contract, announced before they are sent, repeated without harm."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from benchmarks.world import everybody_at, gateway
from catalog.stage import Side, Stage
from routes.idempotency import row_id
from runtime.eventlog.protocol import BEGINNING
from runtime.eventlog.redis_log import RedisLog
from runtime.intent import TOPIC, Closed, Intent, Outcome, Said, decode
from runtime.stack import Stack
from sandbox.seed.people import BY_NAME, CLINICIANS
from tests.until import until_async
from tests.world import SEEDED_SUBMISSION

pytestmark = pytest.mark.stack

NUMBERS = {Stage.DUAL_WRITE: 5, Stage.LIVE: 6}
SIDES = {Stage.DUAL_WRITE: Side.LEGACY, Stage.LIVE: Side.SERVICE}


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A gateway whose users are all at one stage."""

    stack: Stack
    stage: Stage
    url: str

    @property
    def side(self) -> Side:
        return SIDES[self.stage]

    async def send(
        self,
        method: str,
        path: str,
        user: str = "clinician",
        *,
        body: Any = None,
        key: str | None = None,
        **headers: str,
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.stack.tokens[user]}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["idempotency-key"] = f'"{key}"'
        content = None
        if body is not None:
            sent.setdefault("content-type", "application/json")
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            return await client.request(
                method, f"{self.url}/v2{path}", content=content, headers=sent
            )

    async def submission(self) -> str:
        """A seeded one, which both sides have."""
        found = await self.send("GET", SEEDED_SUBMISSION)
        return str(found.json()["items"][0]["id"])

    async def order(self, key: str, **members: Any) -> httpx.Response:
        body = {"submission_id": await self.submission(), "test_code": "HBA1C", **members}
        return await self.send("POST", "/lab-orders", body=body, key=key)

    async def said(self) -> list[Said]:
        """Everything in the mirror stream, each partition in order."""
        log = RedisLog(f"{self.stack.redis}/{NUMBERS[self.stage]}")
        try:
            found = []
            for partition in range(len(await log.end(TOPIC))):
                found += await log.read(TOPIC, {partition: BEGINNING}, limit=10_000)
            return [decode(entry.value) for entry in found]
        finally:
            await log.close()

    async def row(self, table: str, key: str) -> asyncpg.Record | None:
        """As it stands where this edge's writes go."""
        legacy, service = table.split(" ")
        name, dsn = (
            (f"public.{legacy}", "legacy") if self.side is Side.LEGACY else (service, "services")
        )
        connection = await asyncpg.connect(self.stack.databases[dsn])
        try:
            return await connection.fetchrow(f"select * from {name} where id = $1", key)
        finally:
            await connection.close()

    async def forget(self, submission: str) -> None:
        """Nobody brings over what this edge has made on legacy: others in this world would be refused for naming it."""
        connection = await asyncpg.connect(self.stack.databases["legacy"])
        try:
            await connection.execute("delete from public.submissions where id = $1", submission)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def world(written_world: Stack) -> Stack:
    return written_world


@pytest.fixture(scope="module")
def edges(world: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Stage, Edge]]:
    folder = tmp_path_factory.mktemp("edges")
    with (
        gateway(
            world, folder, name="dual", flags=everybody_at(Stage.DUAL_WRITE), redis_number=5
        ) as dual,
        gateway(world, folder, name="live", flags=everybody_at(Stage.LIVE), redis_number=6) as live,
    ):
        found = {Stage.DUAL_WRITE: dual, Stage.LIVE: live}
        yield {stage: Edge(stack=world, stage=stage, url=one.url) for stage, one in found.items()}


@pytest.fixture(params=[Stage.DUAL_WRITE, Stage.LIVE], ids=["legacy", "service"])
def edge(request: pytest.FixtureRequest, edges: dict[Stage, Edge]) -> Edge:
    return edges[request.param]


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def fields(response: httpx.Response) -> dict[str, str]:
    return {one["field"]: one["code"] for one in response.json()["errors"]}


ORDERS = "lab_orders diagnostics.lab_order"


# --- the same contract on both sides


async def test_a_row_is_made_and_can_be_read_at_once(edge: Edge) -> None:
    key = str(uuid4())
    made = await edge.order(key, status="ordered", price_minor=1250, tags=["a", "b"])
    assert made.status_code == 201
    row = made.json()
    assert row["id"] == str(row_id("lab_orders", str(BY_NAME["clinician"].id), key))
    assert (row["status"], row["price_minor"], row["tags"]) == ("ordered", 1250, ["a", "b"])
    assert row["requester_id"] == str(BY_NAME["clinician"].id)
    assert row["ordered_at"]
    assert made.headers["location"] == f"/v2/lab-orders/{row['id']}"
    assert made.headers["etag"].endswith(f'.{edge.side}"')
    assert made.headers["cache-control"] == "no-store"
    read = await edge.send("GET", f"/lab-orders/{row['id']}")
    assert (read.json(), read.headers["etag"]) == (row, made.headers["etag"])
    events = await edge.send("GET", f"/lab-orders/{row['id']}/events")
    assert [(e["kind"], e["to_status"]) for e in events.json()["items"]] == [("created", "ordered")]


async def test_the_correlation_id_is_in_the_row(edge: Edge) -> None:
    id_ = f"corr-{uuid4()}"
    body = {"submission_id": await edge.submission(), "test_code": "X"}
    made = await edge.send("POST", "/lab-orders", body=body, key=str(uuid4()), x_correlation_id=id_)
    row = await edge.row(ORDERS, made.json()["id"])
    assert row is not None
    assert (row["correlation_id"], row["origin"]) == (id_, edge.side)


async def test_a_patch_changes_the_version_that_was_seen(edge: Edge) -> None:
    made = await edge.order(str(uuid4()))
    path = f"/lab-orders/{made.json()['id']}"
    first = await edge.send("PATCH", path, body={"priority": 1}, if_match=made.headers["etag"])
    assert (first.status_code, first.json()["priority"]) == (200, 1)
    late = await edge.send("PATCH", path, body={"priority": 2}, if_match=made.headers["etag"])
    assert code(late) == (412, "version_changed")
    blind = await edge.send("PATCH", path, body={"tags": ["z"], "test_name": None})
    assert (blind.json()["priority"], blind.json()["tags"]) == (1, ["z"])


async def test_objects_are_merged_on_both_sides(edge: Edge) -> None:
    body = {
        "given_name": "A", "family_name": "B", "birth_date": "1990-01-02",
        "answers": {"a": {"x": 1}, "b": 2}, "guardian": {"name": "G", "phone": "1"},
    }  # fmt: skip
    made = await edge.send("POST", "/submissions", "patient", body=body, key=str(uuid4()))
    assert made.status_code == 201
    patch = {"answers": {"a": {"y": 1.50}, "b": None}, "guardian": {"phone": None}}
    path = f"/submissions/{made.json()['id']}"
    changed = await edge.send(
        "PATCH", path, "patient", body=patch, content_type="application/merge-patch+json"
    )
    assert changed.json()["answers"] == {"a": {"x": 1, "y": 1.5}}
    assert changed.json()["guardian"] == {
        "name": "G",
        "relationship": None,
        "phone": None,
        "email": None,
    }
    await edge.forget(made.json()["id"])


async def test_twenty_patches_of_one_object_lose_none(edge: Edge) -> None:
    """On legacy a merge is read, merged and written; the write names the version that was read."""
    body = {"task_type": "follow_up_call", "title": "T", "metadata": {}}
    made = await edge.send("POST", "/compliance", "compliance", body=body, key=str(uuid4()))
    path = f"/compliance/{made.json()['id']}"

    async def put(number: int) -> int:
        for _ in range(30):
            found = await edge.send(
                "PATCH", path, "compliance", body={"metadata": {f"n{number}": number}}
            )
            if found.status_code == 200:
                return 1
            assert code(found) == (409, "conflict")
        return 0

    assert sum(await asyncio.gather(*(put(n) for n in range(20)))) == 20
    there = await edge.send("GET", path, "compliance")
    assert there.json()["metadata"] == {f"n{n}": n for n in range(20)}


async def test_a_removed_row_is_gone(edge: Edge) -> None:
    start = f"20{31 if edge.side is Side.LEGACY else 32}-01-01T"
    body = {
        "submission_id": await edge.submission(), "clinician_id": str(CLINICIANS[2].id),
        "starts_at": f"{start}09:00:00Z", "ends_at": f"{start}09:30:00Z",
    }  # fmt: skip
    made = await edge.send("POST", "/appointments", body=body, key=str(uuid4()))
    assert made.status_code == 201
    path = f"/appointments/{made.json()['id']}"
    assert code(await edge.send("DELETE", path, if_match='"1.service"')) == (412, "version_changed")
    gone = await edge.send("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert code(await edge.send("GET", path)) == (404, "not_found")
    assert code(await edge.send("DELETE", path)) == (404, "not_found")


async def test_what_is_refused_names_the_field(edge: Edge) -> None:
    assert fields(await edge.order(str(uuid4()), priority=9, colour="red")) == {
        "priority": "above_the_most", "colour": "unknown_field",
    }  # fmt: skip
    unknown = await edge.order(str(uuid4()), submission_id=str(uuid4()))
    assert (code(unknown), fields(unknown)) == (
        (422, "invalid_fields"), {"submission_id": "does_not_exist"},
    )  # fmt: skip
    backwards = {
        "submission_id": await edge.submission(),
        "starts_at": "2031-01-01T09:00:00Z", "ends_at": "2031-01-01T08:00:00Z",
    }  # fmt: skip
    found = await edge.send("POST", "/appointments", body=backwards, key=str(uuid4()))
    assert fields(found) == {"ends_at": "not_behind_starts_at"}


async def test_who_may_not(edge: Edge) -> None:
    body = {"submission_id": await edge.submission(), "test_code": "X"}
    found = await edge.send("POST", "/lab-orders", "patient", body=body, key=str(uuid4()))
    assert code(found) == (403, "forbidden")
    made = await edge.order(str(uuid4()))
    unseen = await edge.send(
        "PATCH", f"/lab-orders/{made.json()['id']}", "partner", body={"priority": 1}
    )
    assert code(unseen) == (404, "not_found")
    visible = await edge.send("GET", "/lab-orders?limit=1", "patient")
    if visible.json()["items"]:
        path = f"/lab-orders/{visible.json()['items'][0]['id']}"
        assert code(await edge.send("PATCH", path, "patient", body={"priority": 1})) == (
            403,
            "forbidden",
        )


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "refusal"),
    [
        ("POST", "/lab-orders", {}, {}, (400, "idempotency_key_missing")),
        ("POST", "/lab-orders", {"idempotency_key": "bare"}, {}, (400, "idempotency_key_invalid")),
        ("POST", "/lab-orders", {"idempotency_key": '"k"', "content_type": "text/plain"}, b"x", (415, "wrong_content_type")),
        ("POST", "/lab-orders", {"idempotency_key": '"k"'}, b"{", (400, "invalid_body")),
        ("POST", "/lab-orders?x=1", {"idempotency_key": '"k"'}, {}, (400, "invalid_query")),
        ("PATCH", "/lab-orders/nothing", {}, {}, (400, "invalid_key")),
        ("PATCH", "/lab-orders", {}, {}, (405, "method_not_allowed")),
        ("DELETE", "/lab-orders", {}, None, (405, "method_not_allowed")),
        ("DELETE", "/submissions/6f9619ff-8b86-d011-b42d-00cf4fc964ff", {}, None, (405, "method_not_allowed")),
    ],
)  # fmt: skip
async def test_requests_of_the_wrong_form(edge: Edge, method, path, headers, body, refusal) -> None:
    assert code(await edge.send(method, path, body=body, **headers)) == refusal


async def test_rows_that_the_authority_numbers(edge: Edge) -> None:
    key = str(uuid4())
    made, again = [
        await edge.send("POST", "/partner/labels", "partner", body={"site_code": "S"}, key=key)
        for _ in range(2)
    ]
    assert made.status_code == 201
    assert again.content == made.content
    assert made.headers["location"] == f"/v2/partner/labels/{made.json()['id']}"


async def test_rows_whose_key_is_their_own(edge: Edge) -> None:
    body = {"site_code": "S 1", "sku": f"{uuid4()}~x", "on_hand": 5}
    made = await edge.send("POST", "/partner/stock", "partner", body=body)
    assert made.status_code == 201
    again = await edge.send("POST", "/partner/stock", "partner", body=body)
    assert code(again) == (409, "conflict")
    path = made.headers["location"].removeprefix("/v2")
    changed = await edge.send("PATCH", path, "partner", body={"on_hand": 4})
    assert changed.json()["on_hand"] == 4


# --- repeats


async def test_a_repeat_is_told_from_a_new_request(edge: Edge) -> None:
    key = str(uuid4())
    first, again = await edge.order(key, tags=["x"]), await edge.order(key, tags=["x"])
    assert (again.status_code, again.content) == (201, first.content)
    assert code(await edge.order(key, tags=["y"])) == (422, "idempotency_mismatch")
    refused = await edge.order(f"{key}-r", submission_id="00000000-0000-4000-8000-000000000000")
    refused_again = await edge.order(
        f"{key}-r", submission_id="00000000-0000-4000-8000-000000000000"
    )
    assert refused_again.content == refused.content


async def test_twenty_at_once_are_one(edge: Edge) -> None:
    key = str(uuid4())
    found = await asyncio.gather(*(edge.order(key) for _ in range(20)))
    assert {r.status_code for r in found} <= {201, 409}
    assert len({r.content for r in found if r.status_code == 201}) == 1
    for refused in (r for r in found if r.status_code == 409):
        assert refused.json()["code"] == "idempotency_in_flight"
        assert refused.headers["retry-after"]
    assert (
        len([s for s in await edge.said() if isinstance(s, Intent) and s.key == (_id(found),)]) == 1
    )


def _id(found: list[httpx.Response]) -> str:
    return next(str(r.json()["id"]) for r in found if r.status_code == 201)


async def test_a_lost_record_is_found_by_its_row(edge: Edge) -> None:
    key = str(uuid4())
    first = await edge.order(key)
    await _forget(edge)
    again = await edge.order(key)
    assert (again.status_code, again.json()) == (201, first.json())
    await _forget(edge)
    assert code(await edge.order(key, tags=["other"])) == (422, "idempotency_mismatch")


async def _forget(edge: Edge) -> None:
    for name, schemas in (("control", ["control"]), ("services", ["diagnostics"])):
        connection = await asyncpg.connect(edge.stack.databases[name])
        for schema in schemas:
            await connection.execute(f"delete from {schema}.idempotency")
        await connection.close()


# --- intents


async def test_a_write_is_announced_and_closed(edge: Edge) -> None:
    made = await edge.order(str(uuid4()))
    row = made.json()["id"]

    async def closed() -> list[Said]:
        said = await edge.said()
        ids = {s.id for s in said if isinstance(s, Intent) and s.key == (row,)}
        return [s for s in said if isinstance(s, Closed) and s.id in ids]

    await until_async(closed)
    said = await edge.said()
    intents = [s for s in said if isinstance(s, Intent) and s.key == (row,)]
    assert [(i.entity, i.authority) for i in intents] == [("lab_orders", edge.side)]
    assert str(BY_NAME["clinician"].id) not in intents[0].user
    assert [c.outcome for c in await closed() if isinstance(c, Closed)] == [Outcome.APPLIED]


async def test_a_numbered_row_s_key_comes_with_its_end(edge: Edge) -> None:
    made = await edge.send(
        "POST", "/partner/labels", "partner", body={"site_code": "S"}, key=str(uuid4())
    )
    key = (str(made.json()["id"]),)

    async def closed() -> bool:
        return any(isinstance(s, Closed) and s.key == key for s in await edge.said())

    await until_async(closed)


async def test_a_refused_write_is_closed_as_not_applied(edge: Edge) -> None:
    id_ = f"corr-{uuid4()}"
    body = {"submission_id": str(uuid4()), "test_code": "X"}
    await edge.send("POST", "/lab-orders", body=body, key=str(uuid4()), x_correlation_id=id_)

    async def outcomes() -> list[Outcome]:
        said = await edge.said()
        ids = {s.id for s in said if isinstance(s, Intent) and s.correlation_id == id_}
        return [s.outcome for s in said if isinstance(s, Closed) and s.id in ids]

    await until_async(outcomes)
    assert await outcomes() == [Outcome.NOT_APPLIED]


async def test_the_record_says_who_wrote_what(edge: Edge, written_folder: Path) -> None:
    id_ = f"corr-{uuid4()}"
    body = {"submission_id": await edge.submission(), "test_code": "X"}
    await edge.send("POST", "/lab-orders", body=body, key=str(uuid4()), x_correlation_id=id_)
    lines = records(written_folder, id_)
    assert [(r["action"], r["entity"], r["outcome"], r["side"], r["status"]) for r in lines] == [
        ("create", "lab_orders", "success", edge.side, 201)
    ]
    assert len(lines[0]["resource"]) == 32


def records(folder: Path, id_: str) -> list[Any]:
    return [
        json.loads(line)
        for path in folder.glob("run/access/*")
        for line in path.read_text().splitlines()
        if id_ in line
    ]
