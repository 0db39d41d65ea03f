"""Answers that end where they should not, or where nobody can tell; and what is no answer at all."""

from benchmarks.corpus.case import Pause
from benchmarks.corpus.service_answer import (
    CHUNKED,
    END,
    JSON,
    LONG,
    RESET,
    broken,
    head,
    length,
    whole,
)

_NOTHING = broken(
    "refuses or resets before a response",
    {
        "reset-before-the-answer": [RESET],
        "closed-before-the-answer": [END],
        "reset-in-the-status-line": [b"HTTP/1.1 2", Pause(seconds=0.02), RESET],
        "closed-in-the-head": [b"HTTP/1.1 200 OK\r\nContent-Le", Pause(seconds=0.02), END],
        "closed-behind-an-interim-answer": [b"HTTP/1.1 103 Early Hints\r\n\r\n", END],
    },
)

_TRUNCATED = broken(
    "closes inside CL or a chunk",
    {
        "cut-in-a-length": [head(length(100)) + JSON, END],
        "cut-in-a-length-later": [head(length(100)) + JSON, Pause(seconds=0.1), END],
        "cut-in-a-length-by-reset": [head(length(100)) + JSON, Pause(seconds=0.05), RESET],
        "cut-before-the-body": [head(length(100)), Pause(seconds=0.05), END],
        "cut-in-a-long-length": [
            head(length(2 * len(LONG))) + LONG,
            Pause(seconds=0.1),
            END,
        ],
        "cut-one-byte-short": [head(length(len(JSON) + 1)) + JSON, END],
        "cut-in-a-chunk": [head(CHUNKED) + b"ff\r\n" + JSON, END],
        "cut-before-the-last-chunk": [
            head(CHUNKED) + b"%x\r\n%b\r\n" % (len(JSON), JSON),
            END,
        ],
        "cut-in-the-last-chunk": [
            head(CHUNKED) + b"%x\r\n%b\r\n0\r\n" % (len(JSON), JSON),
            Pause(seconds=0.05),
            END,
        ],
        "cut-in-a-chunk-by-reset": [
            head(CHUNKED) + b"%x\r\n%b\r\n" % (len(LONG), LONG),
            Pause(seconds=0.05),
            RESET,
        ],
    },
    aborts=True,
)

_UNFRAMED = broken(
    "**close-delimited JSON** (HTTP/1.0, no CL)",
    {
        "close-delimited": [head() + JSON, END],
        "close-delimited-said-so": [head(b"Connection: close") + JSON, END],
        "close-delimited-1.0": [head(version=b"HTTP/1.0") + JSON, END],
        "close-delimited-half-a-document": [head() + JSON[:9], END],
    },
    aborts=False,
)

_FRAMED_TWICE = broken(
    "CL + TE / differing CLs",
    {
        "cl-and-te": [head(length(3), CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON)],
        "te-and-cl": [head(CHUNKED, length(3)) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON)],
        "cl-twice-different": [head(length(5), length(len(JSON))) + JSON],
        "cl-twice-equal": [head(length(len(JSON)), length(len(JSON))) + JSON],
        "cl-list": [head(b"Content-Length: 24, 24") + JSON],
        **{
            f"cl-{name}": [head(b"Content-Length: " + value) + JSON, Pause(seconds=0.05), END]
            for name, value in {
                "plus": b"+24",
                "minus": b"-1",
                "hex": b"0x18",
                "empty": b"",
                "words": b"all",
                "underscore": b"2_4",
                "huge": b"9" * 30,
            }.items()
        },
        **{
            f"te-{name}": [
                head(b"Transfer-Encoding: " + value) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON),
                Pause(seconds=0.05),
                END,
            ]
            for name, value in {
                "identity": b"identity",
                "gzip": b"gzip",
                "gzip-chunked": b"gzip, chunked",
                "chunked-identity": b"chunked, identity",
                "xchunked": b"xchunked",
                "twice-in-one": b"chunked, chunked",
            }.items()
        },
        "te-twice": [head(CHUNKED, CHUNKED) + b"0\r\n\r\n"],
        "te-on-http-1.0": [head(CHUNKED, version=b"HTTP/1.0") + b"0\r\n\r\n", END],
    },
)

_WRONG_CHUNKS = broken(
    "closes inside CL or a chunk",
    {
        f"chunk-{name}": [head(CHUNKED) + body, Pause(seconds=0.05), END]
        for name, body in {
            "size-no-hex": b"zz\r\nhi\r\n0\r\n\r\n",
            "size-0x": b"0x2\r\nhi\r\n0\r\n\r\n",
            "size-minus": b"-2\r\nhi\r\n0\r\n\r\n",
            "size-overflow": b"1" + b"0" * 17 + b"\r\nhi",
            "size-16-digits": b"f" * 16 + b"\r\nhi",
            "longer-than-its-size": b"2\r\nhixx\r\n0\r\n\r\n",
            "ends-by-lf": b"2\r\nhi\n0\r\n\r\n",
            "size-ends-by-lf": b"2\nhi\r\n0\r\n\r\n",
            "extension-with-lf": b"2;a\nb\r\nhi\r\n0\r\n\r\n",
        }.items()
    },
    aborts=True,
)


_UNREADABLE = broken(
    "CTL in a header; status 999; bare LF",
    {
        "ctl-in-a-value": [whole(b"X-A: 1\x012")],
        "nul-in-a-value": [whole(b"X-A: 1\x002")],
        "delete-in-a-value": [whole(b"X-A: 1\x7f2")],
        "cr-in-a-value": [whole(b"X-A: 1\r2")],
        "ctl-in-a-name": [whole(b"X\x01A: 1")],
        "blank-in-a-name": [whole(b"X A: 1")],
        "blank-before-the-colon": [whole(b"X-A : 1")],
        "no-colon": [whole(b"X-A")],
        "no-name": [whole(b": 1")],
        "obs-fold": [whole(b"X-A: 1\r\n 2")],
        "status-999": [whole(status=b"999 Strange")],
        "status-600": [whole(status=b"600 Strange")],
        "status-099": [whole(status=b"099 Low")],
        "status-20": [whole(status=b"20 Short")],
        "status-2000": [whole(status=b"2000 Long")],
        "status-of-letters": [whole(status=b"OK 200")],
        "bare-lf": [whole().replace(b"\r\n", b"\n")],
        "bare-lf-in-one-line": [whole(b"X-A: 1\nX-B: 2")],
        "http-0.9": [JSON, END],
        "http-2": [whole().replace(b"HTTP/1.1", b"HTTP/2.0", 1)],
        "http-1.2": [whole().replace(b"HTTP/1.1", b"HTTP/1.2", 1)],
        "another-protocol": [whole().replace(b"HTTP/1.1", b"ICY", 1)],
        "http-in-lower-case": [whole().replace(b"HTTP/1.1", b"http/1.1", 1)],
        "garbage-before": [b"garbage" + whole()],
        "tls-alert": [b"\x15\x03\x01\x00\x02\x02\x46", END],
        "head-of-200-kb": [whole(b"X-A: " + b"a" * 200_000)],
        "head-of-5000-fields": [whole(*(b"X-%d: 1" % n for n in range(5000)))],
    },
)

CASES = (*_NOTHING, *_TRUNCATED, *_UNFRAMED, *_FRAMED_TWICE, *_WRONG_CHUNKS, *_UNREADABLE)
