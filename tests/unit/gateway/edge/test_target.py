"""Targets that mean one thing pass; all others are refused."""

import pytest

from gateway.edge.target import LONGEST_TARGET, check_target
from routes.refused import Malformed, UriTooLong

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "path",
    [
        b"/v2/lab-orders",
        b"/v2/lab-orders/6f9619ff-8b86-4d01-b42d-00cf4fc964ff/events",
        b"/v2/partner/stock/a~LON%201~SKU%7E1",
        b"/v2/partner/stock/a~caf%C3%A9~50%25",
        b"/v2/a.b",
        b"/.well-known",
        b"/v2/lab-orders/",
        b"/",
    ],
)
def test_clear_paths_pass(path: bytes) -> None:
    assert check_target(path) == (path, b"")
    assert check_target(path + b"?a=1&b=%20") == (path, b"a=1&b=%20")


@pytest.mark.parametrize(
    "path",
    [
        b"/v2/../admin",
        b"/v2/./lab-orders",
        b"/v2/..",
        b"/.",
        b"/v2/%2e%2e/admin",
        b"/v2/%2E./admin",
        b"/v2/%252e%252e/admin",
        b"/v2/%25252e/admin",
        b"/v2//lab-orders",
        b"//v2",
        b"/v2/a%2fb",
        b"/v2/a%2Fb",
        b"/v2/a%252fb",
        b"/v2/a%5cb",
        b"/v2/a\\b",
        b"/v2/a%00b",
        b"/v2/a%0d%0ab",
        b"/v2/a%7fb",
        b"/v2/a%zz",
        b"/v2/a%2",
        b"/v2/a;p",
        b"/v2/a#b",
        b"/v2/\xc3\xa9",
        b"/v2/a b",
        b"v2",
        b"",
        b"http://127.0.0.1/v2",
        b"*",
        b"/" + b"a" * 8000 + b";",
    ],
)
def test_paths_that_two_readers_could_read_differently_are_refused(path: bytes) -> None:
    with pytest.raises(Malformed):
        check_target(path)


@pytest.mark.parametrize("query", [b"a#b", b"a b", b"a\\b", b"a=\xc3\xa9", b"a\x00", b"<script>"])
def test_queries_that_break_lines_or_readers_are_refused(query: bytes) -> None:
    with pytest.raises(Malformed):
        check_target(b"/v2/lab-orders?" + query)


def test_a_query_may_hold_what_filters_need() -> None:
    query = b'created_at[gt]=2024-01-01T00:00:00Z&status[in]=a,b&x=%2B&q=a+b&or=(a.eq."x")&z?'
    assert check_target(b"/v2/lab-orders?" + query) == (b"/v2/lab-orders", query)


def test_long_targets_are_refused() -> None:
    check_target(b"/" + b"a" * (LONGEST_TARGET - 1))
    with pytest.raises(UriTooLong):
        check_target(b"/" + b"a" * LONGEST_TARGET)
