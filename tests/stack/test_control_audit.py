"""What the control API writes into the audit chain: every change, in the change's own transaction, and nobody's id."""

from typing import Any

import asyncpg
import pytest

from gateway.control import create_app
from runtime import settings
from runtime.auditanchor import AnchorFile
from runtime.auditchain import AuditChain, Event
from runtime.auditverify import verify
from runtime.settingserror import SettingsError
from tests.fakes.keys import keyring
from tests.stack.test_control_api import APPROVE, PATIENT, Api, Verifier, running
from tests.until import until_async

pytestmark = pytest.mark.stack

OVERRIDE = {"stage": "live", "user": PATIENT}
REVOKE = {"kind": "sub", "value": PATIENT, "reason": "stolen laptop"}


@pytest.fixture
async def api(empty_dsn, redis_url, tmp_path):
    async with running(empty_dsn, redis_url, tmp_path) as api:
        yield api


async def test_every_change_is_told_once(api: Api, empty_dsn: str, tmp_path) -> None:
    await api.ok("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5, "reason": "go"})
    await api.ok("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5})  # no change
    await api.ok("POST", "/flags/lab_orders/overrides", OVERRIDE)
    await api.ok("DELETE", "/flags/lab_orders/overrides", {"user": PATIENT})
    await api.ok("PUT", "/entities/submissions", {"floor": "live"})
    assert (await api.call("POST", "/approvals", APPROVE, by="anna")).status_code == 201
    await api.ok("POST", "/panic", {"reason": "on fire"}, by="anna")
    await api.ok("DELETE", "/panic", {})
    number = (await api.call("POST", "/revocations", REVOKE)).json()["revocation"]["id"]
    await api.ok("POST", "/revocations", REVOKE)  # was revoked before
    await api.ok("DELETE", f"/revocations/{number}", {"reason": "found"})

    listed = await api.call("GET", "/audit?limit=50", by="viewer")
    items = listed.json()["items"]
    assert [(i["n"], i["action"], i["actor"], i["reason"]) for i in reversed(items)] == [
        (1, "flags.first", "banyan", "first start"),
        (2, "flags.ramp", "olga", "go"),
        (3, "flags.set", "olga", ""),
        (4, "flags.unset", "olga", ""),
        (5, "flags.allow", "olga", ""),
        (6, "flags.approve", "anna", ""),
        (7, "flags.panic", "anna", "on fire"),
        (8, "flags.panic", "olga", ""),
        (9, "revocations.revoke", "olga", "stolen laptop"),
        (10, "revocations.lift", "olga", "found"),
    ]
    assert PATIENT not in listed.text
    set_, unset = items[-3]["subject"], items[-4]["subject"]
    assert set_["change"]["user"] == unset["change"]["user"]
    assert set_["change"]["user"].startswith("a1:")
    assert (set_["version"], unset["version"]) == (3, 4)
    assert items[0]["subject"]["value"] == items[1]["subject"]["value"]
    older = await api.ok("GET", "/audit?writer=control&before=3&limit=1")
    assert [i["n"] for i in older["items"]] == [2]

    connection = await asyncpg.connect(empty_dsn)
    [verdict] = await verify(connection, keyring("a1"), anchors={})
    await connection.close()
    assert (verdict.records, verdict.broken) == (10, None)


async def test_what_commands_did_past_the_api_is_listed_among_it(api: Api, empty_dsn: str) -> None:
    operators = AuditChain(keyring("a1"), writer="operators")
    connection = await asyncpg.connect(empty_dsn)
    for percent in (5, 6):
        await api.ok("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": percent})
        event = Event(action="mirror.redrive", actor="otto@host", reason=str(percent), subject={})
        async with connection.transaction():
            await operators.append(connection, event)
    await connection.close()

    def found(answer: Any) -> list[tuple[str, int, str]]:
        return [(i["writer"], i["n"], i["action"]) for i in answer["items"]]

    assert found(await api.ok("GET", "/audit?limit=4")) == [
        ("operators", 2, "mirror.redrive"),
        ("control", 3, "flags.ramp"),
        ("operators", 1, "mirror.redrive"),
        ("control", 2, "flags.ramp"),
    ]
    assert found(await api.ok("GET", "/audit?writer=operators&before=2")) == [
        ("operators", 1, "mirror.redrive")
    ]
    assert found(await api.ok("GET", "/audit?writer=nobody")) == []
    problem = await api.refused("invalid_request", "GET", "/audit?before=2")
    assert problem["errors"] == [{"field": "before", "code": "needs_writer"}]


@pytest.mark.parametrize(
    ("method", "path", "body", "by"),
    [
        ("POST", "/flags/lab_orders/ramp", {"stage": "live", "percent": 5}, "olga"),
        ("POST", "/flags/lab_orders/overrides", OVERRIDE, "olga"),
        ("PUT", "/entities/submissions", {"floor": "live"}, "olga"),
        ("POST", "/approvals", APPROVE, "anna"),
        ("DELETE", "/panic", {}, "olga"),
        ("POST", "/revocations", REVOKE, "olga"),
        ("DELETE", "/revocations/1", {}, "olga"),
    ],
)
async def test_what_cannot_be_told_is_not_done(
    api: Api, empty_dsn: str, method: str, path: str, body: dict[str, str], by: str
) -> None:
    await api.call("POST", "/revocations", {**REVOKE, "value": PATIENT[::-1].replace("0", "1")})
    await api.call("POST", "/revocations", {"kind": "jti", "value": "j"})
    await api.ok("POST", "/panic", {})
    connection = await asyncpg.connect(empty_dsn)
    state = (
        "select (select max(version) from control.flag_versions), (select count(*) from control.flag_approvals),"
        " (select version from control.revocation_list), (select count(*) from control.revocations),"
        " (select count(lifted_at) from control.revocations)"
    )
    before = await connection.fetchrow(state)
    await connection.execute("alter table control.audit rename to gone")
    problem = await api.refused("store_unavailable", method, path, body, by=by)
    assert problem["status"] == 503
    assert await connection.fetchrow(state) == before
    await connection.execute("alter table control.gone rename to audit")
    assert (await api.call(method, path, body, by=by)).status_code in (200, 201)
    assert await connection.fetchrow(state) != before
    await connection.close()


async def test_panic_works_without_the_chain(api: Api, empty_dsn: str) -> None:
    """The file comes first; that the flag set does not say so is told."""
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("alter table control.audit rename to gone")
    await connection.close()
    answer = await api.ok("POST", "/panic", {})
    assert (answer["kill_switch"], answer["stored"]) == (True, False)


async def test_the_process_anchors_its_chain(api: Api, tmp_path) -> None:
    file = AnchorFile(tmp_path / "anchors.jsonl")

    async def anchored() -> bool:
        return "control" in file.furthest("control")

    await until_async(anchored)


def test_without_keys_it_does_not_start(empty_dsn, redis_url) -> None:
    found = settings.load(profile="sandbox", control_database_url=empty_dsn, redis_url=redis_url)
    with pytest.raises(SettingsError, match="AUDIT_KEYS is not set"):
        create_app(found, verifier=Verifier())
