"""Heads that mean one thing become requests; all others are refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.edge.head import Heads
from gateway.edge.request import Request
from routes.refused import (
    ExpectationFailed,
    HeadersTooLarge,
    HttpVersion,
    Malformed,
    NoSuchMethod,
    NotImplementedHere,
    Refused,
    UnsupportedMedia,
    WrongHost,
)

pytestmark = pytest.mark.unit

HEADS = Heads(hosts=("127.0.0.1", "localhost", "[::1]"), edges=("10.0.0.1",))
Pairs = tuple[tuple[bytes, bytes], ...]


def request(
    headers: Mapping[bytes, bytes] | None = None,
    *,
    repeated: Pairs = (),
    target: bytes = b"/v2/lab-orders",
    method: str = "GET",
    version: str = "1.1",
    address: str = "192.0.2.7",
    host: bytes | None = b"127.0.0.1:8400",
) -> Request:
    named = {} if host is None else {b"host": host}
    sent = {**named, **(headers or {})}
    return HEADS.request(method.encode(), version, target, sent, list(repeated), address)


def test_a_plain_request() -> None:
    made = request({b"prefer": b"a"}, repeated=((b"prefer", b"b"),), target=b"/v2/x?a=1")
    assert (made.method, made.path, made.query, made.peer) == ("GET", b"/v2/x", b"a=1", "192.0.2.7")
    assert made.header(b"prefer") == b"a"
    assert made.all(b"prefer") == [b"a", b"b"]
    assert made.all(b"none") == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"repeated": ((b"authorization", b"b"),)}, Malformed),
        ({"repeated": ((b"host", b"localhost"),)}, Malformed),
        ({"repeated": ((b"content-length", b"1"),)}, Malformed),
        ({"headers": {b"x_user_id": b"1"}}, Malformed),
        ({"headers": {b"x-%d" % n: b"v" for n in range(100)}}, HeadersTooLarge),
        ({"repeated": tuple((b"x", b"v") for _ in range(100))}, HeadersTooLarge),
        ({"headers": {b"connection": b"close, x-user-id"}}, Malformed),
        ({"headers": {b"connection": b"Authorization"}}, Malformed),
        ({"headers": {b"connection": b"keep-alive, X-Forwarded-For"}}, Malformed),
        ({"headers": {b"connection": b"content-type"}}, Malformed),
        (
            {"headers": {b"connection": b"close"}, "repeated": ((b"connection", b"prefer"),)},
            Malformed,
        ),
        ({"headers": {b"transfer-encoding": b"gzip, chunked"}}, NotImplementedHere),
        ({"headers": {b"transfer-encoding": b"chunked"}, "version": "1.0"}, Malformed),
        (
            {"headers": {b"transfer-encoding": b"chunked", b"content-length": b"3"}},
            Malformed,
        ),
        ({"headers": {b"expect": b"200-ok"}}, ExpectationFailed),
        ({"headers": {b"content-encoding": b"gzip"}}, UnsupportedMedia),
        ({"version": "0.9"}, HttpVersion),
        ({"version": "2.0"}, HttpVersion),
        ({"method": "CONNECT"}, NoSuchMethod),
        ({"method": "TRACE"}, NoSuchMethod),
        ({"method": "PROPFIND"}, NotImplementedHere),
        ({"host": None}, Malformed),
        ({"host": b""}, Malformed),
        ({"host": b"evil.example"}, WrongHost),
        ({"host": b"localhost.evil.example"}, WrongHost),
        ({"host": b"[::2]"}, WrongHost),
        ({"host": b"127.0.0.1@evil.example"}, Malformed),
        ({"host": b"a/b?c@evil"}, Malformed),
        ({"host": b"127.0.0.1:"}, Malformed),
        ({"host": b"127.0.0.1:80a"}, Malformed),
        ({"host": b"127.0.0.1:123456"}, Malformed),
        ({"target": b"*", "method": "OPTIONS"}, Malformed),
        ({"target": b"http://evil.example/v2"}, WrongHost),
        ({"target": b"http://localhost/v2"}, Malformed),
        ({"target": b"http://127.0.0.1:8400"}, Malformed),
        ({"target": b"ftp://127.0.0.1:8400/v2"}, Malformed),
        ({"target": b"127.0.0.1:8400"}, Malformed),
    ],
)
def test_refused(given: dict[str, Any], error: type[Refused]) -> None:
    with pytest.raises(error):
        request(**given)


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:8400", b"127.0.0.1:1", b"[::1]", b"[::1]:8400"]
)
def test_own_hosts_are_answered(host: bytes) -> None:
    request(host=host)
    request(host=host)


def test_an_absolute_target_with_our_own_host_is_the_same_request() -> None:
    assert request(target=b"http://127.0.0.1:8400/v2/x?a").path == b"/v2/x"


@pytest.mark.parametrize(
    "headers",
    [
        {b"connection": b"keep-alive"},
        {b"connection": b"close, te"},
        {b"connection": b"Upgrade, HTTP2-Settings", b"upgrade": b"h2c"},
        {b"expect": b"100-Continue"},
        {b"content-encoding": b"identity"},
        {b"transfer-encoding": b"Chunked"},
    ],
)
def test_harmless_headers_pass(headers: dict[bytes, bytes]) -> None:
    request(headers)


@pytest.mark.parametrize(
    ("address", "headers", "repeated", "peer"),
    [
        ("192.0.2.7", {b"x-forwarded-for": b"203.0.113.9"}, (), "192.0.2.7"),
        ("10.0.0.1", {b"x-forwarded-for": b"203.0.113.9"}, (), "203.0.113.9"),
        ("10.0.0.1", {b"x-forwarded-for": b"8.8.8.8, 203.0.113.9"}, (), "203.0.113.9"),
        (
            "10.0.0.1",
            {b"x-forwarded-for": b"8.8.8.8"},
            ((b"x-forwarded-for", b"2001:db8::1"),),
            "2001:db8::1",
        ),
        ("10.0.0.1", {b"x-forwarded-for": b"patient 7"}, (), "10.0.0.1"),
        ("10.0.0.1", {}, (), "10.0.0.1"),
    ],
)
def test_whose_address_it_is(
    address: str, headers: dict[bytes, bytes], repeated: Pairs, peer: str
) -> None:
    assert request(headers, repeated=repeated, address=address).peer == peer
