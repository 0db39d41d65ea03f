"""The control API over real PostgreSQL and Valkey: who may do what, and what each call changes."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog

from benchmarks.own_valkey import own_valkey
from catalog.stage import Stage
from gateway.control import Control, create_app
from runtime import settings
from runtime.flagsnapshot import FlagUser, read_snapshot
from runtime.flagstore import KEY
from runtime.identity import Identity, TokenRefused, TooManyTokens
from runtime.jwks import KeysUnavailable
from tests.fakes.keys import key_setting
from tests.patient import patient
from tests.until import until_async

pytestmark = pytest.mark.stack

PATIENT = "0f0f0f0f-0000-4000-8000-000000000001"
ROLES = {
    "viewer": {"viewer"},
    "olga": {"operator", "viewer"},
    "anna": {"approver", "viewer"},
    "both": {"operator", "approver"},
    "connie": {"compliance"},
    "patient": set(),
    "stranger": {"some_other_role"},
    "nobody": {"viewer"},
}


class Verifier:
    """A token is a name; its holder has the roles above."""

    async def verify(self, token: bytes) -> Identity:
        name = token.decode()
        if name == "no-keys":
            raise KeysUnavailable
        if name == "flood":
            raise TooManyTokens
        if name not in ROLES:
            raise TokenRefused("service_key" if name == "a-service-key" else "unknown")
        return Identity(
            sub=name, operator_roles=frozenset(ROLES[name]), is_anonymous=name == "nobody"
        )


class Api:
    """Calls by name of the caller."""

    def __init__(self, client: httpx.AsyncClient, folder: Path, app: Control) -> None:
        self.client = client
        self.app = app
        self.kill_switch = folder / "panic"

    async def call(
        self, method: str, path: str, body: Any = None, *, by: str = "olga", **headers: str
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {by}", **headers}
        content = None if body is None else json.dumps(body)
        return await self.client.request(method, path, content=content, headers=headers)

    async def ok(self, method: str, path: str, body: Any = None, *, by: str = "olga") -> Any:
        answer = await self.call(method, path, body, by=by)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, code: str, method: str, path: str, body: Any = None, **by: str) -> Any:
        answer = await self.call(method, path, body, **by)
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["status"]) == (code, answer.status_code)
        assert problem["correlation_id"] == answer.headers["x-correlation-id"]
        return problem


@asynccontextmanager
async def running(
    dsn: str, redis_url: str, folder: Path, *, profile: str = "sandbox", points: int = 10
) -> AsyncIterator[Api]:
    client = patient(redis_url)
    await client.flushall()
    await client.aclose()
    # The production profile wants TLS, which embedded engines do not have: its rules are taken by `production`.
    found = settings.load(
        profile="sandbox", control_database_url=dsn, redis_url=redis_url,
        audit_keys=key_setting("a1"), audit_anchor_file=folder / "anchors.jsonl",
        kill_switch_file=folder / "panic", flags_second_approver_points=points,
    ).model_copy(update={"profile": profile})  # fmt: skip
    app = create_app(found, verifier=Verifier())
    await app.start()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8401") as http:
        yield Api(http, folder, app)
    await app.stop()


@pytest.fixture
async def api(empty_dsn, redis_url, tmp_path):
    async with running(empty_dsn, redis_url, tmp_path) as api:
        yield api


@pytest.fixture
async def careful(empty_dsn, redis_url, tmp_path):
    async with running(empty_dsn, redis_url, tmp_path, profile="production") as api:
        yield api


PATHS = [
    ("GET", "/flags"),
    ("GET", "/flags/lab_orders"),
    ("GET", "/flags/nonsense"),
    ("POST", "/flags/lab_orders/ramp"),
    ("DELETE", "/flags/lab_orders/overrides"),
    ("PUT", "/entities/lab_orders"),
    ("POST", "/approvals"),
    ("GET", "/explain"),
    ("GET", "/history"),
    ("POST", "/panic"),
    ("GET", "/revocations"),
    ("POST", "/revocations"),
    ("DELETE", "/revocations/1"),
    ("GET", "/audit"),
    ("GET", "/alerts"),
    ("POST", "/alerts/1/acknowledge"),
    ("POST", "/alerts/1/resolve"),
    ("GET", "/there-is-nothing-here"),
    ("PATCH", "/flags"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_others_learn_nothing(api, method, path):
    """The same answer for every path to whoever is not signed in, and to whoever is no operator."""
    for headers in ({}, {"authorization": "Bearer forged"}, {"authorization": "Basic x"}):
        answer = await api.client.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "unauthenticated"
    for by in ("patient", "stranger"):
        assert (await api.refused("not_found", method, path, by=by))["status"] == 404


async def test_without_the_issuers_keys_nobody_is_let_in_and_nobody_is_signed_out(api):
    await api.refused("keys_unavailable", "GET", "/flags", by="no-keys")


async def test_a_flood_of_forged_tokens_is_a_reason_to_ask_again(api):
    await api.refused("busy", "GET", "/flags", by="flood")


async def test_users_without_an_account_are_nobody(api):
    await api.refused("unauthenticated", "GET", "/flags", by="nobody")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer a-service-key"},
        {"authorization": "Bearer sb_secret_x"},
        {"authorization": "Bearer olga", "apikey": "sb_secret_x"},
    ],
    ids=["a token", "a bearer", "an apikey"],
)
async def test_a_key_to_everything_is_refused_and_raises_an_alert(api, headers):
    with structlog.testing.capture_logs() as logged:
        answer = await api.client.get("/flags", headers=headers)
    assert answer.status_code == 401
    alerts = [line for line in logged if line["log_level"] == "error"]
    assert alerts == [{"event": "security.service_key", "log_level": "error", "source": "control"}]


async def test_two_tokens_are_none(api):
    headers = [("authorization", "Bearer olga"), ("authorization", "Bearer viewer")]
    assert (await api.client.get("/flags", headers=headers)).status_code == 401


async def test_health_needs_no_token(api):
    assert (await api.client.get("/healthz")).json() == {"status": "ok"}


async def test_another_hosts_name_is_refused(api):
    for host in ("evil.example", "evil.example:8401", ""):
        answer = await api.client.get("/healthz", headers={"host": host})
        assert answer.status_code == 421
    assert (await api.client.get("/healthz", headers={"host": "localhost"})).status_code == 200


@pytest.mark.parametrize("by", ["viewer", "connie", "anna"])
async def test_readers_read_and_change_nothing(api, by):
    shown = await api.ok("GET", "/flags", by=by)
    assert shown["version"] == 1
    await api.ok("GET", "/history", by=by)
    await api.ok("GET", f"/explain?user={PATIENT}&entity=lab_orders", by=by)
    body = {"stage": "live", "percent": 5}
    problem = await api.refused("role_needed", "POST", "/flags/lab_orders/ramp", body, by=by)
    assert "operator" in problem["reasons"][0]
    assert (await api.ok("GET", "/flags"))["version"] == 1


async def test_only_operators_and_approvers_panic_and_only_approvers_approve(api):
    for by in ("viewer", "connie"):
        await api.refused("role_needed", "POST", "/panic", {}, by=by)
    change = {"entity": "lab_orders", "change": {"kind": "ramp", "stage": "live", "percent": 50}}
    await api.refused("role_needed", "POST", "/approvals", change, by="olga")
    assert not api.kill_switch.exists()


async def test_every_flag_is_shown(api):
    shown = await api.ok("GET", "/flags")
    assert shown["panic"] == {"on": False, "flag_set": False, "kill_switch": False}
    by_name = {entity["entity"]: entity for entity in shown["entities"]}
    lab = by_name["lab_orders"]
    assert lab["followed_by"] == ["lab_order_events"]
    assert (lab["floor"], lab["ceiling"], lab["epoch"]) == ("legacy", "complete", 1)
    assert lab["at_least"] == dict.fromkeys(
        ["shadow", "dual_write", "live", "ramp_down", "complete"], 0
    )
    for name in ("lab_orders", "lab-orders", "lab_order_events"):
        one = await api.ok("GET", f"/flags/{name}")
        assert one == {"version": 1, **lab}


async def test_a_ramp_is_stored_pushed_and_answered(api, redis_url):
    made = await api.ok(
        "POST",
        "/flags/lab-orders/ramp",
        {"stage": "live", "percent": 12.5, "reason": "first users"},
    )
    assert (made["version"], made["changed"], made["published"]) == (2, True, True)
    assert (made["points"], made["down"], made["warnings"]) == (12.5, [], [])
    assert made["entity"]["at_least"]["live"] == 12.5
    client = patient(redis_url)
    wire = await client.get(KEY)
    await client.aclose()
    assert isinstance(wire, bytes)
    assert read_snapshot(wire).version == 2

    down = await api.ok("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5})
    assert down["down"] == ["shadow", "dual_write", "live"][2:]
    entry = (await api.ok("GET", "/history?entity=lab-orders"))["items"][1]
    assert (entry["who"], entry["reason"], entry["change"]["percent"]) == (
        "olga",
        "first users",
        12.5,
    )


async def test_overrides_are_set_and_unset(api):
    path = "/flags/lab_orders/overrides"
    await api.ok("POST", path, {"stage": "live", "user": PATIENT})
    made = await api.ok("POST", path, {"stage": "shadow", "cohort": "testers"})
    assert made["entity"]["overrides"] == [
        {"by": "user", "value": PATIENT, "stage": "live"},
        {"by": "cohort", "value": "testers", "stage": "shadow"},
    ]
    unset = await api.ok("DELETE", path, {"user": PATIENT})
    assert len(unset["entity"]["overrides"]) == 1
    await api.refused("no_such_override", "DELETE", path, {"user": PATIENT})


async def test_partitions_are_split_off_by_their_first_change(api):
    body = {"stage": "live", "percent": 30, "partition": "consent_renewal"}
    made = await api.ok("POST", "/flags/compliance-tasks/ramp", body)
    [part] = made["entity"]["partitions"]
    assert (part["partition"], part["flag"]) == (
        "consent_renewal",
        "compliance_tasks:consent_renewal.stage",
    )
    assert part["at_least"]["live"] == 30
    assert made["entity"]["at_least"]["live"] == 0
    explained = await api.ok(
        "GET", f"/explain?user={PATIENT}&entity=compliance-tasks&partition=consent_renewal"
    )
    assert explained["flag"] == part["flag"]


async def test_floor_and_ceiling_raise_the_epoch_when_they_cross_live(api):
    made = await api.ok("PUT", "/entities/lab_orders", {"ceiling": "shadow"})
    assert (made["entity"]["ceiling"], made["entity"]["epoch"]) == ("shadow", 2)
    made = await api.ok("PUT", "/entities/lab_orders", {"backfilled": True, "floor": "shadow"})
    assert (made["entity"]["backfilled"], made["entity"]["epoch"]) == (True, 2)
    warned = await api.ok("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 50})
    assert "may not go above shadow" in warned["warnings"][0]
    body = {"floor": "live"}
    problem = await api.refused("floor_above_ceiling", "PUT", "/entities/lab_orders", body)
    assert problem["status"] == 409


async def test_explain_takes_the_claims_that_it_is_given(api):
    await api.ok("POST", "/flags/lab_orders/overrides", {"stage": "live", "role": "clinician"})
    await api.ok("POST", "/flags/lab_orders/overrides", {"stage": "shadow", "cohort": "b"})
    path = f"/explain?user={PATIENT}&entity=lab_order_events"
    plain = await api.ok("GET", path)
    assert (plain["stage"], plain["reason"]) == ("legacy", "SPLIT")
    assert 0 <= plain["bucket"] < 100
    clinician = await api.ok("GET", path + "&role=clinician&partner=p")
    assert (clinician["stage"], clinician["rule"]) == ("live", "override for role clinician: live")
    tester = await api.ok("GET", path + "&role=clinician&cohort=a&cohort=b")
    assert tester["stage"] == "shadow"


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/flags/lab_orders/ramp", {}, "stage"),
        ("POST", "/flags/lab_orders/ramp", {"stage": "alive", "percent": 5}, "stage"),
        ("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 101}, "percent"),
        ("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": "5"}, "percent"),
        ("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": True}, "percent"),
        ("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5, "aproval": 1}, "aproval"),
        ("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5, "approval": "x"}, "approval"),
        ("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5, "reason": "a\x00b"}, "reason"),
        ("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5, "reason": "x" * 501}, "reason"),
        ("POST", "/flags/lab_orders/ramp", [], "body"),
        ("POST", "/flags/lab_orders/overrides", {"stage": "live"}, "body"),
        ("POST", "/flags/lab_orders/overrides", {"stage": "live", "user": PATIENT, "role": "a"}, "body"),
        ("POST", "/flags/lab_orders/overrides", {"stage": "live", "user": "ada"}, "user"),
        ("POST", "/flags/lab_orders/overrides", {"stage": "live", "role": "a b"}, "role"),
        ("PUT", "/entities/lab_orders", {}, "body"),
        ("PUT", "/entities/lab_orders", {"epoch": 5}, "epoch"),
        ("POST", "/panic", {"reson": "x"}, "reson"),
        ("GET", "/explain?entity=lab_orders", None, "user"),
        ("GET", f"/explain?entity=lab_orders&user={PATIENT}&rol=x", None, "rol"),
        ("GET", f"/explain?entity=lab_orders&user={PATIENT}&user=x", None, "user"),
        ("GET", "/history?limit=-1", None, "limit"),
        ("GET", "/history?before=x", None, "before"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_wrong_is_named_and_changes_nothing(api, method, path, body, field):
    problem = await api.refused("invalid_request", method, path, body)
    assert field in [error["field"] for error in problem["errors"]]
    assert (await api.ok("GET", "/flags"))["version"] == 1
    assert not api.kill_switch.exists()


@pytest.mark.parametrize(
    ("code", "method", "path", "body", "status"),
    [
        ("unknown_entity", "GET", "/flags/labs", None, 404),
        ("unknown_entity", "POST", "/flags/labs/ramp", {"stage": "live", "percent": 5}, 404),
        ("unknown_entity", "POST", "/flags/lab_orders/ramp",
         {"stage": "live", "percent": 5, "partition": "x"}, 404),
        ("unknown_entity", "GET", f"/explain?user={PATIENT}&entity=labs", None, 404),
        ("follows_another", "POST", "/flags/lab-order-events/ramp", {"stage": "live", "percent": 5}, 409),
        ("follows_another", "PUT", "/entities/appointment_requests", {"backfilled": True}, 409),
        ("nothing_to_ramp", "POST", "/flags/lab_orders/ramp", {"stage": "legacy", "percent": 5}, 409),
        ("bad_percent", "POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5.55}, 409),
        ("not_found", "GET", "/nothing", None, 404),
        ("method_not_allowed", "PATCH", "/flags", None, 405),
        ("method_not_allowed", "GET", "/panic", None, 405),
    ],
    ids=str,
)  # fmt: skip
async def test_refusals_have_their_own_word(api, code, method, path, body, status):
    assert (await api.refused(code, method, path, body))["status"] == status


async def test_a_method_that_is_not_there_is_told_which_are(api):
    answer = await api.call("GET", "/flags/lab_orders/overrides")
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == {"POST", "DELETE"}


async def test_a_huge_body_is_refused(api):
    huge = {"stage": "live", "percent": 5, "reason": "x" * 70_000}
    assert (await api.refused("too_large", "POST", "/flags/lab_orders/ramp", huge))["status"] == 413


async def test_a_change_can_be_made_conditional(api):
    path, body = "/flags/lab_orders/ramp", {"stage": "live", "percent": 5}
    assert (await api.client.get("/flags", headers={"authorization": "Bearer olga"})).headers[
        "etag"
    ] == '"1"'
    made = await api.call("POST", path, body, **{"if-match": '"1"'})
    assert (made.status_code, made.headers["etag"]) == (200, '"2"')
    stale = await api.call("POST", path, {**body, "percent": 9}, **{"if-match": '"1"'})
    assert (stale.status_code, stale.json()["version"]) == (412, 2)
    assert (await api.call("POST", path, body, **{"if-match": "abc"})).status_code == 400


async def test_in_production_a_reason_is_required(careful):
    for method, path, body in [
        ("POST", "/flags/lab_orders/ramp", {"stage": "shadow", "percent": 5}),
        ("POST", "/panic", {"reason": "  "}),
    ]:
        problem = await careful.refused("invalid_request", method, path, body)
        assert problem["errors"] == [{"field": "reason", "code": "missing"}]
    assert not careful.kill_switch.exists()


async def test_in_production_everything_starts_below_live(careful):
    shown = await careful.ok("GET", "/flags")
    assert {entity["ceiling"] for entity in shown["entities"]} == {"shadow"}


RAMP = {"stage": "shadow", "percent": 50}
APPROVE = {"entity": "lab-orders", "change": {"kind": "ramp", **RAMP}}


async def test_a_big_ramp_needs_a_second_person(careful):
    path, body = "/flags/lab_orders/ramp", {**RAMP, "reason": "phase 1"}
    problem = await careful.refused("approver_needed", "POST", path, body)
    assert "--approval" in problem["reasons"][1]
    await careful.ok("POST", path, {**body, "percent": 10})

    approved = await careful.call("POST", "/approvals", APPROVE, by="anna")
    assert approved.status_code == 201
    with_it = {**body, "approval": approved.json()["approval"]}
    made = await careful.ok("POST", path, with_it)
    assert (made["version"], made["points"]) == (3, 40)
    entry = (await careful.ok("GET", "/history"))["items"][0]
    assert (entry["who"], entry["approver"]) == ("olga", "anna")
    await careful.refused("approval_spent", "POST", path, {**with_it, "percent": 90})


async def test_an_approval_is_for_one_change_from_one_state_by_another_person(careful):
    path, body = "/flags/lab_orders/ramp", {**RAMP, "reason": "phase 1"}
    approval = (await careful.call("POST", "/approvals", APPROVE, by="both")).json()["approval"]
    body["approval"] = approval
    await careful.refused("own_approval", "POST", path, body, by="both")
    other = {**body, "percent": 60}
    await careful.refused("approval_for_another", "POST", path, other)
    await careful.refused("approval_for_another", "POST", "/flags/submissions/ramp", body)
    small = {"stage": "shadow", "percent": 3, "reason": "meanwhile"}
    await careful.ok("POST", path, small)
    await careful.refused("approval_outdated", "POST", path, body)
    invented = {**body, "approval": "0f0f0f0f-0000-4000-8000-000000000001"}
    await careful.refused("approval_spent", "POST", path, invented)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/flags/lab_orders/overrides", {"stage": "shadow", "role": "patient"}),
        ("PUT", "/entities/lab_orders", {"ceiling": "live"}),
    ],
)
async def test_what_can_move_everybody_needs_a_second_person(careful, method, path, body):
    await careful.refused("approver_needed", method, path, {**body, "reason": "x"})


async def test_what_is_not_possible_is_not_approved(careful):
    change = {"kind": "unset", "role": "patient"}
    body = {"entity": "lab_orders", "change": change}
    await careful.refused("no_such_override", "POST", "/approvals", body, by="anna")
    wrong = {"entity": "lab_orders", "change": {"kind": "wish"}}
    await careful.refused("invalid_request", "POST", "/approvals", wrong, by="anna")


async def test_panic_takes_back_what_may_go_and_says_what_may_not(api, redis_url):
    await api.ok("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 100})
    await api.ok("PUT", "/entities/submissions", {"floor": "live"})
    answer = await api.ok("POST", "/panic", {"reason": "on fire"}, by="anna")
    assert (answer["panic"], answer["kill_switch"], answer["stored"], answer["published"]) == (
        True,
        True,
        True,
        True,
    )
    assert "lab_orders" in answer["goes"]
    [stays] = answer["stays"]
    assert (stays["entity"], stays["floor"]) == ("submissions", "live")
    assert "authority" in stays["reason"]
    assert api.kill_switch.exists()
    assert (await api.ok("GET", "/flags"))["panic"] == {
        "on": True,
        "flag_set": True,
        "kill_switch": True,
    }
    client = patient(redis_url)
    wire = await client.get(KEY)
    await client.aclose()
    assert isinstance(wire, bytes)
    pushed = read_snapshot(wire)
    assert pushed.stage("lab_orders", FlagUser(sub=PATIENT)) is Stage.LEGACY
    assert pushed.stage("submissions", FlagUser(sub=PATIENT)) is Stage.LIVE
    explained = await api.ok("GET", f"/explain?user={PATIENT}&entity=lab_orders")
    assert (explained["stage"], explained["clamped"]) == ("legacy", "panic")

    calm = await api.ok("DELETE", "/panic", {"reason": "put out"})
    assert (calm["panic"], calm["kill_switch"]) == (False, False)
    assert not api.kill_switch.exists()
    explained = await api.ok("GET", f"/explain?user={PATIENT}&entity=lab_orders")
    assert explained["stage"] == "live"
    kinds = [entry["change"]["kind"] for entry in (await api.ok("GET", "/history"))["items"]]
    assert kinds[:2] == ["panic", "panic"]


async def test_with_redis_dead_ramps_are_refused_and_panic_works(empty_dsn, tmp_path):
    with own_valkey(tmp_path / "valkey") as valkey:
        async with running(empty_dsn, valkey.url, tmp_path) as api:
            valkey.kill()
            body = {"stage": "live", "percent": 5}
            problem = await api.refused("store_unavailable", "POST", "/flags/lab_orders/ramp", body)
            assert (problem["status"], problem["reasons"]) == (503, ["redis cannot be used"])
            answer = await api.ok("POST", "/panic", {})
            assert (answer["kill_switch"], answer["stored"], answer["published"]) == (
                True,
                True,
                False,
            )
            assert (await api.ok("GET", "/flags"))["version"] == 2
            valkey.start()

            async def told() -> bool:
                client = patient(valkey.url)
                wire = await client.get(KEY)
                await client.aclose()
                return isinstance(wire, bytes) and read_snapshot(wire).panic

            await until_async(told)


async def test_with_postgresql_dead_panic_still_works(api, empty_dsn, cluster):
    await api.ok("GET", "/flags")
    await _lock_out(cluster, empty_dsn, allow=False)
    answer = await api.ok("POST", "/panic", {})
    assert (answer["kill_switch"], answer["stored"]) == (True, False)
    assert "lab_orders" in answer["goes"]
    assert api.kill_switch.exists()
    await api.refused("store_unavailable", "GET", "/flags")
    assert (await api.refused("store_unavailable", "DELETE", "/panic", {}))["status"] == 503
    await _lock_out(cluster, empty_dsn, allow=True)
    assert (await api.ok("DELETE", "/panic", {}))["panic"] is False


async def _lock_out(cluster: Any, dsn: str, *, allow: bool) -> None:
    """As a server that refuses: no new connection to the database, and none left."""
    name = dsn.rpartition("/")[2]
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute(f"alter database {name} with allow_connections {allow}")
        if not allow:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
            )
    finally:
        await connection.close()


async def test_redis_is_told_by_the_running_process(api, redis_url):
    client = patient(redis_url)
    await client.flushall()

    async def told() -> bool:
        return await client.exists(KEY) == 1

    await until_async(told)
    await client.aclose()
