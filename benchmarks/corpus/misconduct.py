"""Answers that can be read and are still not to be passed on as they are; and bytes that belong to no answer."""

import gzip
import re
from collections.abc import Mapping, Sequence

from benchmarks.corpus.case import CANARY, Pause, UpstreamCase
from benchmarks.corpus.service_answer import (
    BAD,
    CHUNKED,
    END,
    JSON,
    LATE,
    OK,
    RESET,
    STRANGER,
    Part,
    broken,
    head,
    length,
    whole,
)
from benchmarks.corpus.upstream import ECHO


def _clean(
    name: str, script: Sequence[Part], *, method: str = "GET", status: frozenset[int] = OK
) -> UpstreamCase:
    return UpstreamCase(
        name=name,
        vector="**bytes past CL; body on HEAD or 204**",
        script=tuple(script),
        status=status,
        method=method,
        conditional=304 in status,
        body=JSON if method == "GET" and status == OK else None,
        asked=(1, 1),
    )


_PAST = (
    _clean("bytes-past-the-length", [whole() + b"garbage"]),
    _clean("answer-past-the-length", [whole() + STRANGER]),
    _clean("answer-past-the-length-later", [whole(), Pause(seconds=0.01), STRANGER]),
    _clean("line-end-past-the-length", [whole() + b"\r\n"]),
    _clean(
        "answer-past-the-last-chunk",
        [head(CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON) + STRANGER],
    ),
    _clean("head-with-a-body", [whole()], method="HEAD"),
    _clean("head-with-a-body-that-is-an-answer", [head(length(5)) + STRANGER], method="HEAD"),
    _clean("head-with-chunks", [head(CHUNKED) + b"2\r\nhi\r\n0\r\n\r\n"], method="HEAD"),
    _clean(
        "204-with-a-body",
        [whole(status=b"204 No Content")],
        status=frozenset({204, 502}),
    ),
    _clean(
        "204-with-an-answer-behind",
        [head(status=b"204 No Content") + STRANGER],
        status=frozenset({204, 502}),
    ),
    _clean(
        "304-with-a-body",
        [whole(b'ETag: "1.s"', status=b"304 Not Modified")],
        status=frozenset({304}),
    ),
    _clean(
        "304-with-an-answer-behind",
        [head(b'ETag: "1.s"', status=b"304 Not Modified") + STRANGER],
        status=frozenset({304}),
    ),
    _clean(
        "stray-bytes-while-idle",
        [whole(), Pause(seconds=0.03), b"stray"],
    ),
    _clean("closed-while-idle", [whole(), Pause(seconds=0.01), END]),
    _clean("reset-while-idle", [whole(), Pause(seconds=0.01), RESET]),
    _clean("said-that-it-closes", [whole(b"Connection: close"), END]),
    _clean("said-that-it-closes-and-does-not", [whole(b"Connection: close") + STRANGER]),
)

_INTERIM = "103 or other 1xx"
_BEFORE: Mapping[str, Sequence[Part]] = {
    "early-hints": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"],
    "continue": [b"HTTP/1.1 100 Continue\r\n\r\n"],
    "processing-and-then-a-pause": [
        b"HTTP/1.1 102 Processing\r\n\r\n",
        Pause(seconds=0.05),
    ],
    "three": [b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3],
}
_INTERIMS = (
    *(
        UpstreamCase(
            name=name,
            vector=_INTERIM,
            script=(*before, whole()),
            status=OK,
            body=JSON,
            lacks=frozenset({b"link"}),
            asked=(1, 1),
        )
        for name, before in _BEFORE.items()
    ),
    UpstreamCase(
        name="interim-with-a-length",
        vector=_INTERIM,
        script=(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n", whole()),
        status=frozenset({200, 502}),
        body=JSON,
    ),
    UpstreamCase(
        name="interim-without-end",
        vector=_INTERIM,
        script=tuple(
            part
            for _ in range(100)
            for part in (b"HTTP/1.1 103 Early Hints\r\nX-A: a\r\n\r\n" * 500, Pause(seconds=0.02))
        ),
        status=frozenset({502, 504}),
    ),
)

_SWITCHING = broken(
    "101 unasked",
    {
        "switching-protocols": [
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            STRANGER,
        ],
        "switching-protocols-without-a-word": [b"HTTP/1.1 101 \r\n\r\n" + STRANGER],
    },
)

_SLOW = "drips or hangs"
_LATE_SCRIPTS: Sequence[tuple[str, Sequence[Part], bool]] = (
    ("hangs", [Pause(seconds=2.5)], False),
    ("hangs-in-the-head", [b"HTTP/1.1 200 OK\r\n", Pause(seconds=2.5)], False),
    ("hangs-in-the-body", [head(length(100)) + JSON, Pause(seconds=2.5)], True),
    (
        "drips-the-head",
        [part for byte in whole()[:30] for part in (bytes([byte]), Pause(seconds=0.08))],
        False,
    ),
    (
        "drips-the-body",
        [
            head(length(100)),
            *(part for _ in range(30) for part in (b" ", Pause(seconds=0.08))),
        ],
        True,
    ),
)
_IN_TIME = [
    # In eights, but the placeholder, which is filled in whole.
    piece
    for part in re.split(b"(" + re.escape(ECHO) + b")", whole())
    for piece in ([part] if part == ECHO else [part[at : at + 8] for at in range(0, len(part), 8)])
]
_SLOW_ONES = (
    *(
        UpstreamCase(
            name=name,
            vector=_SLOW,
            script=tuple(script),
            status=LATE,
            code="upstream_timeout",
            aborts=aborts,
        )
        for name, script, aborts in _LATE_SCRIPTS
    ),
    UpstreamCase(
        name="drips-but-in-time",
        vector=_SLOW,
        script=tuple(step for part in _IN_TIME for step in (part, Pause(seconds=0.002))),
        status=OK,
        body=JSON,
        asked=(1, 1),
    ),
)

_BOMB = gzip.compress(b"\0" * 20_000_000)
_CODED = (
    UpstreamCase(
        name="gzip-nobody-asked-for",
        vector="`Content-Encoding` body",
        script=(whole(b"Content-Encoding: gzip", body=gzip.compress(JSON, mtime=0)),),
        status=frozenset({200, 502}),
        body=gzip.compress(JSON, mtime=0),
        has={b"content-encoding": b"gzip"},
        asked=(1, 1),
    ),
    UpstreamCase(
        name="gzip-bomb",
        vector="gzip bomb (200 MB)",
        script=(whole(b"Content-Encoding: gzip", body=_BOMB),),
        status=frozenset({200, 502}),
        body=_BOMB,
        has={b"content-encoding": b"gzip"},
        asked=(1, 1),
    ),
)


def _stripped(name: str, vector: str, *fields: bytes, lacks: str) -> UpstreamCase:
    return UpstreamCase(
        name=name,
        vector=vector,
        script=(whole(*fields),),
        status=OK,
        body=JSON,
        lacks=frozenset(lacks.encode().split()),
        asked=(1, 1),
    )


_STRIPPED = (
    _stripped(
        "two-set-cookies",
        "two `Set-Cookie`",
        b"Set-Cookie: a=" + CANARY,
        b"Set-Cookie: b=" + CANARY,
        lacks="set-cookie",
    ),
    _stripped(
        "connection-named-fields",
        "`Connection`-named headers, Keep-Alive, Proxy-*, TE, Trailer, Upgrade",
        b"Connection: keep-alive, X-Hop",
        b"X-Hop: " + CANARY,
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: Basic",
        b"TE: trailers",
        b"Trailer: X-T",
        b"Upgrade: h2c",
        lacks="x-hop keep-alive proxy-authenticate te trailer upgrade",
    ),
    _stripped(
        "server-names",
        "`Server`, `X-Powered-By`",
        b"Server: " + CANARY,
        b"X-Powered-By: " + CANARY,
        lacks="server x-powered-by",
    ),
    UpstreamCase(
        name="trailers-of-an-answer",
        vector="`Connection`-named headers, Keep-Alive, Proxy-*, TE, Trailer, Upgrade",
        script=(
            head(CHUNKED)
            + b"%x;ext=1\r\n%b\r\n0\r\nX-Trailer: %b\r\nSet-Cookie: %b\r\n\r\n"
            % (len(JSON), JSON, CANARY, CANARY),
        ),
        status=OK,
        body=JSON,
        lacks=frozenset({b"x-trailer", b"set-cookie"}),
        asked=(1, 1),
    ),
    UpstreamCase(
        name="answer-that-may-be-cached",
        vector="PHI response",
        script=(whole(b"Cache-Control: public, max-age=3600"),),
        status=OK,
        body=JSON,
        has={b"cache-control": b"no-store"},
        asked=(1, 1),
    ),
)

_PROBLEM = b'{"type":"urn:banyan:problem:invalid_query","status":400,"code":"invalid_query"}'
_STATUSES = (
    UpstreamCase(
        name="status-400-with-a-problem-document",
        vector="5xx body; 4xx `details`/`hint` holding row data",
        script=(
            whole(body=_PROBLEM, status=b"400 X").replace(
                b"application/json", b"application/problem+json"
            ),
        ),
        status=frozenset({400}),
        code="invalid_query",
        asked=(1, 1),
    ),
    *(
        UpstreamCase(
            name=f"status-{status}",
            vector=vector,
            script=(whole(*fields, body=b'{"details":"%b"}' % CANARY, status=b"%d X" % status),),
            status=frozenset(allowed),
            lacks=frozenset({b"location"}),
        )
        for status, allowed, vector, fields in (
            (500, {502}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (503, {503}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (520, {502}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (400, {502}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (401, {401}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (403, {403}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (409, {502}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (429, {503}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (206, {502}, "5xx body; 4xx `details`/`hint` holding row data", ()),
            (301, {502}, "3xx", (b"Location: http://evil.example/",)),
            (302, {502}, "3xx", (b"Location: /v2/appointments",)),
            (307, {502}, "3xx", (b"Location: http://127.0.0.1:9/",)),
            (300, {502}, "3xx", ()),
        )
    ),
)

_ID = "**X-Correlation-ID**"
_ECHOES = (
    UpstreamCase(
        name="nobodys-answer",
        vector=_ID,
        script=(STRANGER,),
        status=BAD,
        code="upstream_broke",
    ),
    UpstreamCase(
        name="another-requests-answer",
        vector=_ID,
        script=(
            STRANGER.replace(b"\r\n\r\n", b"\r\nX-Correlation-ID: somebody-else-1\r\n\r\n", 1),
        ),
        status=BAD,
        code="upstream_broke",
    ),
    UpstreamCase(
        name="another-requests-id-beside-ours",
        vector=_ID,
        script=(whole(b"X-Correlation-ID: somebody-else-1"),),
        status=BAD,
        code="upstream_broke",
    ),
)

CASES = (
    *_PAST,
    *_INTERIMS,
    *_SWITCHING,
    *_SLOW_ONES,
    *_CODED,
    *_STRIPPED,
    *_STATUSES,
    *_ECHOES,
)
