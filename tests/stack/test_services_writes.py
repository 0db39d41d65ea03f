"""Writes through the services: the row, its trail, its event and its record commit together; states, versions, repeats."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from catalog.service import Service
from routes.idempotency import row_id
from sandbox.seed.people import CLINICIANS
from tests.services_world import USERS
from tests.writing_world import (
    CLINICIAN,
    COMPLIANCE,
    FINANCE,
    PARTNER,
    PATIENT,
    World,
    code,
    fields,
    outbox,
)

pytestmark = pytest.mark.stack


@pytest.fixture
def world(writing_world: World) -> World:
    return writing_world


# --- create


async def test_a_new_row_commits_with_all_that_belongs_to_it(world: World) -> None:
    body = {"submission_id": await world.submission(), "test_code": "HBA1C", "price_minor": 1250}
    made = await world.send(
        Service.DIAGNOSTICS,
        "POST",
        "/lab-orders",
        body=body,
        key="k-1",
        x_correlation_id="corr-0001",
    )
    assert made.status_code == 201
    row = made.json()
    key = str(row_id("lab_orders", USERS[CLINICIAN].sub, "k-1"))
    assert (row["id"], row["status"], row["price_minor"]) == (key, "draft", 1250)
    assert row["requester_id"] == USERS[CLINICIAN].sub
    assert row["order_number"] == 1000001
    assert made.headers["location"] == f"/v2/lab-orders/{key}"
    assert made.headers["etag"].endswith('.service"')
    read = await world.send(Service.DIAGNOSTICS, "GET", f"/lab-orders/{key}")
    assert (read.json(), read.headers["etag"]) == (row, made.headers["etag"])

    stored = await world.owner.fetchrow(f"select * from diagnostics.lab_order where id = '{key}'")
    assert stored is not None
    assert (stored["correlation_id"], stored["origin"], stored["row_version"]) == (
        "corr-0001",
        "service",
        1,
    )
    event = await world.owner.fetchrow(
        f"select * from diagnostics.lab_order_event where lab_order_id = '{key}'"
    )
    assert event is not None
    assert (event["id"], event["kind"], event["to_status"], event["correlation_id"]) == (
        1000001, "created", "draft", "corr-0001",
    )  # fmt: skip
    events = await outbox(world, "diagnostics", "lab_orders")
    assert [(e["event_type"], json.loads(e["key"]), e["correlation_id"]) for e in events] == [
        ("banyan.lab_orders.created", {"id": key}, "corr-0001")
    ]
    assert len(await outbox(world, "diagnostics", "lab_order_events")) == 1
    record = await world.owner.fetchrow("select * from diagnostics.idempotency")
    assert record is not None
    assert record["status"] == 201
    shown = record["scope"] + record["key"] + record["fingerprint"]
    assert "k-1" not in shown
    assert b"HBA1C" not in record["answer"]


async def test_a_refused_write_leaves_nothing(world: World) -> None:
    before = await world.owner.fetchval("select count(*) from diagnostics.lab_order")
    made = await world.order(vendor="acme", currency="POUNDS")
    assert (code(made), fields(made)) == ((422, "invalid_fields"), {"currency": "wrong_length"})
    unknown = await world.order(submission_id=str(uuid4()))
    assert fields(unknown) == {"submission_id": "does_not_exist"}
    forbidden = await world.send(
        Service.DIAGNOSTICS, "POST", "/lab-orders", PATIENT, key="k",
        body={"submission_id": await world.submission(), "test_code": "X"},
    )  # fmt: skip
    assert code(forbidden) == (403, "forbidden")
    assert await world.owner.fetchval("select count(*) from diagnostics.lab_order") == before
    assert await outbox(world, "diagnostics", "lab_orders") == []


@pytest.mark.parametrize(
    ("headers", "body", "refusal"),
    [
        ({}, {}, (400, "idempotency_key_missing")),
        ({"idempotency_key": "bare"}, {}, (400, "idempotency_key_invalid")),
        (
            {"idempotency_key": '"k"', "content_type": "text/plain"},
            b"{}",
            (415, "wrong_content_type"),
        ),
        (
            {"idempotency_key": '"k"', "content_type": "application/merge-patch+json"},
            b"{}",
            (415, "wrong_content_type"),
        ),
        ({"idempotency_key": '"k"'}, b'{"a":1,"a":2}', (400, "invalid_body")),
        ({"idempotency_key": '"k"', "x_banyan_epoch": "-1"}, {"a": 1}, (400, "malformed")),
    ],
)
async def test_requests_of_the_wrong_form(world: World, headers, body, refusal) -> None:
    found = await world.send(Service.DIAGNOSTICS, "POST", "/lab-orders", body=body, **headers)
    assert code(found) == refusal


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/lab-orders/00000000-0000-4000-8000-000000000000", "GET, HEAD, PATCH"),
        ("PATCH", "/lab-orders", "GET, HEAD, POST"),
        ("POST", "/lab-orders/00000000-0000-4000-8000-000000000000", "GET, HEAD, PATCH"),
        ("PATCH", "/lab-orders/00000000-0000-4000-8000-000000000000/events", "GET, HEAD, POST"),
        ("PUT", "/lab-orders", "GET, HEAD, POST"),
    ],
)
async def test_methods_that_are_not_there(world: World, method: str, path: str, allow: str) -> None:
    found = await world.send(Service.DIAGNOSTICS, method, path, body={}, key="k")
    assert code(found) == (405, "method_not_allowed")
    assert found.headers["allow"] == allow


async def test_without_a_number_nothing_is_written(world: World) -> None:
    await world.owner.execute("delete from partner_ops.id_leases")
    made = await world.send(
        Service.PARTNER_OPS, "POST", "/partner/labels", PARTNER, key="k", body={"site_code": "L"}
    )
    assert code(made) == (503, "upstream_busy")
    assert made.json()["outcome"] == "not_applied"
    assert await outbox(world, "partner_ops", "partner_label_queue") == []


# --- repeats


async def test_a_repeat_gets_the_same_answer(world: World) -> None:
    body = {"submission_id": await world.submission(), "test_code": "A"}
    first, again = [
        await world.send(Service.DIAGNOSTICS, "POST", "/lab-orders", body=body, key="same")
        for _ in range(2)
    ]
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["etag"] == first.headers["etag"]
    other = await world.send(
        Service.DIAGNOSTICS, "POST", "/lab-orders", body={**body, "test_code": "B"}, key="same"
    )
    assert code(other) == (422, "idempotency_mismatch")
    theirs = await world.send(
        Service.DIAGNOSTICS, "POST", "/lab-orders", "clinician-b", body=body, key="same"
    )
    assert theirs.status_code == 201
    assert theirs.json()["id"] != first.json()["id"]
    assert len(await outbox(world, "diagnostics", "lab_orders")) == 2


async def test_a_repeat_of_a_refusal_is_refused_alike(world: World) -> None:
    made = await world.order(status="ordered")
    path = f"/lab-orders/{made.json()['id']}"
    patch = {"status": "resulted"}
    first = await world.send(Service.DIAGNOSTICS, "PATCH", path, body=patch, key="p")
    await world.send(Service.DIAGNOSTICS, "PATCH", path, body={"status": "cancelled"})
    again = await world.send(Service.DIAGNOSTICS, "PATCH", path, body=patch, key="p")
    assert code(first) == (409, "illegal_transition")
    assert again.content == first.content


async def test_a_row_that_was_not_there_is_looked_for_again_by_a_repeat(world: World) -> None:
    """It may be on its way from legacy, and has come between the two."""
    path = f"/partner/stock/{USERS[PARTNER].app_metadata['partner_id']}~NEW~S"

    async def patch() -> httpx.Response:
        change = {"on_hand": 7}
        return await world.send(Service.PARTNER_OPS, "PATCH", path, PARTNER, body=change, key="p")

    assert code(await patch()) == (404, "not_found")
    body = {"site_code": "NEW", "sku": "S", "on_hand": 1}
    made = await world.send(Service.PARTNER_OPS, "POST", "/partner/stock", PARTNER, body=body)
    assert made.status_code == 201, made.text
    assert [(one.status_code, one.json()["on_hand"]) for one in (await patch(), await patch())] == [
        (200, 7)
    ] * 2


async def test_twenty_at_once_with_one_key_are_one(world: World) -> None:
    body = {"submission_id": await world.submission(), "test_code": "A"}
    found = await asyncio.gather(
        *(
            world.send(Service.DIAGNOSTICS, "POST", "/lab-orders", body=body, key="burst")
            for _ in range(20)
        )
    )
    assert {response.status_code for response in found} <= {201, 409}
    refused = [response for response in found if response.status_code == 409]
    assert {code(one)[1] for one in refused} <= {"idempotency_in_flight"}
    assert all(one.headers["retry-after"] for one in refused)
    assert len({r.content for r in found if r.status_code == 201}) == 1
    assert len(await outbox(world, "diagnostics", "lab_orders")) == 1


async def test_a_lost_record_is_found_by_its_row(world: World) -> None:
    body = {"submission_id": await world.submission(), "test_code": "A", "tags": ["x"]}
    first = await world.send(Service.DIAGNOSTICS, "POST", "/lab-orders", body=body, key="lost")
    await world.owner.execute("delete from diagnostics.idempotency")
    again = await world.send(Service.DIAGNOSTICS, "POST", "/lab-orders", body=body, key="lost")
    assert (again.status_code, again.json()) == (201, first.json())
    await world.owner.execute("delete from diagnostics.idempotency")
    other = await world.send(
        Service.DIAGNOSTICS, "POST", "/lab-orders", body={**body, "tags": []}, key="lost"
    )
    assert code(other) == (422, "idempotency_mismatch")
    assert len(await outbox(world, "diagnostics", "lab_orders")) == 1


# --- change and remove


async def test_a_patch_is_stamped_and_leaves_a_trail(world: World) -> None:
    made = await world.order(status="ordered", vendor="acme")
    path = f"/lab-orders/{made.json()['id']}"
    sent = await world.send(
        Service.DIAGNOSTICS, "PATCH", path, body={"status": "sent"},
        if_match=made.headers["etag"], content_type="application/merge-patch+json",
    )  # fmt: skip
    assert (sent.status_code, sent.json()["status"]) == (200, "sent")
    assert sent.headers["etag"] != made.headers["etag"]
    stale = await world.send(
        Service.DIAGNOSTICS, "PATCH", path, body={"priority": 1}, if_match=made.headers["etag"]
    )
    assert code(stale) == (412, "version_changed")
    any_ = await world.send(Service.DIAGNOSTICS, "PATCH", path, body={"priority": 1}, if_match="*")
    assert any_.json()["priority"] == 1
    trail = await world.owner.fetch(
        "select from_status::text, to_status::text from diagnostics.lab_order_event where lab_order_id = $1 order by id",
        made.json()["id"],
    )
    assert [tuple(row) for row in trail] == [(None, "ordered"), ("ordered", "sent")]
    kinds = [row["event_type"] for row in await outbox(world, "diagnostics", "lab_orders")]
    assert kinds == ["banyan.lab_orders.created", *["banyan.lab_orders.updated"] * 2]


async def test_a_state_goes_its_ways_only(world: World) -> None:
    made = await world.order(status="ordered")
    path = f"/lab-orders/{made.json()['id']}"
    refused = await world.send(Service.DIAGNOSTICS, "PATCH", path, body={"status": "resulted"})
    assert code(refused) == (409, "illegal_transition")
    assert refused.json()["legal"] == ["sent", "failed", "cancelled"]
    assert fields(refused) == {"status": "no_such_way"}
    unsent = await world.send(Service.DIAGNOSTICS, "PATCH", path, body={"status": "sent"})
    assert fields(unsent) == {"vendor": "needed_to_send"}


async def test_what_one_cannot_change_is_told_from_what_one_cannot_see(world: World) -> None:
    own = await world.owner.fetchval(
        "select o.id from diagnostics.lab_order o join diagnostics.subject_access a using (submission_id)"
        " where a.user_id = $1 limit 1",
        USERS[PATIENT].sub,
    )
    seen = await world.send(
        Service.DIAGNOSTICS, "PATCH", f"/lab-orders/{own}", PATIENT, body={"priority": 1}
    )
    assert code(seen) == (403, "forbidden")
    unseen = await world.send(
        Service.DIAGNOSTICS, "PATCH", f"/lab-orders/{uuid4()}", PATIENT, body={"priority": 1}
    )
    assert code(unseen) == (404, "not_found")


async def test_a_removed_row_leaves_a_tombstone(world: World) -> None:
    made = await world.send(
        Service.SCHEDULING, "POST", "/appointments", key="a",
        body={
            "submission_id": await world.submission(), "clinician_id": str(CLINICIANS[0].id),
            "starts_at": "2031-01-01T09:00:00Z", "ends_at": "2031-01-01T09:30:00Z",
        },
    )  # fmt: skip
    assert made.status_code == 201
    path = f"/appointments/{made.json()['id']}"
    stale = await world.send(Service.SCHEDULING, "DELETE", path, if_match='"1.service"')
    assert code(stale) == (412, "version_changed")
    gone = await world.send(Service.SCHEDULING, "DELETE", path, if_match=made.headers["etag"])
    assert (gone.status_code, gone.content) == (204, b"")
    assert code(await world.send(Service.SCHEDULING, "DELETE", path)) == (404, "not_found")
    grave = await world.owner.fetchrow(
        "select * from scheduling.tombstones where key = $1", json.dumps({"id": made.json()["id"]})
    )
    assert grave is not None
    assert grave["row_version"] == 2
    events = await outbox(world, "scheduling", "appointments")
    assert [e["event_type"] for e in events] == [
        "banyan.appointments.created",
        "banyan.appointments.deleted",
    ]


async def test_objects_are_merged_inside(world: World) -> None:
    body = {
        "given_name": "A", "family_name": "B", "birth_date": "1990-01-02",
        "answers": {"a": {"x": 1}, "b": 2}, "guardian": {"name": "G", "phone": "1"},
    }  # fmt: skip
    made = await world.send(Service.INTAKE, "POST", "/submissions", PATIENT, body=body, key="s")
    assert made.status_code == 201
    patch = {"answers": {"a": {"y": 1.50}, "b": None}, "guardian": {"phone": None}}
    path = f"/submissions/{made.json()['id']}"
    changed = await world.send(Service.INTAKE, "PATCH", path, PATIENT, body=patch)
    assert changed.json()["answers"] == {"a": {"x": 1, "y": 1.5}}
    assert changed.json()["guardian"] == {
        "name": "G",
        "relationship": None,
        "phone": None,
        "email": None,
    }


# --- epoch and mode


async def test_a_stale_epoch_and_a_closed_table_refuse(world: World) -> None:
    await world.owner.execute(
        "select diagnostics.set_write_mode('lab_orders', 'read_write', 5, 'me', 'test')"
    )
    body = {"submission_id": await world.submission(), "test_code": "A"}

    async def post(key: str, epoch: str) -> httpx.Response:
        return await world.send(
            Service.DIAGNOSTICS, "POST", "/lab-orders", body=body, key=key, x_banyan_epoch=epoch
        )

    assert code(await post("e", "4")) == (409, "authority_changed")
    assert (await post("e", "5")).status_code == 201
    await world.owner.execute(
        "select diagnostics.set_write_mode('lab_orders', 'closed', 6, 'me', 'test')"
    )
    assert code(await post("f", "6")) == (409, "authority_changed")
    assert len(await outbox(world, "diagnostics", "lab_orders")) == 1


# --- rules of each domain


async def test_a_clinician_is_in_one_place_at_a_time(world: World) -> None:
    submission = await world.submission()

    async def book(start: int, key: str) -> httpx.Response:
        body = {
            "submission_id": submission, "clinician_id": str(CLINICIANS[0].id),
            "starts_at": f"2031-03-01T{start:02}:00:00Z", "ends_at": f"2031-03-01T{start:02}:40:00Z",
        }  # fmt: skip
        return await world.send(Service.SCHEDULING, "POST", "/appointments", body=body, key=key)

    found = await asyncio.gather(*(book(9 + n % 3, f"b{n}") for n in range(15)))
    assert sorted(r.status_code for r in found) == [201] * 3 + [409] * 12
    assert {tuple(fields(r).items()) for r in found if r.status_code == 409} == {
        (("starts_at", "clinician_is_booked"),)
    }
    backwards = await world.send(
        Service.SCHEDULING, "POST", "/appointments", key="z",
        body={"submission_id": submission, "starts_at": "2031-01-01T09:00:00Z", "ends_at": "2031-01-01T08:00:00Z"},
    )  # fmt: skip
    assert fields(backwards) == {"ends_at": "not_behind_starts_at"}
    nowhere = await world.send(
        Service.SCHEDULING, "POST", "/appointments", key="y",
        body={
            "submission_id": submission, "time_zone": "Mars/Base",
            "starts_at": "2031-01-01T09:00:00Z", "ends_at": "2031-01-01T10:00:00Z",
        },
    )  # fmt: skip
    assert fields(nowhere) == {"time_zone": "unknown_time_zone"}


async def test_a_submission_needs_consent_and_a_minor_a_guardian(world: World) -> None:
    child = {
        "given_name": "A",
        "family_name": "B",
        "birth_date": "2020-01-02",
        "status": "submitted",
    }
    refused = await world.send(Service.INTAKE, "POST", "/submissions", PATIENT, body=child, key="1")
    assert fields(refused) == {
        "consent_status": "needed_to_submit",
        "guardian": "needed_for_a_minor",
    }
    whole = {
        **child,
        "consent_status": "granted",
        "guardian": {"name": "G", "email": "g@mail.example"},
    }
    made = await world.send(Service.INTAKE, "POST", "/submissions", PATIENT, body=whole, key="2")
    assert made.status_code == 201
    assert made.json()["submitted_at"]
    assert made.json()["consent_granted_at"]
    path = f"/submissions/{made.json()['id']}"
    own = await world.send(Service.INTAKE, "PATCH", path, PATIENT, body={"status": "in_review"})
    assert code(own) == (403, "forbidden")
    reviewed = await world.send(Service.INTAKE, "PATCH", path, body={"status": "in_review"})
    assert reviewed.json()["status"] == "in_review"


async def test_each_type_of_task_has_its_ways(world: World) -> None:
    async def task(kind: str) -> str:
        body = {"task_type": kind, "title": "T", "submission_id": await world.submission()}
        made = await world.send(
            Service.COMPLIANCE, "POST", "/compliance", COMPLIANCE, body=body, key=str(uuid4())
        )
        assert made.status_code == 201
        return f"/compliance/{made.json()['id']}"

    async def to(path: str, status: str) -> httpx.Response:
        return await world.send(
            Service.COMPLIANCE, "PATCH", path, COMPLIANCE, body={"status": status}
        )

    call, review = await task("follow_up_call"), await task("safeguarding_review")
    done = await to(call, "completed")
    assert done.json()["completed_by"] == USERS[COMPLIANCE].sub
    refused = await to(review, "completed")
    assert (code(refused), refused.json()["legal"]) == (
        (409, "illegal_transition"),
        ["in_progress", "blocked"],
    )
    assert (await to(review, "in_progress")).status_code == 200
    assert (await to(review, "completed")).json()["completed_at"]


async def test_a_bad_reading_raises_one_task(world: World) -> None:
    async def reading(minute: int, degrees: float) -> httpx.Response:
        body = {
            "site_code": "S", "device_id": "fridge-9", "temperature_c": degrees,
            "measured_at": f"2031-01-01T09:{minute:02}:00Z", "is_excursion": False,
        }  # fmt: skip
        return await world.send(
            Service.COMPLIANCE,
            "POST",
            "/partner/temperature-logs",
            PARTNER,
            body=body,
            key=f"t{minute}",
        )

    fine, warm, warmer = await reading(1, 8), await reading(2, 8.01), await reading(3, 9)
    assert [r.json()["is_excursion"] for r in (fine, warm, warmer)] == [False, True, True]
    tasks = await world.owner.fetch(
        'select * from compliance.task where metadata @> \'{"device_id": "fridge-9"}\''
    )
    assert [(t["task_type"], t["status"], t["origin"]) for t in tasks] == [
        ("temperature_excursion", "open", "service")
    ]
    twice = await reading(1, 8)
    assert twice.content == fine.content


async def test_a_payout_adds_up_and_stands_once_it_is_approved(world: World) -> None:
    body = {
        "partner_id": str(uuid4()), "period_start": "2031-01-01", "period_end": "2031-01-31",
        "gross_minor": 1251, "lines": [{"amount": 12.50}, {"amount": 0.01}],
    }  # fmt: skip
    made = await world.send(
        Service.FINANCE, "POST", "/partner/payouts", FINANCE, body=body, key="p"
    )
    assert made.status_code == 201
    assert made.json()["net_minor"] == 1251
    path = f"/partner/payouts/{made.json()['id']}"

    async def patch(**members: Any) -> httpx.Response:
        return await world.send(Service.FINANCE, "PATCH", path, FINANCE, body=members)

    assert fields(await patch(gross_minor=1250)) == {"lines": "not_the_gross_amount"}
    assert fields(await patch(lines=[{"amount": 1e-3}])) == {"lines": "expected_amounts_of_money"}
    assert (await patch(status="approved")).status_code == 200
    assert fields(await patch(fee_minor=1)) == {"fee_minor": "approved_already"}
    assert fields(await patch(status="sent")) == {"remittance_reference": "needed_to_send"}
    assert (await patch(status="sent", remittance_reference="R-1")).status_code == 200
    gone = await world.send(Service.FINANCE, "DELETE", path, FINANCE)
    assert code(gone) == (409, "conflict")
    overlap = {**body, "period_start": "2031-01-31", "period_end": "2031-02-01"}
    refused = await world.send(
        Service.FINANCE, "POST", "/partner/payouts", FINANCE, body=overlap, key="q"
    )
    assert fields(refused) == {"period_start": "another_payout_covers_it"}


async def test_a_label_is_put_back_by_hand_but_not_printed(world: World) -> None:
    made = await world.send(
        Service.PARTNER_OPS, "POST", "/partner/labels", PARTNER, key="l", body={"site_code": "S"}
    )
    assert (made.status_code, made.json()["id"]) == (201, 1000001)
    path = f"/partner/labels/{made.json()['id']}"
    refused = await world.send(
        Service.PARTNER_OPS, "PATCH", path, PARTNER, body={"status": "printing"}
    )
    assert (code(refused), refused.json()["legal"]) == ((409, "illegal_transition"), ["cancelled"])
    other = await world.send(
        Service.PARTNER_OPS, "PATCH", path, "partner-b", body={"status": "cancelled"}
    )
    assert code(other) == (404, "not_found")


async def test_a_plan_without_its_file_is_not_published(world: World) -> None:
    body = {"submission_id": await world.submission(), "title": "T"}
    made = await world.send(Service.CARE_PLANS, "POST", "/action-plans", body=body, key="c")
    assert made.status_code == 201
    path = f"/action-plans/{made.json()['id']}"
    refused = await world.send(
        Service.CARE_PLANS, "PATCH", path, body={"published_at": "2031-01-01T00:00:00Z"}
    )
    assert fields(refused) == {"published_at": "its_file_is_not_there"}
    again = {**body, "revision": 1}
    second = await world.send(Service.CARE_PLANS, "POST", "/action-plans", body=again, key="d")
    assert fields(second) == {"revision": "taken"}


async def test_stock_has_a_key_of_its_own(world: World) -> None:
    body = {"site_code": "S 1", "sku": "K~1", "on_hand": 5}
    made = await world.send(Service.PARTNER_OPS, "POST", "/partner/stock", PARTNER, body=body)
    assert made.status_code == 201
    assert made.headers["location"].endswith("~S%201~K%7E1")
    again = await world.send(Service.PARTNER_OPS, "POST", "/partner/stock", PARTNER, body=body)
    assert (code(again), fields(again)) == (
        (409, "conflict"),
        {"partner_id+site_code+sku": "taken"},
    )
    path = made.headers["location"].removeprefix("/v2")
    changed = await world.send(Service.PARTNER_OPS, "PATCH", path, PARTNER, body={"on_hand": 4})
    assert changed.json()["on_hand"] == 4
