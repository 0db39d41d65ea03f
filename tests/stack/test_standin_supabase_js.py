"""The real supabase-js, unchanged, against the stand-in."""

import asyncio
import json
import subprocess
from typing import Any

import asyncpg
import pytest

from sandbox.seed.people import BY_NAME
from tests import npm
from tests.standin_server import Standin

pytestmark = [pytest.mark.stack, pytest.mark.node]


@pytest.fixture(scope="module")
def rows(standin: Standin) -> dict[str, Any]:
    """Keys to ask for: lab orders, and a submission of the sample patient."""
    return asyncio.run(_rows(standin.legacy.owner))


async def _rows(dsn: str) -> dict[str, Any]:
    patient = BY_NAME["patient"].id
    connection = await asyncpg.connect(dsn)
    try:
        orders = await connection.fetch(
            "select id::text from lab_orders order by order_number limit 3"
        )
        return {
            "orders": [row["id"] for row in orders],
            "submission": await connection.fetchval(
                "select id::text from submissions where user_id = $1 order by created_at limit 1",
                patient,
            ),
            "total": await connection.fetchval("select count(*) from lab_orders"),
            "visible": await connection.fetchval(
                "select count(*) from submissions where user_id = $1", patient
            ),
            "everything": await connection.fetchval("select count(*) from submissions"),
        }
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def seen(standin: Standin, rows: dict[str, Any]) -> dict[str, Any]:
    """What supabase.mjs saw."""
    users = {
        name: {"email": BY_NAME[name].email, "password": BY_NAME[name].password}
        for name in ("clinician", "patient")
    }
    given = {"users": users, "submission": rows["submission"], "orders": rows["orders"]}
    done = subprocess.run(
        ["node", "supabase.mjs", standin.url, standin.keys.publishable, json.dumps(given)],
        cwd=npm.FOLDER,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_signs_in_and_knows_the_user(seen: dict[str, Any]) -> None:
    email = BY_NAME["clinician"].email
    assert seen["login"] == {
        "error": None,
        "email": email,
        "role": "authenticated",
        "expires_in": 3600,
    }
    assert seen["user"] == email
    assert seen["claims"] == {"sub": True, "aud": "authenticated"}


def test_a_wrong_password_is_told_apart(seen: dict[str, Any]) -> None:
    assert seen["wrong_password"] == {"code": "invalid_credentials", "status": 400}


def test_signed_out_is_anonymous(seen: dict[str, Any]) -> None:
    assert seen["anonymous"] == {"data": None, "count": None, "status": 401, "code": "42501"}


def test_filters_and_order(seen: dict[str, Any], rows: dict[str, Any]) -> None:
    found = seen["filters"]["data"]
    assert {row["id"] for row in found} == set(rows["orders"])
    numbers = [row["order_number"] for row in found]
    assert numbers == sorted(numbers, reverse=True)


def test_embeds_both_ways(seen: dict[str, Any], rows: dict[str, Any]) -> None:
    (row,) = seen["embeds"]["data"]
    assert row["id"] == rows["orders"][0]
    assert set(row["submission"]) == {"id", "status"}
    assert row["lab_order_events"]
    assert all(set(event) == {"event_type"} for event in row["lab_order_events"])


def test_range_and_count(seen: dict[str, Any], rows: dict[str, Any]) -> None:
    assert seen["range"]["status"] == 206
    assert len(seen["range"]["data"]) == 2
    assert seen["range"]["count"] == rows["total"]
    assert seen["head"]["count"] == rows["total"]
    assert seen["head"]["data"] is None


def test_single_and_maybe_single(seen: dict[str, Any], rows: dict[str, Any]) -> None:
    assert seen["single"]["data"] == {"id": rows["orders"][0]}
    assert seen["single_of_none"]["code"] == "PGRST116"
    assert seen["single_of_none"]["status"] == 406
    assert seen["maybe_single"]["data"] is None
    assert seen["maybe_single"]["code"] is None


def test_csv_and_json_paths(seen: dict[str, Any], rows: dict[str, Any]) -> None:
    assert seen["csv"] == f"id\n{rows['orders'][0]}"
    assert set(seen["json_path"]["data"][0]) == {"id", "city"}


def test_errors_carry_code_and_status(seen: dict[str, Any]) -> None:
    assert (seen["bad_uuid"]["code"], seen["bad_uuid"]["status"]) == ("22P02", 400)
    assert (seen["unknown_table"]["code"], seen["unknown_table"]["status"]) == ("PGRST205", 404)
    assert (seen["check_violated"]["code"], seen["check_violated"]["status"]) == ("23514", 400)
    assert seen["rpc_refused"]["code"] == "42501"
    assert seen["rpc_refused"]["status"] == 403
    assert (seen["rpc_unknown"]["code"], seen["rpc_unknown"]["status"]) == ("PGRST202", 404)


def test_inserts(seen: dict[str, Any]) -> None:
    assert seen["insert"]["status"] == 201
    assert {**seen["insert"]["data"], "id": None} == {
        "id": None,
        "status": "draft",
        "price": 12.5,
        "origin": "legacy",
    }
    assert (seen["insert_minimal"]["status"], seen["insert_minimal"]["data"]) == (201, None)
    assert seen["insert_bulk"]["data"] == [{"test_code": "A"}, {"test_code": "B"}]


def test_updates_upserts_and_deletes(seen: dict[str, Any]) -> None:
    created = seen["insert"]["data"]["id"]
    assert seen["update"]["data"] == [{"id": created, "status": "ordered", "row_version": 2}]
    assert seen["upsert"]["status"] == 200
    assert seen["upsert"]["data"] == [{"id": created, "test_code": "CRP"}]
    assert seen["delete"]["data"] == [{"title": "node"}]


def test_row_security_differs_by_user(seen: dict[str, Any], rows: dict[str, Any]) -> None:
    assert seen["rls"] == {
        "clinician": rows["everything"],
        "patient": rows["visible"],
        "all_own": True,
    }
    assert rows["visible"] < rows["everything"]
    assert (seen["rls_insert"]["code"], seen["rls_insert"]["status"]) == ("42501", 403)
    # A row without a DELETE policy is not there: no error, nothing deleted.
    assert seen["delete_without_policy"] == {
        "data": [],
        "count": None,
        "status": 200,
        "code": None,
    }


def test_storage(seen: dict[str, Any]) -> None:
    size = len("%PDF-1.4 öäü".encode())
    assert seen["storage"] == {
        "upload": "node/plan.pdf",
        "upload_again": "409",
        "replaced": "node/raw.pdf",
        "same": True,
        "type": "application/pdf",
        "list": [["plan.pdf", "application/pdf", size], ["raw.pdf", "application/pdf", size]],
        "signed": [200, True],
        "removed": ["node/raw.pdf"],
        "missing": True,
        "refused": True,
    }


def test_refresh_tokens_rotate_and_reuse_ends_the_session(seen: dict[str, Any]) -> None:
    assert seen["refresh"] == {"rotated": True, "works": 200}
    assert seen["reuse"] == {"code": "refresh_token_already_used", "status": 400}
    assert seen["session_after_reuse"] == "refresh_token_not_found"


def test_sign_out_ends_the_session(seen: dict[str, Any]) -> None:
    assert seen["sign_out"] is None
    assert seen["refresh_after_sign_out"] == "refresh_token_not_found"
    assert (
        seen["user_after_sign_out"] == "AuthSessionMissingError"
    )  # its name for session_not_found


def test_a_realtime_channel_joins(seen: dict[str, Any]) -> None:
    assert seen["realtime"] == "SUBSCRIBED"
