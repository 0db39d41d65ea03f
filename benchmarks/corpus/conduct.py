"""What an honest client does: it must go well, in order, and with nobody else's bytes."""

from benchmarks.corpus.case import FLAGS, LIST, PLAIN_VIEW, SMUGGLED, Case, Pause, View, request

_OK = frozenset({200})
_JSON = b"Content-Type: application/json"
_ORDER = "pipelining"


def _limit(number: int, *fields: bytes, method: bytes = b"GET") -> bytes:
    return request(*fields, method=method, target=LIST + b"?limit=%d" % number)


def _view(number: int) -> View:
    return View(target=LIST + b"?limit=%d" % number)


def _bytewise(data: bytes) -> tuple[bytes | Pause, ...]:
    """One segment per byte where the reader could stumble: a dozen bytes from either end, the rest at once."""
    ends = [bytes([byte]) for byte in data[-12:]]
    paced = [part for byte in ends for part in (byte, Pause(seconds=0.001))]
    first = [part for byte in data[:12] for part in (bytes([byte]), Pause(seconds=0.001))]
    return (*first, data[12:-12], Pause(seconds=0.001), *paced)


_PIPELINED = (
    Case(
        name="pipelined-three-in-order",
        vector=_ORDER,
        sent=(_limit(1) + _limit(2) + _limit(3),),
        answers=(_OK,) * 3,
        closes=False,
        views=(_view(1), _view(2), _view(3)),
    ),
    Case(
        name="pipelined-thirty-in-order",
        vector=_ORDER,
        sent=(b"".join(_limit(number) for number in range(1, 31)),),
        answers=(_OK,) * 30,
        closes=False,
        views=tuple(_view(number) for number in range(1, 31)),
    ),
    Case(
        name="pipelined-with-a-head-between",
        vector=_ORDER,
        sent=(_limit(1) + _limit(2, method=b"HEAD") + _limit(3),),
        answers=(_OK,) * 3,
        heads=frozenset({1}),
        closes=False,
        views=(_view(1), _view(2), _view(3)),
    ),
    Case(
        name="pipelined-with-bodies-between",
        vector=_ORDER,
        sent=(
            request(b"Content-Length: 5", body=b"GET /")
            + request(b"Transfer-Encoding: chunked", body=b"5\r\nGET /\r\n0\r\n\r\n")
            + _limit(3),
        ),
        answers=(_OK,) * 3,
        closes=False,
        views=(PLAIN_VIEW, PLAIN_VIEW, _view(3)),
    ),
    Case(
        name="pipelined-bytes-behind-close",
        vector=_ORDER,
        sent=(_limit(1, b"Connection: close") + SMUGGLED,),
        answers=(_OK,),
        views=(_view(1),),
    ),
    Case(
        name="pipelined-bytes-behind-close-later",
        vector=_ORDER,
        sent=(_limit(1, b"Connection: close"), Pause(seconds=0.05), SMUGGLED),
        answers=(_OK,),
        views=(_view(1),),
    ),
    Case(
        name="pipelined-refused-second",
        vector=_ORDER,
        sent=(_limit(1) + request(target=b"/v2/../metrics") + SMUGGLED,),
        answers=(_OK, frozenset({400})),
        code="malformed",
        views=(_view(1),),
    ),
    Case(
        name="pipelined-garbage-second",
        vector=_ORDER,
        sent=(_limit(1) + b"\x00\x01\x02\r\n\r\n" + SMUGGLED,),
        answers=(_OK, frozenset({400, 501})),
        views=(_view(1),),
    ),
    Case(
        name="pipelined-not-found-goes-on",
        vector=_ORDER,
        sent=(request(target=b"/v2/nothing") + _limit(2),),
        answers=(frozenset({404}), _OK),
        closes=False,
        views=(_view(2),),
    ),
    Case(
        name="pipelined-byte-by-byte",
        vector=_ORDER,
        sent=_bytewise(_limit(1) + _limit(2, b"X-Last: 0123456789")),
        answers=(_OK,) * 2,
        closes=False,
        views=(_view(1), _view(2)),
    ),
    Case(
        name="pipelined-split-in-the-line-end",
        vector=_ORDER,
        sent=(_limit(1)[:-1], Pause(seconds=0.02), _limit(1)[-1:] + _limit(2)),
        answers=(_OK,) * 2,
        closes=False,
        views=(_view(1), _view(2)),
    ),
)

_KEPT = (
    Case(
        name="kept-alive",
        vector=_ORDER,
        sent=(_limit(1), Pause(seconds=0.05), _limit(2), Pause(seconds=0.05), _limit(3)),
        answers=(_OK,) * 3,
        closes=False,
        views=(_view(1), _view(2), _view(3)),
    ),
    Case(
        name="empty-line-between-requests",
        vector=_ORDER,
        sent=(_limit(1) + b"\r\n" + _limit(2),),
        answers=(_OK,) * 2,
        closes=False,
        views=(_view(1), _view(2)),
    ),
    Case(
        name="connection-close-in-capitals",
        vector=_ORDER,
        sent=(_limit(1, b"Connection: CLOSE"),),
        answers=(_OK,),
        views=(_view(1),),
    ),
    Case(
        name="head",
        vector=_ORDER,
        sent=(_limit(1, method=b"HEAD"),),
        answers=(_OK,),
        heads=frozenset({0}),
        closes=False,
        views=(_view(1),),
    ),
    Case(
        name="head-refused-has-no-body",
        vector=_ORDER,
        sent=(request(method=b"HEAD", target=b"/v2/../metrics"),),
        answers=(frozenset({400}),),
        heads=frozenset({0}),
    ),
    Case(
        name="not-signed-in",
        vector=_ORDER,
        sent=(b"GET /v2/lab-orders HTTP/1.1\r\nHost: <host>\r\n\r\n",),
        answers=(frozenset({401}),),
        code="unauthenticated",
        closes=False,
        has={b"www-authenticate": b"Bearer"},
    ),
    Case(
        name="header-blanks-round-a-value",
        vector=_ORDER,
        sent=(request(b"X-Correlation-ID: \t case-blanks-1 \t "),),
        answers=(_OK,),
        closes=False,
        views=(View(headers={b"x-correlation-id": b"case-blanks-1"}),),
    ),
    Case(
        name="traceparent-passes",
        vector=_ORDER,
        sent=(request(b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),),
        answers=(_OK,),
        closes=False,
        views=(
            View(
                headers={b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
            ),
        ),
    ),
    Case(
        name="ranges-are-not-served",
        vector="ranges on PHI content",
        sent=(request(b"Range: bytes=0-1,5-9"),),
        answers=(frozenset({200, 416}),),
        closes=False,
        views=(View(headers={b"range": None}),),
    ),
    Case(
        name="preflight",
        vector="CONNECT, TRACE, `OPTIONS *`, lowercase or unknown method",
        sent=(
            request(
                b"Origin: https://app.example",
                b"Access-Control-Request-Method: GET",
                method=b"OPTIONS",
            ),
        ),
        answers=(frozenset({204}),),
        closes=False,
    ),
)

_EXPECTED = (
    Case(
        name="expect-100-and-wait",
        vector="`Expect: 100-continue`",
        sent=(
            request(
                _JSON, b"Content-Length: 2", b"Expect: 100-continue", method=b"POST", target=FLAGS
            ),
            Pause(seconds=0.2),
            b"{}",
        ),
        answers=(_OK,),
        interim=(100,),
        closes=False,
    ),
    Case(
        name="expect-100-in-capitals-without-waiting",
        vector="`Expect: 100-continue`",
        sent=(
            request(
                _JSON,
                b"Content-Length: 2",
                b"Expect: 100-Continue",
                method=b"POST",
                target=FLAGS,
                body=b"{}",
            ),
        ),
        answers=(_OK,),
        interim=None,
        closes=False,
    ),
)

CASES = (*_PIPELINED, *_KEPT, *_EXPECTED)
