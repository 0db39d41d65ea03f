"""Statuses and headers of answers."""

import pytest

from sandbox.supabase import media, plan, prefer
from sandbox.supabase.answer import Outcome, check, content_range, respond
from sandbox.supabase.errors import RestError
from sandbox.supabase.plan import Call, Plan
from tests.fakes.supabase_schema import SCHEMA

pytestmark = pytest.mark.unit


def call(
    method: str = "GET",
    path: str = "orders",
    *,
    raw: bytes = b"",
    wanted: str = "",
    accept: str = "*/*",
    body: bytes = b"{}",
) -> tuple[Call, Plan]:
    made = Call(
        method=method,
        path=path.split("/"),
        raw_query=raw,
        range_header=None,
        content_type="application/json",
        profile=None,
        body=body,
        prefer=prefer.parse([wanted] if wanted else []),
        media=media.negotiate(accept),
    )
    return made, plan.make(made, SCHEMA, schemas=("public",), max_rows=None)


@pytest.mark.parametrize(
    ("lower", "upper", "total", "expected"),
    [
        (0, 9, None, "0-9/*"),
        (0, 9, 57, "0-9/57"),
        (0, -1, None, "*/*"),
        (5, 4, 57, "*/57"),
        (0, 0, 0, "*/0"),
    ],
)
def test_content_range(lower: int, upper: int, total: int | None, expected: str) -> None:
    assert content_range(lower, upper, total) == expected


@pytest.mark.parametrize(
    ("raw", "rows", "total", "status", "range_"),
    [
        (b"", 3, None, 200, "0-2/*"),
        (b"", 3, 3, 200, "0-2/3"),
        (b"limit=2", 2, 3, 206, "0-1/3"),
        (b"offset=3", 0, 3, 206, "*/3"),
        (b"offset=4", 0, 3, 416, "*/3"),
        (b"offset=4", 0, None, 200, "*/*"),
        (b"", 0, 0, 200, "*/0"),
    ],
)
def test_reads(raw: bytes, rows: int, total: int | None, status: int, range_: str) -> None:
    asked, made = call(raw=raw)
    response = respond(asked, made, Outcome(body=b"[]", rows=rows, total=total))
    assert (response.status_code, response.headers["content-range"]) == (status, range_)
    assert response.headers["content-profile"] == "public"


def test_head_has_neither_body_nor_length() -> None:
    asked, made = call("HEAD")
    response = respond(asked, made, Outcome(body=b"", rows=3))
    assert bytes(response.body) == b""
    assert "content-length" not in response.headers
    assert response.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "raw", "wanted", "rows", "updated", "status", "range_"),
    [
        ("POST", b"", "", 1, 0, 201, "*/*"),
        ("POST", b"", "count=exact", 2, 0, 201, "*/2"),
        ("POST", b"", "resolution=merge-duplicates", 2, 2, 200, "*/*"),
        ("POST", b"", "resolution=merge-duplicates", 2, 1, 201, "*/*"),
        ("POST", b"", "resolution=ignore-duplicates", 0, 0, 201, "*/*"),
        ("PATCH", b"", "", 2, 0, 204, "0-1/*"),
        ("PATCH", b"", "return=representation,count=exact", 2, 0, 200, "0-1/2"),
        ("PATCH", b"", "", 0, 0, 204, "*/*"),
        ("DELETE", b"", "", 2, 0, 204, "*/*"),
        ("DELETE", b"", "return=representation,count=exact", 2, 0, 200, "*/2"),
        ("PUT", b"id=eq.1", "", 1, 0, 204, None),
        ("PUT", b"id=eq.1", "return=representation", 1, 0, 201, None),
        ("PUT", b"id=eq.1", "return=representation", 1, 1, 200, None),
    ],
)
def test_writes(
    method: str, raw: bytes, wanted: str, rows: int, updated: int, status: int, range_: str | None
) -> None:
    asked, made = call(method, raw=raw, wanted=wanted)
    response = respond(asked, made, Outcome(body=b"[]", rows=rows, updated=updated))
    assert (response.status_code, response.headers.get("content-range")) == (status, range_)
    assert ("content-type" in response.headers) == ("representation" in wanted)
    assert bytes(response.body) == (b"[]" if "representation" in wanted else b"")


def test_the_location_of_a_new_row() -> None:
    asked, made = call("POST", wanted="return=headers-only")
    response = respond(asked, made, Outcome(body=b"", rows=1, location='{"b":"x&y","a":null}'))
    assert response.headers["location"] == "/orders?a=is.null&b=eq.x%26y"


@pytest.mark.parametrize("rows", [0, 2])
def test_object_media_wants_one_row(rows: int) -> None:
    asked, made = call(accept="application/vnd.pgrst.object+json")
    with pytest.raises(RestError) as refused:
        check(asked, made, Outcome(body=b"", rows=rows))
    assert (refused.value.code, refused.value.status) == ("PGRST116", 406)
    assert refused.value.details == f"The result contains {rows} rows"
    check(asked, made, Outcome(body=b"", rows=1))


def test_too_many_rows() -> None:
    strict, made = call("DELETE", wanted="handling=strict,max-affected=1")
    check(strict, made, Outcome(body=b"", rows=1))
    with pytest.raises(RestError) as refused:
        check(strict, made, Outcome(body=b"", rows=2))
    assert refused.value.code == "PGRST124"
    lenient, made = call("DELETE", wanted="max-affected=1")
    check(lenient, made, Outcome(body=b"", rows=2))


def test_a_put_beside_its_key() -> None:
    asked, made = call("PUT", raw=b"id=eq.1")
    with pytest.raises(RestError) as refused:
        check(asked, made, Outcome(body=b"", rows=0))
    assert refused.value.code == "PGRST115"


def test_sql_may_set_status_and_headers() -> None:
    asked, made = call()
    outcome = Outcome(
        body=b"[]", rows=0, response_status="418", response_headers='[{"X-Pot":"short"}]'
    )
    response = respond(asked, made, outcome)
    assert (response.status_code, response.headers["x-pot"]) == (418, "short")
    for bad in (
        Outcome(body=b"", rows=0, response_status="tea"),
        Outcome(body=b"", rows=0, response_headers="[1]"),
    ):
        with pytest.raises(RestError) as refused:
            respond(asked, made, bad)
        assert refused.value.status == 500


@pytest.mark.parametrize(
    ("method", "path", "raw", "code"),
    [
        ("TRACE", "orders", b"", "PGRST117"),
        ("PUT", "rpc/add", b"", "PGRST101"),
        ("GET", "orders/1", b"", "PGRST125"),
        ("PUT", "orders", b"id=eq.1&limit=1", "PGRST114"),
        ("PUT", "orders", b"status=eq.1", "PGRST105"),
        ("PUT", "orders", b"id=not.eq.1", "PGRST105"),
        ("PUT", "names", b"name=eq.1", "PGRST127"),
        ("GET", "nobody", b"", "PGRST205"),
        ("GET", "rpc/add", b"a=1&b=2&id=eq.3", None),
    ],
)
def test_what_is_refused_beforehand(method: str, path: str, raw: bytes, code: str | None) -> None:
    if code is None:
        assert call(method, path, raw=raw)[1].read_only
        return
    with pytest.raises(RestError) as refused:
        call(method, path, raw=raw)
    assert refused.value.code == code
