"""What is refused before anything is routed, and what may pass."""

import pytest

from gateway.request import Request, check, read_request
from routes.refused import HeadersTooLarge, Malformed, Refused, UriTooLong, WrongHost

pytestmark = pytest.mark.unit

HOSTS = ("127.0.0.1", "localhost", "[::1]")


def request(
    path: bytes = b"/v2/lab-orders",
    query: bytes = b"",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Request:
    return Request(
        method="GET",
        path=path,
        query=query,
        headers=((b"host", b"127.0.0.1:8400"), *headers),
        peer="127.0.0.1",
    )


@pytest.mark.parametrize(
    "path",
    [
        b"/v2/lab-orders",
        b"/v2/lab-orders/6f9619ff-8b86-4d01-b42d-00cf4fc964ff/events",
        b"/v2/partner/stock/a~LON%201~SKU%7E1",
        b"/v2/partner/stock/a~caf%C3%A9~50%25",
        b"/",
    ],
)
def test_clear_paths_pass(path: bytes) -> None:
    check(request(path), HOSTS)


@pytest.mark.parametrize(
    "path",
    [
        b"/v2/../admin",
        b"/v2/./lab-orders",
        b"/v2/%2e%2e/admin",
        b"/v2/%2E./admin",
        b"/v2/%252e%252e/admin",
        b"/v2/%25252e/admin",
        b"/v2//lab-orders",
        b"/v2/a%2fb",
        b"/v2/a%2Fb",
        b"/v2/a%252fb",
        b"/v2/a%5cb",
        b"/v2/a\\b",
        b"/v2/a%00b",
        b"/v2/a%0d%0ab",
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
    ],
)
def test_paths_that_two_readers_could_read_differently_are_refused(path: bytes) -> None:
    with pytest.raises(Malformed):
        check(request(path), HOSTS)


def test_a_hostile_path_does_not_cost_time() -> None:
    with pytest.raises(Malformed):
        check(request(b"/" + b"a" * 8000 + b";"), HOSTS)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        (((b"authorization", b"a"), (b"authorization", b"b")), Malformed),
        (((b"host", b"localhost"),), Malformed),
        (((b"x_user_id", b"1"),), Malformed),
        (tuple((b"x-%d" % n, b"v") for n in range(100)), HeadersTooLarge),
        (((b"x-big", b"v" * 17_000),), HeadersTooLarge),
    ],
)
def test_headers(headers: tuple[tuple[bytes, bytes], ...], error: type[Refused]) -> None:
    with pytest.raises(error):
        check(request(headers=headers), HOSTS)


def test_long_targets_are_refused() -> None:
    with pytest.raises(UriTooLong):
        check(request(query=b"a" * 9000), HOSTS)


@pytest.mark.parametrize(
    "host", [b"evil.example", b"localhost.evil.example", b"127.0.0.1@evil.example", b"", b"[::2]"]
)
def test_other_hosts_are_not_answered(host: bytes) -> None:
    with pytest.raises(WrongHost):
        check(
            Request(method="GET", path=b"/", query=b"", headers=((b"host", host),), peer=""), HOSTS
        )


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:8400", b"127.0.0.1:1", b"[::1]", b"[::1]:8400"]
)
def test_own_hosts_are(host: bytes) -> None:
    check(Request(method="GET", path=b"/", query=b"", headers=((b"host", host),), peer=""), HOSTS)


def test_no_host_is_refused() -> None:
    with pytest.raises(Malformed):
        check(Request(method="GET", path=b"/", query=b"", headers=(), peer=""), HOSTS)


def test_a_request_is_a_copy_that_later_trailers_cannot_change() -> None:
    headers = [(b"host", b"localhost")]
    scope = {
        "method": "GET",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
        "client": None,
    }
    made = read_request(scope)
    headers.append((b"x-user-id", b"1"))
    assert made.headers == ((b"host", b"localhost"),)
    assert made.peer == ""
    assert made.header(b"x-user-id") is None
    assert made.all(b"host") == [b"localhost"]
