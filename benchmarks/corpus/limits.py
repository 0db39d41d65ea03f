"""Sizes, counts and times."""

from benchmarks.corpus.case import FLAGS, LIST, PLAIN_VIEW, Case, Pause, request

HEADER_SECONDS = 1.0
BODY_SECONDS = 1.0
IDLE_SECONDS = 2.0
"""What the gateway under test is set to."""

_JSON = b"Content-Type: application/json"
_HEADERS = "headers > 16 KB or > 100; URL > 8 KB"


def _post(*fields: bytes, body: bytes = b"") -> bytes:
    return request(_JSON, *fields, method=b"POST", target=FLAGS, body=body)


def _too_many(name: str, *fields: bytes, silent: bool = False) -> Case:
    return Case(
        name=name,
        vector=_HEADERS,
        sent=(request(*fields),),
        answers=(frozenset({431}),),
        code="headers_too_large",
        silent=silent,
    )


def _too_long(name: str, target: bytes, *, silent: bool = False) -> Case:
    return Case(
        name=name,
        vector=_HEADERS,
        sent=(request(target=target),),
        answers=(frozenset({414}),),
        code="uri_too_long",
        silent=silent,
    )


_LARGE_HEADS = (
    _too_many("header-of-17-kb", b"X-A: " + b"a" * 17_000),
    _too_many("headers-of-17-kb-together", *(b"X-%d: " % n + b"a" * 1000 for n in range(17))),
    _too_many("header-name-of-17-kb", b"X" * 17_000 + b": 1"),
    _too_many("header-of-60-kb", b"X-A: " + b"a" * 60_000),
    _too_many("header-of-1-mb", b"X-A: " + b"a" * 1_000_000, silent=True),
    _too_many("headers-101", *(b"X-%d: 1" % n for n in range(99))),
    _too_many("headers-2000", *(b"X-%d: 1" % n for n in range(2000))),
    Case(
        name="header-of-1-mb-that-never-ends",
        vector=_HEADERS,
        sent=(request()[:-2] + b"X-A: " + b"a" * 1_000_000,),
        answers=(frozenset({431}),),
        code="headers_too_large",
        silent=True,
    ),
    Case(
        name="headers-100",
        vector=_HEADERS,
        sent=(request(*(b"X-%d: 1" % n for n in range(98))),),
        answers=(frozenset({200}),),
        closes=False,
        views=(PLAIN_VIEW,),
    ),
    _too_long("path-of-9-kb", b"/v2/" + b"a" * 9000),
    _too_long("query-of-9-kb", LIST + b"?a=" + b"a" * 9000),
    _too_long("path-of-60-kb", b"/v2/" + b"a" * 60_000),
    _too_long("query-of-100-kb", LIST + b"?a=" + b"a" * 100_000, silent=True),
    _too_long("path-of-1-mb", b"/v2/" + b"a" * 1_000_000, silent=True),
    Case(
        name="path-of-1-mb-that-never-ends",
        vector=_HEADERS,
        sent=(b"GET /v2/" + b"a" * 1_000_000,),
        answers=(frozenset({414}),),
        code="uri_too_long",
        silent=True,
    ),
    Case(
        name="method-of-1-mb",
        vector=_HEADERS,
        sent=(b"A" * 1_000_000,),
        answers=(frozenset({400, 414, 431, 501}),),
        silent=True,
    ),
    Case(
        name="empty-lines-without-end",
        vector=_HEADERS,
        sent=(b"\r\n" * 100_000,),
        answers=(frozenset({400, 408, 414, 431}),),
        silent=True,
    ),
    Case(
        name="path-just-short-enough",
        vector=_HEADERS,
        sent=(request(target=b"/v2/" + b"a" * 8000),),
        answers=(frozenset({404}),),
        code="no_such_route",
        closes=False,
    ),
)

_BODY = "body over the route's limit (buffered writes: **1 MB**)"


def _too_large(name: str, *sent: bytes | Pause, within: float = 2.0) -> Case:
    return Case(
        name=name,
        vector=_BODY,
        sent=sent,
        answers=(frozenset({413}),),
        code="too_large",
        within=within,
    )


_LARGE_BODIES = (
    _too_large("cl-of-2-mb-announced", _post(b"Content-Length: 2000000")),
    _too_large("cl-of-2-mb-announced-on-get", request(b"Content-Length: 2000000")),
    _too_large("cl-of-70-kb-on-a-64-kb-route", _post(b"Content-Length: 70000", body=b"x" * 30_000)),
    _too_large(
        "chunked-70-kb-on-a-64-kb-route",
        _post(
            b"Transfer-Encoding: chunked",
            body=(b"1000\r\n" + b"x" * 4096 + b"\r\n") * 17 + b"0\r\n\r\n",
        ),
    ),
    _too_large(
        "chunked-2-mb-on-get",
        request(b"Transfer-Encoding: chunked", body=(b"8000\r\n" + b"x" * 32_768 + b"\r\n") * 64),
        within=4.0,
    ),
    Case(
        name="chunk-of-2-mb-announced",
        vector=_BODY,
        sent=(_post(b"Transfer-Encoding: chunked", body=b"200000\r\nx"),),
        answers=(frozenset({408, 413}),),
        within=BODY_SECONDS + 2,
    ),
    Case(
        name="get-with-a-body",
        vector=_BODY,
        sent=(request(b"Content-Length: 2", body=b"{}"),),
        answers=(frozenset({200}),),
        closes=False,
        views=(PLAIN_VIEW,),
    ),
    Case(
        name="get-with-a-body-of-500-kb",
        vector=_BODY,
        sent=(
            request(
                b"Content-Length: 500000",
                body=b"GET / HTTP/1.1\r\n\r\n" * 27_777 + b"123456789abcde",
            ),
        ),
        answers=(frozenset({200}),),
        closes=False,
        views=(PLAIN_VIEW,),
    ),
    Case(
        name="head-with-a-body",
        vector=_BODY,
        sent=(request(b"Content-Length: 2", method=b"HEAD", body=b"{}"),),
        answers=(frozenset({200}),),
        heads=frozenset({0}),
        closes=False,
        views=(PLAIN_VIEW,),
    ),
    Case(
        name="get-with-content-length-0",
        vector=_BODY,
        sent=(request(b"Content-Length: 0"),),
        answers=(frozenset({200}),),
        closes=False,
        views=(PLAIN_VIEW,),
    ),
)

_COMPRESSED = tuple(
    Case(
        name=f"body-in-{coding.replace(', ', '-and-')}",
        vector="compressed request body",
        sent=(
            _post(
                b"Content-Encoding: " + coding.encode(),
                b"Content-Length: 20",
                body=b"\x1f\x8b" + b"\0" * 18,
            ),
        ),
        answers=(frozenset({415}),),
        code="unsupported_media",
    )
    for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip")
)

_JSON_VECTOR = "JSON depth bomb (200 k `[`), `1e400`, NaN, duplicate keys, lone surrogates"
_BAD_JSON = tuple(
    Case(
        name=f"json-{name}",
        vector=_JSON_VECTOR,
        sent=(_post(b"Content-Length: %d" % len(body), body=body),),
        answers=(frozenset({400}),),
        closes=False,
    )
    for name, body in {
        "depth-bomb": b"[" * 60_000,
        "depth-bomb-of-objects": b'{"context":' * 5_000,
        "not-a-number": b'{"context":{"a":NaN}}',
        "too-large-a-number": b'{"context":{"a":1e400}}',
        "duplicate-keys": b'{"context":{},"context":{}}',
        "duplicate-keys-deep": b'{"context":{"a":{"b":1,"b":2}}}',
        "lone-surrogate": b'{"context":{"a":"\\ud800"}}',
        "not-utf-8": b'{"context":{"a":"\xff"}}',
        "two-documents": b"{}{}",
        "empty-with-type": b" ",
    }.items()
)

_SLOW = "slow header / slow body / idle"


def _slow(name: str, *sent: bytes | Pause, within: float = HEADER_SECONDS + 2) -> Case:
    return Case(
        name=name,
        vector=_SLOW,
        sent=sent,
        answers=(frozenset({408}),),
        code="request_timeout",
        within=within,
    )


def _drip(data: bytes, seconds: float) -> tuple[bytes | Pause, ...]:
    return tuple(part for byte in data for part in (bytes([byte]), Pause(seconds=seconds)))


_SLOW_ONES = (
    _slow("head-that-stops", request()[:-2]),
    _slow("request-line-that-stops", b"GET /v2/lab"),
    _slow("head-that-drips", *_drip(request()[:16], 0.2), within=1.0),
    _slow("body-that-stops", _post(b"Content-Length: 100", body=b"{"), within=BODY_SECONDS + 2),
    _slow("body-that-never-begins", _post(b"Content-Length: 100"), within=BODY_SECONDS + 2),
    _slow(
        "body-that-drips",
        _post(b"Content-Length: 100"),
        *_drip(b"{" + b" " * 12, 0.25),
        within=2.0,
    ),
    _slow(
        "chunk-that-stops",
        _post(b"Transfer-Encoding: chunked", body=b"10\r\n{"),
        within=BODY_SECONDS + 2,
    ),
    _slow("body-of-a-get-that-stops", request(b"Content-Length: 100"), within=BODY_SECONDS + 2),
    Case(
        name="silence",
        vector=_SLOW,
        sent=(),
        answers=(frozenset({408}),),
        silent=True,
        within=max(HEADER_SECONDS, IDLE_SECONDS) + 2,
    ),
    Case(
        name="silence-after-an-answer",
        vector=_SLOW,
        sent=(request(),),
        answers=(frozenset({200}),),
        views=(PLAIN_VIEW,),
        within=IDLE_SECONDS + 2,
    ),
    Case(
        name="second-head-that-stops",
        vector=_SLOW,
        sent=(request() + request()[:40],),
        answers=(frozenset({200}), frozenset({408})),
        code="request_timeout",
        views=(PLAIN_VIEW,),
        within=IDLE_SECONDS + 2,
    ),
)

CASES = (*_LARGE_HEADS, *_LARGE_BODIES, *_COMPRESSED, *_BAD_JSON, *_SLOW_ONES)
