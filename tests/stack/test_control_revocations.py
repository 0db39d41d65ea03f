"""The control API's revocations: who may make them, what they must say, what comes of them."""

import pytest

from runtime.revocations import Kind
from tests.stack.test_control_api import PATIENT, Api, running

pytestmark = pytest.mark.stack


@pytest.fixture
async def api(empty_dsn, redis_url, tmp_path):
    async with running(empty_dsn, redis_url, tmp_path) as api:
        yield api


async def test_an_operator_revokes_and_lifts(api: Api) -> None:
    body = {"kind": "sub", "value": PATIENT, "reason": "stolen laptop"}
    made = await api.call("POST", "/revocations", body)
    assert made.status_code == 201
    answer = made.json()
    assert (answer["version"], answer["changed"], answer["published"]) == (1, True, True)
    entry = answer["revocation"]
    assert (entry["kind"], entry["value"], entry["actor"]) == ("sub", PATIENT, "olga")
    assert (entry["reason"], entry["ends_at"]) == ("stolen laptop", None)
    again = await api.call("POST", "/revocations", body)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    assert (await api.ok("GET", "/revocations", by="viewer"))["items"] == [entry]
    lifted = await api.ok("DELETE", f"/revocations/{entry['id']}", {"reason": "found"})
    assert (lifted["version"], lifted["revocation"]) == (2, entry)
    assert (await api.ok("GET", "/revocations", by="connie"))["items"] == []
    await api.refused("not_found", "DELETE", f"/revocations/{entry['id']}", {})


@pytest.mark.parametrize("kind", [Kind.SESSION, Kind.JTI])
async def test_sessions_and_tokens_end_by_themselves(api: Api, kind: Kind) -> None:
    made = await api.call("POST", "/revocations", {"kind": kind.value, "value": "s-1"})
    assert made.status_code == 201
    assert made.json()["revocation"]["ends_at"]


@pytest.mark.parametrize("who", ["viewer", "anna", "connie"])
async def test_only_operators_change_the_list(api: Api, who: str) -> None:
    body = {"kind": "sub", "value": PATIENT}
    await api.refused("role_needed", "POST", "/revocations", body, by=who)
    await api.refused("role_needed", "DELETE", "/revocations/1", {}, by=who)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "sub"}, "value"),
        ({"kind": "user", "value": PATIENT}, "kind"),
        ({"kind": "sub", "value": "somebody"}, "body"),
        ({"kind": "sub", "value": PATIENT.upper()}, "body"),
        ({"kind": "session", "value": ""}, "value"),
        ({"kind": "session", "value": "x" * 101}, "value"),
        ({"kind": "jti", "value": "a b"}, "value"),
        ({"kind": "jti", "value": 5}, "value"),
        ({"kind": "jti", "value": "x", "until": "tomorrow"}, "until"),
    ],
    ids=str,
)
async def test_what_cannot_be_revoked_is_named(api: Api, body: object, field: str) -> None:
    problem = await api.refused("invalid_request", "POST", "/revocations", body)
    assert field in [error["field"] for error in problem["errors"]]
    assert (await api.ok("GET", "/revocations"))["items"] == []


async def test_in_production_it_needs_a_reason(empty_dsn, redis_url, tmp_path) -> None:
    body = {"kind": "sub", "value": PATIENT, "reason": "asked for by the patient"}
    async with running(empty_dsn, redis_url, tmp_path, profile="production") as api:
        await api.refused("invalid_request", "POST", "/revocations", {**body, "reason": " "})
        made = await api.call("POST", "/revocations", body)
        number = made.json()["revocation"]["id"]
        await api.refused("invalid_request", "DELETE", f"/revocations/{number}", {})
        await api.ok("DELETE", f"/revocations/{number}", {"reason": "it was a mistake"})


async def test_a_full_list_says_so(api: Api, monkeypatch) -> None:
    monkeypatch.setattr("runtime.revocationstore.MOST", 0)
    body = {"kind": "sub", "value": PATIENT}
    problem = await api.refused("list_full", "POST", "/revocations", body)
    assert problem["status"] == 409
