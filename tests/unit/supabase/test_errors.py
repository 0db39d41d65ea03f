"""Statuses by SQLSTATE, and the shape of error bodies."""

import asyncpg
import orjson
import pytest

from sandbox.supabase.errors import STATUS, RestError, Unsupported, from_postgres

pytestmark = pytest.mark.unit


def postgres(sqlstate: str, message: str = "m", detail: str | None = None) -> asyncpg.PostgresError:
    fields = {"C": sqlstate, "M": message, "D": detail}
    error = asyncpg.PostgresError.new({code: value for code, value in fields.items() if value})
    assert isinstance(error, asyncpg.PostgresError)
    return error


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        ("23503", 409), ("23505", 409), ("23502", 400), ("23514", 400), ("22P02", 400), ("22003", 400),
        ("42P01", 404), ("42883", 404), ("42703", 400), ("42P17", 500), ("25006", 405), ("25001", 500),
        ("P0001", 400), ("P0002", 500), ("08006", 503), ("53300", 503), ("53400", 500), ("40001", 500),
        ("40P01", 500), ("54000", 500), ("55P03", 500), ("57014", 500), ("58000", 500), ("XX000", 500),
        ("PT402", 402), ("PTxyz", 500), ("28000", 403), ("0P000", 403), ("ZZ000", 400), ("21000", 500),
    ],
)  # fmt: skip
def test_status_by_sqlstate(sqlstate: str, status: int) -> None:
    assert from_postgres(postgres(sqlstate), anonymous=False).status == status


def test_a_missing_right_is_401_for_nobody_and_403_for_somebody() -> None:
    somebody = from_postgres(postgres("42501"), anonymous=False)
    nobody = from_postgres(postgres("42501"), anonymous=True)
    assert (somebody.status, somebody.headers) == (403, {})
    assert (nobody.status, nobody.headers) == (401, {"WWW-Authenticate": "Bearer"})


def test_a_role_that_is_not_there_is_401() -> None:
    assert (
        from_postgres(postgres("22023", 'role "x" does not exist'), anonymous=False).status == 401
    )
    assert from_postgres(postgres("22023", "invalid value"), anonymous=False).status == 400


def test_safe_update_is_the_clients_fault() -> None:
    error = postgres("21000", "UPDATE requires a WHERE clause")
    assert from_postgres(error, anonymous=False).status == 400


def test_sql_may_decide_the_whole_answer() -> None:
    words = '{"code":"X1","message":"said","details":"d","hint":"h"}'
    error = postgres("PGRST", words, '{"status":419,"headers":{"X-Why":"because"}}')
    found = from_postgres(error, anonymous=False)
    assert (found.status, found.code, found.headers) == (419, "X1", {"X-Why": "because"})
    assert from_postgres(postgres("PGRST", "no json"), anonymous=False).code == "PGRST121"


def test_the_body_has_four_keys_and_the_header_names_the_code() -> None:
    response = Unsupported("x").response()
    assert orjson.loads(bytes(response.body)).keys() == {"code", "details", "hint", "message"}
    assert response.headers["proxy-status"] == "PostgREST; error=PGRST127"
    assert response.headers["content-type"] == "application/json; charset=utf-8"


def test_every_code_that_is_raised_has_a_status() -> None:
    assert all(100 <= status < 600 for status in STATUS.values())
    with pytest.raises(KeyError):
        RestError("PGRST999", "unknown")
