"""What laboratories say about orders: signature, state and trail, repeats, and messages that overtake each other."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import asyncpg
import httpx
import pytest

from catalog.service import Service
from tests.fakes.keys import keyring
from tests.writing_world import World, code, fields, outbox

pytestmark = pytest.mark.stack

PATH = "/v2/lab-orders/vendor-updates"


@pytest.fixture
def world(writing_world: World) -> World:
    return writing_world


def message(status: str, event: str = "e-1", **members: Any) -> dict[str, Any]:
    return {
        "vendor": "acme",
        "vendor_reference": "V-1",
        "event_id": event,
        "status": status,
        "occurred_at": "2026-01-02T03:04:05Z",
        **members,
    }


async def say(
    world: World, said: dict[str, Any] | bytes, *, secret: str = "acme", age: int = 0
) -> httpx.Response:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    at = int(time.time()) - age
    signature = hmac.new(
        keyring(secret).newest_key, f"{at}.".encode() + body, hashlib.sha256
    ).hexdigest()
    return await world.clients[Service.DIAGNOSTICS].post(
        PATH, content=body, headers={"x-vendor-signature": f"t={at},v1={signature}"}
    )


async def sent_order(world: World, reference: str = "V-1", status: str = "ordered") -> str:
    made = await world.order(status=status, vendor="acme")
    key = str(made.json()["id"])
    given = {"vendor_reference": reference}
    patched = await world.send(Service.DIAGNOSTICS, "PATCH", f"/lab-orders/{key}", body=given)
    assert patched.status_code == 200
    return key


async def trail(world: World, order: str) -> list[asyncpg.Record]:
    return list(
        await world.owner.fetch(
            "select kind, from_status::text as before, to_status::text as after, actor_type, payload, occurred_at"
            " from diagnostics.lab_order_event where lab_order_id = $1 order by id",
            order,
        )
    )


async def row(world: World, order: str) -> dict[str, Any]:
    found = await world.owner.fetchrow("select * from diagnostics.lab_order where id = $1", order)
    assert found is not None
    return dict(found)


async def test_an_order_goes_through_the_states_that_were_skipped(world: World) -> None:
    order = await sent_order(world)
    payload = {"analyser": {"run": 7}}
    told = await say(world, message("final", payload=payload, result_summary="normal"))
    assert (told.status_code, told.json()) == (200, {"applied": True, "status": "resulted"})
    found = await row(world, order)
    assert (found["status"], found["vendor_status"], found["result_summary"]) == (
        "resulted",
        "final",
        "normal",
    )
    assert json.loads(found["vendor_payload"]) == payload
    assert found["collected_at"].isoformat() == "2026-01-02T03:04:05+00:00"
    assert found["resulted_at"] == found["collected_at"]
    events = await trail(world, order)
    assert [(e["kind"], e["before"], e["after"], e["actor_type"]) for e in events[1:]] == [
        ("status_changed", "ordered", "sent", "vendor"),
        ("status_changed", "sent", "collected", "vendor"),
        ("status_changed", "collected", "in_progress", "vendor"),
        ("status_changed", "in_progress", "resulted", "vendor"),
        ("vendor_update", "ordered", "resulted", "vendor"),
    ]
    assert json.loads(events[-1]["payload"]) == {"event_id": "e-1", "vendor_status": "final"}
    kinds = [e["event_type"] for e in await outbox(world, "diagnostics", "lab_orders")]
    assert kinds == ["banyan.lab_orders.created", *["banyan.lab_orders.updated"] * 2]


async def test_what_would_lead_back_is_kept_and_not_applied(world: World) -> None:
    order = await sent_order(world)
    await say(world, message("processing", "e-1"))
    before = await row(world, order)
    late = await say(world, message("collected", "e-2", payload={"late": True}))
    assert (late.status_code, late.json()) == (200, {"applied": False, "status": "in_progress"})
    assert await row(world, order) == before
    event = (await trail(world, order))[-1]
    assert (event["kind"], event["before"], event["after"]) == (
        "vendor_update_ignored",
        "in_progress",
        "collected",
    )
    assert json.loads(event["payload"]) == {
        "event_id": "e-2",
        "vendor_status": "collected",
        "vendor_payload": {"late": True},
    }


async def test_an_older_message_about_the_same_state_does_not_win(world: World) -> None:
    order = await sent_order(world)
    newer, older = "2026-01-02T05:00:00Z", "2026-01-02T04:00:00Z"
    await say(world, message("corrected", "e-2", occurred_at=newer, result_summary="corrected"))
    late = await say(world, message("final", "e-1", occurred_at=older, result_summary="first"))
    assert late.json() == {"applied": False, "status": "resulted"}
    assert (await row(world, order))["result_summary"] == "corrected"
    newest = await say(
        world,
        message("corrected", "e-3", occurred_at="2026-01-02T06:00:00Z", result_summary="again"),
    )
    assert newest.json() == {"applied": True, "status": "resulted"}
    assert (await row(world, order))["result_summary"] == "again"


async def test_a_repeat_is_answered_alike_and_changes_nothing(world: World) -> None:
    order = await sent_order(world)
    first = await say(world, message("collected"))
    events = await trail(world, order)
    again = await say(world, message("collected"), age=10)
    assert (again.status_code, again.content) == (200, first.content)
    assert await trail(world, order) == events
    other = await say(world, message("final"))
    assert code(other) == (422, "idempotency_mismatch")
    assert (await row(world, order))["status"] == "collected"


async def test_another_vendor_may_use_the_same_event_id(world: World) -> None:
    await sent_order(world)
    assert (await say(world, message("collected"))).status_code == 200
    theirs = await say(world, message("collected", vendor="other"), secret="other")
    assert code(theirs) == (404, "not_found")


async def test_a_message_that_comes_before_its_order_is_not_remembered(world: World) -> None:
    assert code(await say(world, message("accepted"))) == (404, "not_found")
    order = await sent_order(world)
    assert (await say(world, message("accepted"))).json() == {"applied": True, "status": "sent"}
    assert (await row(world, order))["status"] == "sent"


async def test_twenty_of_one_event_at_once_are_one(world: World) -> None:
    order = await sent_order(world)
    found = await asyncio.gather(*(say(world, message("collected")) for _ in range(20)))
    assert {response.status_code for response in found} <= {200, 409}
    assert any(response.status_code == 200 for response in found)
    kinds = [event["kind"] for event in await trail(world, order)]
    assert kinds == ["created", "status_changed", "status_changed", "vendor_update"]


async def test_messages_that_race_leave_the_order_at_the_furthest(world: World) -> None:
    order = await sent_order(world)
    words = ("accepted", "collected", "processing", "final")
    found = await asyncio.gather(
        *(say(world, message(word, f"e-{n}")) for n, word in enumerate(words * 3))
    )
    assert {response.status_code for response in found} == {200}
    assert (await row(world, order))["status"] == "resulted"
    events = await trail(world, order)
    steps = [(e["before"], e["after"]) for e in events if e["kind"] == "status_changed"]
    assert steps == [
        ("ordered", "sent"),
        ("sent", "collected"),
        ("collected", "in_progress"),
        ("in_progress", "resulted"),
    ]
    told = [e for e in events if e["kind"].startswith("vendor_update")]
    assert len(told) == len(found)


async def test_who_is_not_known_learns_nothing(world: World) -> None:
    await sent_order(world)
    client = world.clients[Service.DIAGNOSTICS]
    refused = [
        await say(world, message("final"), secret="nobody"),
        await say(world, message("final", vendor="nobody"), secret="nobody"),
        await say(world, message("final"), secret="other"),
        await say(world, message("final", vendor="other")),
        await say(world, message("final"), age=301),
        await say(world, b'{"vendor":"acme"', secret="nobody"),
        await say(world, b"[" * 100_000, secret="nobody"),
        await client.post(PATH, content=json.dumps(message("final")).encode()),
        await client.post(PATH, content=b"{}", headers=world.issuer.headers("clinician")),
    ]
    bodies = [{**r.json(), "correlation_id": ""} for r in refused]
    assert {code(r) for r in refused} == {(401, "unauthenticated")}
    assert all(body == bodies[0] for body in bodies)


async def test_a_known_vendor_is_told_what_is_wrong(world: World) -> None:
    assert code(await say(world, b'{"vendor":"acme","vendor":"acme"}')) == (400, "invalid_body")
    assert code(await say(world, b"x" * (1024 * 1024 + 1))) == (413, "too_large")
    strange = message("on the moon", "", extra=1)
    assert fields(await say(world, strange)) == {"extra": "unknown_field"}
    del strange["extra"]
    found = await say(world, {**strange, "occurred_at": "2999-01-01T00:00:00Z"})
    assert fields(found) == {
        "event_id": "expected_a_value",
        "status": "unknown_value",
        "occurred_at": "ahead_of_the_clock",
    }


async def test_a_laboratory_is_held_by_epoch_and_mode(world: World) -> None:
    order = await sent_order(world)
    await world.owner.execute(
        "select diagnostics.set_write_mode('lab_orders', 'closed', 1, 'me', 'test')"
    )
    assert code(await say(world, message("final"))) == (409, "authority_changed")
    await world.owner.execute(
        "select diagnostics.set_write_mode('lab_orders', 'read_write', 2, 'me', 'test')"
    )
    assert (await say(world, message("final"))).json()["applied"]
    assert (await row(world, order))["status"] == "resulted"
