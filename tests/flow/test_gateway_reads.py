"""One read through the whole pipeline: request in, what each side was asked, what came back. The sides are scripted."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog

from catalog.stage import Side, Stage
from gateway.call import Call
from gateway.edge.connection import ClientConnection
from gateway.facts import Facts
from gateway.plan import Read
from gateway.plans import plan_for
from routes import resources
from runtime.accessrecord import resource_tag
from runtime.flagrule import By, Canonical, Override
from runtime.flagset import FlagSet, first_flag_set
from runtime.upstream.errors import UpstreamBroke
from tests.fakes.scripted import Script, Trouble
from tests.fakes.wire import MemoryTransport
from tests.flow.gateway_world import (
    KEY,
    ROW,
    World,
    at,
    reply,
    rows,
    service,
    staged,
    status,
    task,
    user,
)

pytestmark = pytest.mark.flow


ITEM = f"/v2/compliance/{ROW}"


@staged(at(Stage.LEGACY), at(Stage.SHADOW), at(Stage.DUAL_WRITE))
async def test_up_to_dual_write_only_legacy_is_asked_as_the_user(world: World) -> None:
    world.scripts["legacy"] = rows(task())
    answer = await world.get(ITEM)
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert answer.headers["etag"] == '"1704153600000000.legacy"'
    assert "_origin" not in answer.json()
    assert world.asked["service"] == []
    assert world.asked["legacy"][0].startswith("GET /rest/v1/compliance_tasks?select=id,")


@staged(at(Stage.LIVE))
async def test_live_reads_the_service_alone_when_it_has_the_row(world: World) -> None:
    world.scripts["service"] = service(item=200)
    answer = await world.get(ITEM)
    assert answer.json()["status"] == "from the service"
    assert answer.headers["etag"] == '"1.service"'
    assert world.asked["legacy"] == []


@staged(at(Stage.LIVE))
async def test_a_row_that_the_service_does_not_know_comes_from_legacy(world: World) -> None:
    world.scripts |= {"service": service(known=False), "legacy": rows(task())}
    assert (await world.get(ITEM)).json()["status"] == "completed"
    assert world.asked["service"] == [f"GET {ITEM}", "POST /internal/known"]


@staged(at(Stage.LIVE))
async def test_a_row_that_comes_over_between_two_questions_is_there(world: World) -> None:
    answers: list[Any] = [service(item=404), service(known=True), service(item=200)]
    world.scripts |= {"service": lambda request: answers.pop(0)(request), "legacy": rows(task())}
    answer = await world.get(ITEM)
    assert (answer.status_code, answer.json()["status"]) == (200, "from the service")
    assert world.asked["service"] == [f"GET {ITEM}", "POST /internal/known", f"GET {ITEM}"]
    assert world.asked["legacy"] == []


@staged(at(Stage.LIVE))
async def test_a_row_that_is_hidden_or_deleted_in_the_service_does_not_come_back(
    world: World,
) -> None:
    world.scripts |= {"service": service(known=True), "legacy": rows(task())}
    assert (await world.get(ITEM)).status_code == 404
    assert world.asked["legacy"] == []


@staged(at(Stage.LIVE))
@pytest.mark.parametrize(
    "script",
    [status(500), status(503), Trouble.REFUSED, Trouble.RESET],
    ids=["500", "503", "refused", "reset"],
)
async def test_a_failing_service_is_replaced_by_legacy_at_live(
    world: World, script: Script
) -> None:
    world.scripts |= {"service": script, "legacy": rows(task())}
    with structlog.testing.capture_logs() as logs:
        assert (await world.get(ITEM)).json()["status"] == "completed"
        assert [r["id"] for r in (await world.get("/v2/compliance")).json()["items"]] == [ROW]
    assert [line["event"] for line in logs].count("read.fell_back") == 2
    assert {line["side"] for line in world.records.lines} == {"legacy"}


@staged(at(Stage.RAMP_DOWN), at(Stage.COMPLETE))
@pytest.mark.parametrize(
    ("script", "code", "expected"),
    [
        (Trouble.REFUSED, "upstream_unreachable", 503),
        (status(503), "upstream_unreachable", 503),
        (Trouble.RESET, "upstream_broke", 502),
        (status(500), "upstream_broke", 502),
        (status(302), "upstream_broke", 502),
        (Trouble.SILENCE, "upstream_timeout", 504),
    ],
    ids=["refused", "503", "reset", "500", "302", "slow"],
)
async def test_later_there_is_no_way_back_to_legacy(
    world: World, script: Script, code: str, expected: int
) -> None:
    world.scripts |= {"service": script, "legacy": rows(task())}
    for path in (ITEM, "/v2/compliance"):
        answer = await world.get(path)
        assert (answer.status_code, answer.json()["code"]) == (expected, code)
        assert ("retry-after" in answer.headers) == (expected == 503)
        assert "patient 7" not in answer.text
    assert world.asked["legacy"] == []


@staged(at(Stage.LIVE))
async def test_a_miss_that_cannot_be_looked_into_is_not_answered_from_legacy(world: World) -> None:
    def script(request: httpx.Request) -> httpx.Response:
        return reply(404 if request.method == "GET" else 500, {})

    world.scripts |= {"service": script, "legacy": rows(task())}
    assert (await world.get(ITEM)).status_code == 502
    assert world.asked["legacy"] == []


@staged(at(Stage.LIVE))
async def test_a_federated_list_asks_legacy_first_and_drops_what_is_known(world: World) -> None:
    world.scripts |= {"service": service(known=True), "legacy": rows(task())}
    assert (await world.get("/v2/compliance")).json() == {"items": [], "next": None}
    world.scripts["service"] = service(known=False)
    assert len((await world.get("/v2/compliance")).json()["items"]) == 1


@staged(at(Stage.LIVE))
async def test_a_federated_list_without_legacy_is_an_error_and_not_a_part(world: World) -> None:
    world.scripts |= {"service": service(), "legacy": Trouble.REFUSED}
    answer = await world.get("/v2/compliance")
    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unreachable")


@staged(at(Stage.LIVE, backfilled=True))
async def test_once_backfilled_lists_are_the_services_own(world: World) -> None:
    world.scripts["service"] = lambda request: reply(200, b'{"items":[],"next":null}')
    answer = await world.get("/v2/compliance?status=open&limit=3")
    assert answer.content == b'{"items":[],"next":null}'
    assert world.asked == {"legacy": [], "service": ["GET /v2/compliance?status=open&limit=3"]}


MIXED = at(Stage.LEGACY, identity_check=Stage.LIVE)


@staged(MIXED)
async def test_a_task_is_read_where_its_type_has_moved_to(world: World) -> None:
    world.scripts |= {
        "service": service(item=200),
        "legacy": rows(task(task_type="follow_up_call")),
    }
    assert (await world.get(ITEM)).json()["status"] == "completed"
    world.scripts["legacy"] = rows(task(task_type="identity_check"))
    assert (await world.get(ITEM)).json()["status"] == "from the service"
    world.scripts["legacy"] = rows()
    assert (await world.get(ITEM)).json()["status"] == "from the service"


@staged(MIXED)
async def test_a_list_of_one_type_asks_that_types_side(world: World) -> None:
    world.scripts |= {"service": service(), "legacy": rows(task(task_type="follow_up_call"))}
    assert len((await world.get("/v2/compliance?task_type=follow_up_call")).json()["items"]) == 1
    assert world.asked["service"] == []


@staged(MIXED)
async def test_a_list_of_all_types_keeps_legacys_though_the_service_knows_them(
    world: World,
) -> None:
    world.scripts |= {
        "service": service(known=True),
        "legacy": rows(task(task_type="follow_up_call")),
    }
    assert len((await world.get("/v2/compliance")).json()["items"]) == 1
    world.scripts["legacy"] = rows(task(task_type="identity_check"))
    assert (await world.get("/v2/compliance")).json()["items"] == []


def clinicians_at(stage: Stage) -> FlagSet:
    """Nobody but clinicians has left legacy."""
    first = first_flag_set(Stage.COMPLETE)
    rule = Canonical(overrides=(Override(by=By.ROLE, value="clinician", stage=stage),))
    return replace(
        first, flags={scope: replace(flag, rule=rule) for scope, flag in first.flags.items()}
    )


@staged(clinicians_at(Stage.LIVE), clinicians_at(Stage.COMPLETE))
async def test_once_a_clinicians_calendar_has_moved_patients_look_at_both(world: World) -> None:
    deps = world.app.deps
    for entity, role, side, federated in (
        ("appointments", "patient", Side.SERVICE, True),
        ("compliance_tasks", "patient", Side.LEGACY, False),
    ):
        resource = next(r for r in resources() if r.entity == entity)
        plan = plan_for(resource, user(role), deps.flags.current, None)
        assert isinstance(plan, Read)
        assert (plan.side, plan.federated) == (side, federated)


@staged(clinicians_at(Stage.SHADOW))
async def test_while_no_calendar_has_moved_patients_read_legacy_alone(world: World) -> None:
    resource = next(r for r in resources() if r.entity == "appointments")
    plan = plan_for(resource, user("patient"), world.app.deps.flags.current, None)
    assert plan == Read(side=Side.LEGACY)


@staged(at(Stage.LEGACY))
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (status(401), 401),
        (status(403), 403),
        (status(404), 502),
        (status(400), 502),
        (status(429), 503),
        (status(503), 503),
        (status(500), 502),
        (rows({"id": ROW}), 502),
        (lambda request: reply(200, b"<html>"), 502),
        (Trouble.RESET, 502),
    ],
    ids=["401", "403", "404", "400", "429", "503", "500", "no columns", "no json", "reset"],
)
async def test_what_legacy_cannot_answer(world: World, script: Script, expected: int) -> None:
    world.scripts["legacy"] = script
    for path in (ITEM, "/v2/compliance"):
        answer = await world.get(path)
        assert answer.status_code == expected
        assert answer.headers["content-type"] == "application/problem+json"
        assert "patient 7" not in answer.text


@staged(at(Stage.LEGACY))
@pytest.mark.parametrize(
    ("token", "expected", "code"),
    [
        ("nobody", 401, "unauthenticated"),
        ("no-keys", 503, "upstream_unreachable"),
        ("bug", 500, "internal"),
    ],
)
async def test_who_cannot_be_let_in(world: World, token: str, expected: int, code: str) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await world.get(ITEM, role=token)
    assert (answer.status_code, answer.json()["code"]) == (expected, code)
    assert "patient 7" not in answer.text
    assert ("request.failed" in [line["event"] for line in logs]) == (expected == 500)
    assert [line["status"] for line in world.records.lines] == [expected]
    assert world.asked == {"legacy": [], "service": []}


@staged(at(Stage.LEGACY), at(Stage.COMPLETE))
async def test_there_is_one_record_of_each_request(world: World) -> None:
    world.scripts |= {"legacy": rows(task()), "service": service(item=200)}
    await world.get(ITEM)
    await world.get(ITEM, role="nobody")
    await world.get("/v2/nothing")
    await world.client.request("TRACE", "/v2/compliance")
    item, stranger, nowhere, refused = world.records.lines
    assert (item["sub"], item["action"], item["entity"]) == (ROW, "read", "compliance_tasks")
    assert item["resource"] == resource_tag(KEY, "compliance_tasks", ROW)
    assert (stranger["sub"], stranger["outcome"], stranger["code"]) == (
        "anonymous",
        "denied",
        "unauthenticated",
    )
    assert (nowhere["status"], nowhere["route"]) == (404, "none")
    assert (refused["status"], refused["method"]) == (405, "other")


@staged(at(Stage.LEGACY))
async def test_a_list_is_recorded_with_the_number_of_its_rows(world: World) -> None:
    world.scripts["legacy"] = rows(task())
    await world.get("/v2/compliance")
    assert (world.records.lines[0]["action"], world.records.lines[0]["resource"]) == (
        "search",
        "many:1",
    )


@staged(at(Stage.LEGACY), at(Stage.COMPLETE))
async def test_what_cannot_be_recorded_is_not_given(world: World) -> None:
    world.scripts |= {"legacy": rows(task()), "service": service(item=200)}
    world.records.works = False
    answer = await world.get(ITEM)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_recorded")
    assert answer.headers["retry-after"] == "1"
    assert (await world.client.get("/healthz")).status_code == 200


@staged(at(Stage.COMPLETE))
async def test_a_request_too_many_has_to_wait(world: World) -> None:
    world.scripts["service"] = service(item=200)
    statuses = [(await world.get(ITEM)).status_code for _ in range(130)]
    assert statuses[:100] == [200] * 100
    assert 429 in statuses
    line = next(line for line in world.records.lines if line["status"] == 429)
    assert (line["outcome"], line["code"], line["sub"]) == ("denied", "rate_limited", ROW)


@staged(at(Stage.COMPLETE))
async def test_supabase_keys_are_no_users_and_a_secret_one_is_an_alarm(world: World) -> None:
    rung = 0
    for headers in (
        {"apikey": "sb_publishable_x"},
        {"apikey": "sb_publishable_x", "authorization": "Bearer sb_publishable_x"},
        {"apikey": "sb_secret_x"},
        {"authorization": "Bearer sb_secret_x"},
    ):
        with structlog.testing.capture_logs() as logs:
            answer = await world.client.get(ITEM, headers=headers)
        assert answer.status_code == 401
        rung += "security.alarm" in [line["event"] for line in logs]
        assert "sb_secret_x" not in str(logs)
    assert rung == 1  # at most one line a second
    assert world.app.deps.metrics.security_alerts.read() == {("service_key",): [2.0]}
    assert world.asked["service"] == []


@staged(at(Stage.COMPLETE))
async def test_a_repetition_that_says_so_is_charged_to_the_retry_budget(world: World) -> None:
    world.scripts["service"] = service(item=200)
    await world.get(ITEM)
    await world.get(ITEM, **{"x-retry-count": "1"})
    upstream = world.app.deps.services["/compliance"]
    assert upstream.retries._retries.total() == 1


@staged(at(Stage.COMPLETE))
async def test_a_mistake_of_ours_amid_an_answer_is_a_500_and_no_silence(world: World) -> None:
    # More digits than Python makes a number of.
    world.scripts["service"] = lambda request: reply(200, {}, **{"x-banyan-rows": "9" * 5000})
    with structlog.testing.capture_logs() as logs:
        answer = await world.get("/v2/compliance")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "request.failed" in [line["event"] for line in logs]
    assert [line["status"] for line in world.records.lines] == [500]


@staged(at(Stage.COMPLETE))
async def test_an_overloaded_gateway_refuses_users_and_still_says_that_it_lives(
    world: World,
) -> None:
    world.scripts["service"] = service(item=200)
    world.app.deps.overload.shedding.share = 0.95
    statuses = {(await world.get(ITEM)).status_code for _ in range(10)}
    assert 503 in statuses
    for _ in range(10):
        assert (await world.client.get("/healthz")).status_code == 200


@staged(at(Stage.COMPLETE))
async def test_whoever_leaves_leaves_one_record_whatever_comes_later(world: World) -> None:
    gateway, transport = world.app, MemoryTransport()
    client = ClientConnection(gateway, gateway.clients, gateway.heads)
    client.connection_made(transport)
    client.data_received(f"GET {ITEM} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
    facts = Facts("01987654-1234-7abc", False, "GET", "")
    call = Call(None, facts, client, gateway.deps, head=False)
    call.gone()
    call.fail(UpstreamBroke("compliance"))
    world.records.log.close()
    statuses = [line["status"] for line in world.records.lines]
    assert statuses == [401, 499]
    client.connection_lost(None)
