"""Header fields: what must not be named, repeated, invented or passed on."""

from collections.abc import Mapping

from benchmarks.corpus.case import CANARY, FLAGS, LIST, PLAIN_VIEW, SMUGGLED, Case, View, request


def _passes(
    name: str,
    vector: str,
    sent: bytes,
    headers: Mapping[bytes, bytes | None] | None = None,
    has: Mapping[bytes, bytes] | None = None,
) -> Case:
    return Case(
        name=name,
        vector=vector,
        sent=(sent,),
        answers=(frozenset({200}),),
        closes=False,
        views=(View(headers=headers or {}),),
        has=has or {},
    )


def _refused(name: str, vector: str, *fields: bytes) -> Case:
    return Case(
        name=name,
        vector=vector,
        sent=(request(*fields),),
        answers=(frozenset({400}),),
        code="malformed",
        within=2.0,
    )


_OVERRIDE = "`X-HTTP-Method-Override`, `_method`"
_OVERRIDES = (
    *(
        _passes(
            f"method-override-{name.decode().lower()}",
            _OVERRIDE,
            request(name + b": " + CANARY),
            {name.lower(): None},
        )
        for name in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override")
    ),
    Case(
        name="method-override-does-not-make-a-post-a-get",
        vector=_OVERRIDE,
        # One order: what may be read, changed and deleted there, and not posted.
        sent=(
            request(
                b"X-HTTP-Method-Override: GET",
                b"Content-Length: 0",
                method=b"POST",
                target=LIST + b"/3f9c51b2-8d15-4c65-9d0f-0f6f4c2a7b11",
            ),
        ),
        answers=(frozenset({405}),),
        code="method_not_allowed",
        closes=None,
    ),
    Case(
        name="method-override-in-the-query",
        vector=_OVERRIDE,
        sent=(request(target=LIST + b"?_method=DELETE"),),
        answers=(frozenset({200}),),
        closes=False,
        views=(View(target=LIST + b"?_method=DELETE"),),
    ),
)

_STRIP = "`Connection: close, x-user-id` (strip attack)"
_PROTECTED = (
    "authorization apikey x-user-id x-correlation-id x-forwarded-for x-forwarded-proto x-forwarded-host "
    "host cookie content-length content-type idempotency-key prefer"
).split()
_STRIPPING = (
    *(
        _refused(f"connection-names-{name}", _STRIP, b"Connection: close, " + name.encode())
        for name in _PROTECTED
    ),
    _refused("connection-names-in-capitals", _STRIP, b"Connection: keep-alive, X-USER-ID"),
    _refused(
        "connection-names-in-a-second-field",
        _STRIP,
        b"Connection: close",
        b"Connection: Authorization",
    ),
    _refused("connection-names-without-blank", _STRIP, b"Connection: close,authorization"),
    _passes(
        "connection-names-another",
        _STRIP,
        request(b"Connection: keep-alive, X-Custom", b"X-Custom: " + CANARY),
        {b"x-custom": None, b"connection": None},
    ),
)

_SPOOF = "`X-User-Id`, `X-Forwarded-*`, `Forwarded`, `X-Real-IP` from a client"
_SPOOFED = tuple(
    _passes(f"spoofed-{name.lower()}", _SPOOF, request(name.encode() + b": " + CANARY))
    for name in (
        "X-User-Id X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix Forwarded "
        "X-Real-IP X-Original-URL X-Rewrite-URL X-Client-IP True-Client-IP Via X-Banyan-Route X-Banyan-Internal "
        "X-Banyan-Stage Cookie Proxy-Authorization Proxy-Connection TE Trailer Keep-Alive Accept-Encoding User-Agent Referer "
        "Origin Range"
    ).split()
)

_UNDERSCORES = tuple(
    _refused(
        f"underscore-{name.lower()}",
        "underscore in a header name (`X_User_Id`)",
        name.encode() + b": 1",
    )
    for name in ("X_User_Id", "Content_Length", "Transfer_Encoding", "X-User_Id", "_")
)

_TWICE = "duplicate Authorization, apikey, Content-Type, Idempotency-Key"
_TWICES = (
    _refused("authorization-twice-equal", _TWICE, b"Authorization: Bearer <token>"),
    _refused("authorization-twice-other", _TWICE, b"authorization: Bearer x"),
    _refused("apikey-twice", _TWICE, b"apikey: sb_publishable_a", b"apikey: sb_publishable_a"),
    _refused(
        "content-type-twice", _TWICE, b"Content-Type: application/json", b"Content-Type: text/html"
    ),
    _refused("idempotency-key-twice", _TWICE, b"Idempotency-Key: a", b"idempotency-key: a"),
)

_ID = "**X-Correlation-ID**"
_IDS = (
    _passes(
        "correlation-id-is-kept",
        _ID,
        request(b"X-Correlation-ID: case-kept-1"),
        {b"x-correlation-id": b"case-kept-1"},
        {b"x-correlation-id": b"case-kept-1"},
    ),
    *(
        _passes(f"correlation-id-{name}", _ID, request(*fields))
        for name, fields in {
            "twice-is-replaced": [b"X-Correlation-ID: " + CANARY, b"X-Correlation-ID: " + CANARY],
            "with-blank-is-replaced": [b"X-Correlation-ID: " + CANARY + b" x"],
            "with-colon-is-replaced": [b"X-Correlation-ID: " + CANARY + b":x"],
            "too-long-is-replaced": [b"X-Correlation-ID: " + CANARY + b"x" * 60],
            "leading-dot-is-replaced": [b"X-Correlation-ID: ." + CANARY],
            "non-ascii-is-replaced": [b"X-Correlation-ID: " + CANARY + b"\xe9"],
        }.items()
    ),
)

_UPGRADE = "`Upgrade: h2c`, `HTTP2-Settings`"
_UPGRADES = (
    *(
        Case(
            name=f"upgrade-{name}",
            vector=_UPGRADE,
            sent=(request(*lines),),
            answers=(frozenset({200}),),
            closes=None,
            views=(View(headers={b"upgrade": None, b"http2-settings": None}),),
        )
        for name, lines in {
            "h2c": [
                b"Connection: Upgrade, HTTP2-Settings",
                b"Upgrade: h2c",
                b"HTTP2-Settings: AAMAAABkAAQAAP__",
            ],
            "without-connection": [b"Upgrade: h2c"],
            "tls": [b"Connection: upgrade", b"Upgrade: TLS/1.2"],
        }.items()
    ),
    # Bytes behind a switch that did not happen are read by nobody: the answer says that it is the last.
    Case(
        name="upgrade-with-a-request-behind",
        vector=_UPGRADE,
        sent=(request(b"Connection: Upgrade", b"Upgrade: h2c") + SMUGGLED,),
        answers=(frozenset({200}),),
        views=(PLAIN_VIEW,),
        has={b"connection": b"close"},
    ),
    Case(
        name="websocket",
        vector="WebSocket",
        sent=(
            request(
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Version: 13",
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ),
        ),
        answers=(frozenset({400, 403, 426, 501}),),
        closes=None,
    ),
)

_EXPECT = "`Expect: 100-continue`"
_JSON = b"Content-Type: application/json"
_EXPECTED = (
    Case(
        name="expect-100-without-a-user",
        vector=_EXPECT,
        sent=(
            b"POST %b HTTP/1.1\r\nHost: <host>\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            % FLAGS,
        ),
        answers=(frozenset({401}),),
        code="unauthenticated",
    ),
    *(
        Case(
            name=f"expect-{name}",
            vector=_EXPECT,
            sent=(
                request(
                    _JSON,
                    b"Content-Length: 2",
                    b"Expect: " + value,
                    method=b"POST",
                    target=FLAGS,
                    body=b"{}",
                ),
            ),
            answers=(frozenset({417}),),
            code="expectation_failed",
        )
        for name, value in {
            "something-else": b"200-ok",
            "two": b"100-continue, x",
            "100-continue-and-more": b"100-continued",
        }.items()
    ),
)

CASES = (
    *_OVERRIDES,
    *_STRIPPING,
    *_SPOOFED,
    *_UNDERSCORES,
    *_TWICES,
    *_IDS,
    *_UPGRADES,
    *_EXPECTED,
)
