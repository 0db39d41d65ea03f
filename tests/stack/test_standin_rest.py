"""What the gateway relies on at the stand-in's REST side: identity, row security, stamps, write modes, labels."""

import json
from typing import Any

import asyncpg
import httpx
import jwt
import pytest

from sandbox.seed.people import BY_NAME
from sandbox.supabase.keys import User
from tests.standin_server import Standin
from tests.until import until_async

pytestmark = pytest.mark.stack

NEW_TASK = {"task_type": "identity_check", "title": "stand-in"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/rest/v1/lab_orders", {}, 401),
        ("/rest/v1/lab_orders", {"apikey": "sb_publishable_other"}, 401),
        ("/auth/v1/user", {}, 401),
        ("/auth/v1/.well-known/jwks.json", {}, 200),
        ("/healthz", {}, 200),
        ("/nowhere", {}, 404),
    ],
)
async def test_the_edge_wants_a_key_and_labels_everything(
    standin: Standin, path: str, headers: dict[str, str], status: int
) -> None:
    async with httpx.AsyncClient(base_url=standin.url) as client:
        response = await client.get(path, headers=headers)
    assert response.status_code == status
    assert response.headers["x-banyan-standin"] == "1"
    if status == 401:
        assert set(response.json()) == {"message", "hint"}


async def test_a_key_as_bearer_is_nobody(standin: Standin) -> None:
    """What signed-out clients send: the publishable key twice, or the old anon key twice."""
    for key in (standin.keys.publishable, standin.keys.anon):
        async with standin.client(apikey=key, Authorization=f"Bearer {key}") as client:
            response = await client.get("/rest/v1/lab_orders")
        assert (response.status_code, response.json()["code"]) == (401, "42501")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_another_key_as_bearer_is_a_broken_token(standin: Standin) -> None:
    async with standin.client(Authorization="Bearer sb_publishable_other") as client:
        response = await client.get("/rest/v1/lab_orders")
    assert (response.status_code, response.json()["code"]) == (401, "PGRST301")


async def test_a_secret_key_is_not_for_browsers(standin: Standin) -> None:
    async with standin.service() as client:
        assert (await client.get("/rest/v1/lab_orders?limit=1")).status_code == 200
        browser = {"User-Agent": "Mozilla/5.0 (X11)"}
        assert (await client.get("/rest/v1/lab_orders", headers=browser)).status_code == 401


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": 1_000_000_000}, "PGRST303"),
        ({"exp": "soon"}, "PGRST303"),
        ({"nbf": 4_000_000_000}, "PGRST303"),
        ({"iat": 4_000_000_000}, "PGRST303"),
        ({"role": "no_such_role"}, "22023"),
    ],
)
async def test_bad_claims_are_refused(standin: Standin, claims: dict[str, Any], code: str) -> None:
    token = standin.keys.mint(User(id="", email=""), claims=claims)
    async with standin.client(Authorization=f"Bearer {token}") as client:
        response = await client.get("/rest/v1/lab_orders")
    assert (response.status_code, response.json()["code"]) == (401, code)


async def test_a_foreign_signature_is_refused(standin: Standin) -> None:
    forged = jwt.encode({"role": "service_role"}, "x" * 32, algorithm="HS256")
    header, payload, signature = standin.token("patient").split(".")
    for token in (forged, f"{header}.{payload}.{signature[::-1]}", "not-a-token"):
        async with standin.client(Authorization=f"Bearer {token}") as client:
            response = await client.get("/rest/v1/lab_orders")
        assert (response.status_code, response.json()["code"]) == (401, "PGRST301")


async def test_a_role_that_the_login_may_not_take_is_refused(standin: Standin) -> None:
    token = standin.keys.mint(User(id="", email=""), claims={"role": "postgres"})
    async with standin.client(Authorization=f"Bearer {token}") as client:
        response = await client.get("/rest/v1/lab_orders")
    assert (response.status_code, response.json()["code"]) == (403, "42501")


async def test_each_sees_what_row_security_shows(standin: Standin) -> None:
    seen = {}
    for name in ("patient", "clinician", "partner", "partner-b", "finance"):
        async with standin.client(name, Prefer="count=exact") as client:
            for table in ("submissions", "partner_payouts", "partner_stock_levels"):
                response = await client.head(f"/rest/v1/{table}")
                seen[name, table] = int(response.headers["content-range"].partition("/")[2])
    assert 0 < seen["patient", "submissions"] < seen["clinician", "submissions"]
    assert seen["partner", "submissions"] == 0
    assert seen["patient", "partner_payouts"] == 0
    assert 0 < seen["partner", "partner_payouts"] < seen["finance", "partner_payouts"]
    assert seen["partner", "partner_stock_levels"] > 0
    async with standin.client("partner", Prefer="count=exact") as client:
        theirs = f"/rest/v1/partner_payouts?partner_id=eq.{BY_NAME['partner-b'].app_metadata['partner_id']}"
        assert (await client.get(theirs)).json() == []


async def test_the_correlation_id_reaches_the_row(standin: Standin) -> None:
    async with standin.client(
        "compliance", Prefer="return=representation", **{"X-Correlation-ID": "corr-standin-1"}
    ) as client:
        created = (await client.post("/rest/v1/compliance_tasks", json=NEW_TASK)).json()[0]
        assert (created["correlation_id"], created["origin"]) == ("corr-standin-1", "legacy")
        changed = await client.patch(
            f"/rest/v1/compliance_tasks?id=eq.{created['id']}",
            json={"title": "later"},
            headers={"X-Correlation-ID": "corr-standin-2"},
        )
    assert changed.json()[0]["correlation_id"] == "corr-standin-2"
    assert changed.json()[0]["row_version"] == 2


async def test_writes_answer_nothing_unless_asked(standin: Standin) -> None:
    async with standin.client("compliance") as client:
        created = await client.post("/rest/v1/compliance_tasks", json=NEW_TASK)
        assert (created.status_code, created.content) == (201, b"")
        assert "content-type" not in created.headers
        changed = await client.patch(
            "/rest/v1/compliance_tasks?title=eq.stand-in", json={"description": "x"}
        )
        assert (changed.status_code, changed.content) == (204, b"")
        assert "content-length" not in changed.headers


async def test_a_closed_table_answers_405(standin: Standin) -> None:
    owner = await asyncpg.connect(standin.legacy.owner)
    control = await asyncpg.connect(standin.legacy.control)
    try:
        epoch = await owner.fetchval(
            "select epoch + 1 from banyan.entity where entity = 'partner_checkins'"
        )
        mode = "select banyan.set_write_mode('partner_checkins', $1, $2, 'test', 'test')"
        await control.execute(mode, "mirror_only", epoch)
        async with standin.client("partner") as client:
            row = {
                "partner_id": BY_NAME["partner"].app_metadata["partner_id"],
                "site_code": "S",
                "sku": "K",
                "quantity": 1,
            }
            response = await client.post("/rest/v1/partner_checkins", json=row)
        assert (response.status_code, response.json()["code"]) == (405, "25006")
        await control.execute(mode, "read_write", epoch + 1)
    finally:
        await owner.close()
        await control.close()


async def test_the_mirror_function_applies_items(standin: Standin) -> None:
    """As a worker without a direct connection calls it."""
    task = "11111111-1111-4111-8111-111111111111"
    item = {
        "entity": "compliance_tasks",
        "op": "upsert",
        "key": {"id": task},
        "row": {"id": task, "task_type": "identity_check", "title": "mirrored"},
        "updated_at": "2026-01-01T00:00:00.000001Z",
        "origin": "service",
        "row_version": 1,
        "seen_at": None,
        "correlation_id": "corr-mirror-1",
        "epoch": 10_000,
    }
    async with standin.service() as client:
        first = await client.post("/rest/v1/rpc/banyan_mirror", json={"items": [item]})
        assert first.status_code == 200, first.text
        second = await client.post("/rest/v1/rpc/banyan_mirror", json={"items": [item]})
        found = await client.get(f"/rest/v1/compliance_tasks?id=eq.{task}&select=title,origin")
    assert "applied" in first.text
    assert "same" in second.text
    assert found.json() == [{"title": "mirrored", "origin": "service"}]
    async with standin.client("clinician") as client:
        refused = await client.post("/rest/v1/rpc/banyan_mirror", json={"items": []})
    assert (refused.status_code, refused.json()["code"]) == (403, "42501")


async def test_a_new_table_is_found(standin: Standin) -> None:
    """By asking for it, and a dropped column by `notify pgrst`."""
    owner = await asyncpg.connect(standin.legacy.owner)
    try:
        async with standin.service() as client:
            assert (await client.get("/rest/v1/fresh")).status_code == 404
            await owner.execute("create table public.fresh (id int, label text)")
            await owner.execute("grant select on public.fresh to service_role")

            async def known() -> bool:
                return (await client.get("/rest/v1/fresh")).status_code == 200

            await until_async(known)
            await owner.execute("alter table public.fresh rename label to name")
            await owner.execute("notify pgrst, 'reload schema'")

            async def renamed() -> bool:
                return (await client.get("/rest/v1/fresh?name=eq.x")).status_code == 200

            await until_async(renamed)
    finally:
        await owner.execute("drop table if exists public.fresh")
        await owner.close()


async def test_what_is_not_built_says_so(standin: Standin) -> None:
    async with standin.client("clinician") as client:
        for path in (
            "/rest/v1/lab_orders?test_name=fts.blood",
            "/rest/v1/lab_orders?tags=sl.(1,2)",
            "/rest/v1/submissions?select=id,...lab_orders(id)",
            "/rest/v1/",
        ):
            response = await client.get(path)
            assert (response.status_code, response.json()["code"]) == (400, "PGRST127"), path


async def test_guessed_totals(standin: Standin) -> None:
    """`planned` is the planner's number, `estimated` the true one as long as it is below max-rows."""
    totals = {}
    async with standin.service() as client:
        for count in ("exact", "estimated", "planned"):
            response = await client.head(
                "/rest/v1/lab_orders?limit=1", headers={"Prefer": f"count={count}"}
            )
            assert response.headers["preference-applied"] == f"count={count}"
            totals[count] = int(response.headers["content-range"].partition("/")[2])
    assert totals["estimated"] == totals["exact"] > 1
    assert totals["planned"] > 0


async def test_browsers_may_call_and_read_the_headers(standin: Standin) -> None:
    origin = {"Origin": "http://127.0.0.1:8440"}
    async with httpx.AsyncClient(base_url=standin.url) as client:
        preflight = await client.options(
            "/rest/v1/lab_orders",
            headers={
                **origin,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "apikey,authorization,prefer,x-correlation-id",
            },
        )
        refused = await client.get("/rest/v1/lab_orders", headers=origin)
    assert preflight.status_code == 200
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert refused.status_code == 401
    assert refused.headers.get_list("access-control-allow-origin") == ["*"]
    assert "Content-Range" in refused.headers["access-control-expose-headers"]


async def test_the_longest_statement_is_ended(standin: Standin) -> None:
    owner = await asyncpg.connect(standin.legacy.owner)
    try:
        async with owner.transaction():
            await owner.execute("lock table public.partner_label_queue in access exclusive mode")
            async with standin.service() as client:
                response = await client.get("/rest/v1/partner_label_queue")
        assert (response.status_code, response.json()["code"]) == (500, "57014")
    finally:
        await owner.close()


async def test_errors_and_logs_hold_no_request(standin: Standin) -> None:
    """The log says that it is a stand-in, and nothing of what was asked."""
    async with standin.client("clinician") as client:
        await client.get("/rest/v1/submissions?first_name=eq.Marmaduke-Testname&select=nonsense")
    log = (standin.state.parent / "standin.log").read_text(encoding="utf-8")
    assert "stand-in, not PostgREST, never for production" in log
    assert "Marmaduke" not in log
    assert all(json.loads(line) for line in log.splitlines())
