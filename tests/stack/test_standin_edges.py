"""Beside the REST side: faults on demand, the Realtime socket, Storage's names, and where the stand-in may listen."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from runtime.settings import inherited_environment
from tests.standin_server import Standin

pytestmark = pytest.mark.stack


@pytest.fixture
async def faults(standin: Standin) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may set faults; they are gone behind the test."""
    async with standin.client("clinician") as client:
        yield client
        await client.put("/standin/faults", json=[])


async def test_a_status_on_demand_counts_down(faults: httpx.AsyncClient) -> None:
    rule = {"path": "/rest/v1/lab_orders", "status": 503, "retry_after": 7, "times": 2}
    await faults.put("/standin/faults", json=[rule])
    answers = [await faults.get("/rest/v1/lab_orders?limit=1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].headers["x-banyan-standin"] == "1"


async def test_a_fault_by_the_request_itself(faults: httpx.AsyncClient) -> None:
    header = {"X-Banyan-Fault": json.dumps({"status": 429})}
    assert (await faults.get("/rest/v1/lab_orders", headers=header)).status_code == 429
    assert (await faults.get("/rest/v1/lab_orders?limit=1")).status_code == 200


async def test_a_cut_body_never_looks_whole(faults: httpx.AsyncClient) -> None:
    await faults.put("/standin/faults", json=[{"cut_body": True}])
    with pytest.raises(httpx.RemoteProtocolError):
        await faults.get("/rest/v1/lab_orders")


async def test_late(faults: httpx.AsyncClient) -> None:
    await faults.put("/standin/faults", json=[{"latency_ms": 5000}])
    with pytest.raises(httpx.ReadTimeout):
        await faults.get("/rest/v1/lab_orders?limit=1", timeout=0.2)


async def test_no_row_is_visible(faults: httpx.AsyncClient) -> None:
    assert (await faults.get("/rest/v1/lab_orders?limit=1")).json()
    await faults.put("/standin/faults", json=[{"rls_empty": True}])
    answer = await faults.get("/rest/v1/lab_orders?limit=1")
    assert (answer.status_code, answer.json()) == (200, [])


async def test_a_stale_read_repeats_itself(standin: Standin, faults: httpx.AsyncClient) -> None:
    task = {"task_type": "follow_up_call", "title": "stale"}
    asked = "/rest/v1/compliance_tasks?title=eq.stale&select=title"
    async with standin.client("compliance") as officer:
        await officer.put("/standin/faults", json=[{"stale_read": True}])
        before = await officer.get(asked)
        await officer.post("/rest/v1/compliance_tasks", json=task)
        assert (await officer.get(asked)).json() == before.json() == []
        await officer.put("/standin/faults", json=[])
        assert (await officer.get(asked)).json() == [{"title": "stale"}]


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
async def test_realtime_joins_beats_and_carries_an_injected_event(
    standin: Standin, version: str
) -> None:
    address = standin.url.replace("http", "ws") + "/realtime/v1/websocket"
    async with (
        connect(f"{address}?apikey={standin.keys.publishable}&vsn={version}") as socket,
        standin.client() as client,
    ):
        speak = _Phoenix(socket, arrays=version == "2.0.0")
        changes = [{"event": "*", "schema": "public", "table": "lab_orders"}]
        joined = await speak.call(
            "realtime:t", "phx_join", {"config": {"postgres_changes": changes}}
        )
        assert joined["status"] == "ok"
        assert joined["response"]["postgres_changes"][0]["id"] == 1
        assert (await speak.call("phoenix", "heartbeat", {}))["status"] == "ok"
        event = {"topic": "realtime:t", "event": "postgres_changes", "payload": {"ids": [1]}}
        assert (await client.post("/standin/realtime", json=event)).json() == {"reached": 1}
        assert await speak.next() == ("realtime:t", "postgres_changes", {"ids": [1]})
        assert (await speak.call("realtime:t", "phx_leave", {}))["status"] == "ok"
        assert (await client.post("/standin/realtime", json=event)).json() == {"reached": 0}


async def test_realtime_wants_a_key(standin: Standin) -> None:
    address = standin.url.replace("http", "ws") + "/realtime/v1/websocket?apikey=wrong"
    with pytest.raises(InvalidStatus):
        async with connect(address):
            pass


@pytest.mark.parametrize(
    "key", ["%2e%2e/keys.json", "a/%2e%2e/%2e%2e/x", ".meta/x", "a//b", "a%00"]
)
async def test_storage_never_leaves_its_folder(standin: Standin, key: str) -> None:
    async with standin.client("clinician") as client:
        for method in ("GET", "POST", "DELETE"):
            response = await client.request(method, f"/storage/v1/object/action-plans/{key}")
            assert (response.status_code, response.json()["error"]) == (400, "InvalidKey")
    assert sorted(each.name for each in standin.state.iterdir()) == [
        "keys.json",
        "passwords.json",
        "storage",
    ]


async def test_storage_shows_files_put_there_by_hand(standin: Standin) -> None:
    folder = standin.state / "storage" / "action-plans" / "by-hand"
    await asyncio.to_thread(_put, folder / "plan.pdf", b"%PDF by hand")
    async with standin.client("patient") as client:
        found = await client.get("/storage/v1/object/action-plans/by-hand/plan.pdf")
        assert (found.content, found.headers["content-type"]) == (
            b"%PDF by hand",
            "application/pdf",
        )
        listed = await client.post(
            "/storage/v1/object/list/action-plans", json={"prefix": "by-hand"}
        )
        assert [each["name"] for each in listed.json()] == ["plan.pdf"]


async def test_a_signed_link_is_for_one_object_and_no_token(standin: Standin) -> None:
    folder = standin.state / "storage" / "action-plans"
    await asyncio.to_thread(_put, folder / "a.txt", b"a")
    await asyncio.to_thread(_put, folder / "b.txt", b"b")
    async with standin.client("clinician") as client:
        answer = await client.post(
            "/storage/v1/object/sign/action-plans/a.txt", json={"expiresIn": 60}
        )
        link = answer.json()["signedURL"]
    token = link.partition("token=")[2]
    async with httpx.AsyncClient(base_url=f"{standin.url}/storage/v1") as anybody:
        assert (await anybody.get(link)).content == b"a"
        assert (await anybody.get(link.replace("a.txt", "b.txt"))).status_code == 400
        assert (await anybody.get(link[:-3])).status_code == 400
        bearer = {"Authorization": f"Bearer {token}", "apikey": standin.keys.publishable}
        assert (await anybody.get("/object/action-plans/b.txt", headers=bearer)).status_code == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost", "192.0.2.1"])
def test_it_listens_on_loopback_only(host: str) -> None:
    done = _start("--host", host, "--port", "1")
    assert done.returncode == 2
    assert "127.0.0.1 only" in done.stderr


def test_missing_settings_are_named() -> None:
    done = _start("--port", "1")
    assert done.returncode == 2
    assert "LEGACY_STANDIN_DSN" in done.stderr
    assert "LEGACY_STANDIN_STATE" in done.stderr


def _start(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sandbox.supabase", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=inherited_environment(),
        check=False,
    )


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


class _Phoenix:
    """One side of the Phoenix protocol, in either form."""

    def __init__(self, socket: Any, *, arrays: bool) -> None:
        self.socket = socket
        self.arrays = arrays
        self.sent = 0

    async def call(self, topic: str, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.sent += 1
        ref = str(self.sent)
        message: Any = {"topic": topic, "event": event, "payload": payload, "ref": ref}
        if self.arrays:
            message = ["1", ref, topic, event, payload]
        await self.socket.send(json.dumps(message))
        got_topic, got_event, answer = await self.next()
        assert (got_topic, got_event) == (topic, "phx_reply")
        return answer

    async def next(self) -> tuple[str, str, dict[str, Any]]:
        message = json.loads(await self.socket.recv())
        if self.arrays:
            return message[2], message[3], message[4]
        return message["topic"], message["event"], message["payload"]
