"""Where a message ends: Content-Length, Transfer-Encoding, chunks, trailers, line ends."""

from benchmarks.corpus.case import CANARY, FLAGS, PLAIN_VIEW, SMUGGLED, Case, Pause, View, request

CHUNKED = b"Transfer-Encoding: chunked"
NO_MORE = b"0\r\n\r\n"
_TE_REFUSED = frozenset({400, 501})


def _refused(
    name: str,
    vector: str,
    *sent: bytes | Pause,
    status: frozenset[int] = frozenset({400}),
    within: float = 2.0,
) -> Case:
    return Case(name=name, vector=vector, sent=sent, answers=(status,), within=within)


def _post(*fields: bytes, body: bytes) -> bytes:
    return request(
        b"Content-Type: application/json", *fields, method=b"POST", target=FLAGS, body=body
    )


def _content_length(value: bytes) -> bytes:
    return b"Content-Length: " + value


_BOTH = tuple(
    _refused(name, "CL + TE together", sent)
    for name, sent in {
        "cl-te-hides-a-request": request(
            _content_length(b"%d" % (len(NO_MORE) + len(SMUGGLED))),
            CHUNKED,
            body=NO_MORE + SMUGGLED,
        ),
        "te-cl-hides-a-request": request(
            CHUNKED,
            _content_length(b"4"),
            body=b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + NO_MORE,
        ),
        "cl-te-that-agree": request(_content_length(b"5"), CHUNKED, body=NO_MORE),
        "cl-0-te": request(_content_length(b"0"), CHUNKED, body=NO_MORE + SMUGGLED),
        "cl-te-post": _post(_content_length(b"7"), CHUNKED, body=b"2\r\n{}\r\n" + NO_MORE),
        "cl-te-in-upper-case": request(
            b"CONTENT-LENGTH: 5", b"TRANSFER-ENCODING: CHUNKED", body=NO_MORE
        ),
        "cl-identity-te": request(
            _content_length(b"2"), b"Transfer-Encoding: identity", body=b"{}"
        ),
    }.items()
)

_EQUAL = tuple(
    _refused(name, "duplicate equal CL, `CL: 5, 5`", sent)
    for name, sent in {
        "cl-twice-equal": request(_content_length(b"2"), _content_length(b"2"), body=b"{}"),
        "cl-list-equal": request(_content_length(b"2, 2"), body=b"{}"),
        "cl-list-without-space": request(_content_length(b"2,2"), body=b"{}"),
        "cl-twice-zero": request(_content_length(b"0"), _content_length(b"0"), body=SMUGGLED),
        "cl-twice-equal-post": _post(_content_length(b"2"), _content_length(b"2"), body=b"{}"),
    }.items()
)

_WRONG_LENGTHS = {
    "plus": b"+2",
    "underscore": b"0_2",
    "minus": b"-1",
    "minus-zero": b"-0",
    "hex": b"0x2",
    "huge": b"9" * 30,
    "just-over-64-bit": b"18446744073709551616",
    "just-over-63-bit": b"9223372036854775808",
    "empty": b"",
    "blank-inside": b"1 0",
    "tab-inside": b"1\t0",
    "fraction": b"2.0",
    "exponent": b"2e0",
    "quoted": b'"2"',
    "words": b"two",
    "semicolon": b"2;q=1",
    "superscript": b"\xb2",
    "arabic-digit": "٢".encode(),
}
_DIFFERENT = (
    _refused(
        "cl-twice-different",
        "differing CL, `+5`, `0_5`, `-1`, huge",
        request(_content_length(b"0"), _content_length(b"%d" % len(SMUGGLED)), body=SMUGGLED),
    ),
    _refused(
        "cl-list-different",
        "differing CL, `+5`, `0_5`, `-1`, huge",
        request(_content_length(b"0, 2"), body=b"{}"),
    ),
    *(
        _refused(
            f"cl-{name}",
            "differing CL, `+5`, `0_5`, `-1`, huge",
            request(_content_length(value), body=b"{}"),
            # A number that is only large may also be told that it is too large.
            status=frozenset({400, 413})
            if value.isdigit() and len(value) > 9
            else frozenset({400}),
        )
        for name, value in _WRONG_LENGTHS.items()
    ),
)

_TE_VECTOR = "TE `xchunked`, `identity`, `chunked, identity`, twice, `TE :`, `\\v`"
_CODINGS = {
    "xchunked": [b"Transfer-Encoding: xchunked"],
    "identity": [b"Transfer-Encoding: identity"],
    "chunked-identity": [b"Transfer-Encoding: chunked, identity"],
    "identity-chunked": [b"Transfer-Encoding: identity, chunked"],
    "gzip": [b"Transfer-Encoding: gzip"],
    "gzip-chunked": [b"Transfer-Encoding: gzip, chunked"],
    "chunked-chunked": [b"Transfer-Encoding: chunked, chunked"],
    "twice": [CHUNKED, CHUNKED],
    "twice-different": [CHUNKED, b"Transfer-Encoding: x"],
    "empty": [b"Transfer-Encoding:"],
    "quoted": [b'Transfer-Encoding: "chunked"'],
    "with-parameter": [b"Transfer-Encoding: chunked;q=1"],
    "comma-before": [b"Transfer-Encoding: ,chunked"],
    "comma-behind": [b"Transfer-Encoding: chunked,"],
    "blank-before-colon": [b"Transfer-Encoding : chunked"],
    "tab-before-colon": [b"Transfer-Encoding\t: chunked"],
    "vertical-tab": [b"Transfer-Encoding: \x0bchunked"],
    "form-feed": [b"Transfer-Encoding: chunked\x0c"],
    "nul-behind": [b"Transfer-Encoding: chunked\x00"],
    "blank-before-name": [b"X-A: 1", b" Transfer-Encoding: chunked"],
    "dotless-i": ["Transfer-Encodıng: chunked".encode()],
    "long-s": ["Tranſfer-Encoding: chunked".encode()],
}
_WRONG_CODINGS = tuple(
    _refused(
        f"te-{name}",
        _TE_VECTOR,
        request(*lines, body=NO_MORE + SMUGGLED),
        status=_TE_REFUSED,
    )
    for name, lines in _CODINGS.items()
)

_OLD_VERSION = (
    _refused(
        "te-on-http-1.0", "TE on HTTP/1.0", request(CHUNKED, version=b"HTTP/1.0", body=NO_MORE)
    ),
    _refused(
        "te-on-http-1.0-keep-alive",
        "TE on HTTP/1.0",
        request(CHUNKED, b"Connection: keep-alive", version=b"HTTP/1.0", body=NO_MORE + SMUGGLED),
    ),
)

_FOLD = "obs-fold (also on TE); bare LF line ends"
_FOLDED = tuple(
    _refused(name, _FOLD, sent)
    for name, sent in {
        "obs-fold-blank": request(b"X-A: 1\r\n 2"),
        "obs-fold-tab": request(b"X-A: 1\r\n\t2"),
        "obs-fold-on-te": request(b"Transfer-Encoding:\r\n chunked", body=NO_MORE + SMUGGLED),
        "obs-fold-on-te-behind": request(b"Transfer-Encoding: chunked\r\n x", body=NO_MORE),
        "obs-fold-on-cl": request(b"Content-Length:\r\n 2", body=b"{}"),
        "obs-fold-as-first-field": request().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\n ", 1),
        "bare-lf-everywhere": request().replace(b"\r\n", b"\n"),
        "bare-lf-after-request-line": request().replace(b"\r\n", b"\n", 1),
        "bare-lf-after-a-field": request(b"X-A: 1\nX-B: 2"),
        "bare-lf-ends-the-head": request()[:-4] + b"\n\n",
        "bare-lf-crlf-ends-the-head": request()[:-4] + b"\n\r\n",
    }.items()
)

_CONTROL = (
    *(
        _refused(f"{name}-in-{place}", "bare CR, NUL in a value", request(line))
        for name, byte in {"bare-cr": b"\r", "nul": b"\x00"}.items()
        for place, line in {
            "a-value": b"X-A: 1" + byte + b"2",
            "a-name": b"X-" + byte + b"A: 1",
            "the-end-of-a-value": b"X-A: 1" + byte,
        }.items()
    ),
    _refused(
        "bare-cr-hides-a-field",
        "bare CR, NUL in a value",
        request(b"X-A: 1\rTransfer-Encoding: chunked", body=NO_MORE + SMUGGLED),
    ),
    *(
        _refused(
            f"ctl-{byte:02x}-in-a-value", "CTL (0x01) in a value", request(b"X-A: 1%c2" % byte)
        )
        for byte in (0x01, 0x08, 0x0B, 0x1B, 0x7F)
    ),
    _refused("ctl-in-a-name", "CTL (0x01) in a value", request(b"X-\x01A: 1")),
)

_EXTENSION = "chunk extension, legal"
_LEGAL_CHUNKS = (
    Case(
        name="chunk-extensions-are-dropped",
        vector=_EXTENSION,
        sent=(request(CHUNKED, body=b'5;a=b;c="d"\r\nhello\r\n0;z\r\n\r\n'),),
        answers=(frozenset({200}),),
        closes=False,
        views=(PLAIN_VIEW,),
    ),
    Case(
        name="chunked-body-of-a-post",
        vector=_EXTENSION,
        sent=(_post(CHUNKED, body=b"1\r\n{\r\n1\r\n}\r\n" + NO_MORE),),
        answers=(frozenset({200}),),
        closes=False,
    ),
    Case(
        name="chunked-in-capitals",
        vector=_EXTENSION,
        sent=(_post(b"Transfer-Encoding: CHUNKED", body=b"2\r\n{}\r\n" + NO_MORE),),
        answers=(frozenset({200}),),
        closes=False,
    ),
    Case(
        name="chunked-body-byte-by-byte",
        vector=_EXTENSION,
        sent=(
            _post(CHUNKED, body=b""),
            *(
                part
                for byte in b"2;a=b\r\n{}\r\n" + NO_MORE
                for part in (Pause(seconds=0.001), bytes([byte]))
            ),
        ),
        answers=(frozenset({200}),),
        closes=False,
    ),
    _refused(
        "chunk-extensions-over-4-kb",
        _EXTENSION,
        request(CHUNKED, body=b"1;" + b"a" * 5000 + b"\r\nx\r\n" + NO_MORE),
        status=frozenset({400, 413, 431}),
    ),
    _refused(
        "chunk-extensions-over-4-kb-in-total",
        _EXTENSION,
        request(CHUNKED, body=(b"1;" + b"a" * 60 + b"\r\nx\r\n") * 100 + NO_MORE),
        status=frozenset({400, 413, 431}),
    ),
)

_WRONG_EXTENSIONS = tuple(
    _refused(name, "chunk extension with LF, with CR", request(CHUNKED, body=body))
    for name, body in {
        "chunk-extension-with-lf": b"2;a\nb\r\nhi\r\n" + NO_MORE,
        "chunk-extension-ends-by-lf": b"2;a\nhi\r\n" + NO_MORE + SMUGGLED,
        "chunk-extension-with-cr": b"2;a\rb\r\nhi\r\n" + NO_MORE,
        "chunk-extension-with-nul": b"2;a\x00b\r\nhi\r\n" + NO_MORE,
        "chunk-extension-with-lf-hides-a-request": b"2;\nxx\r\n4c\r\n0\r\n\r\n" + SMUGGLED,
    }.items()
)

_CHUNK_ENDS = "chunk terminator wrong, `0x5`, `+5`, size with trailing space"
_WRONG_CHUNKS = tuple(
    _refused(name, _CHUNK_ENDS, request(CHUNKED, body=body))
    for name, body in {
        "chunk-longer-than-its-size": b"2\r\nhixx\r\n" + NO_MORE,
        "chunk-ends-by-lf": b"2\r\nhi\n" + NO_MORE,
        "chunk-ends-by-cr": b"2\r\nhi\r" + NO_MORE,
        "chunk-ends-by-two-other-bytes": b"2\r\nhiXX" + NO_MORE + SMUGGLED,
        "chunk-size-ends-by-lf": b"2\nhi\r\n" + NO_MORE,
        "chunk-size-ends-by-cr": b"2\rhi\r\n" + NO_MORE,
        "chunk-size-0x": b"0x2\r\nhi\r\n" + NO_MORE,
        "chunk-size-plus": b"+2\r\nhi\r\n" + NO_MORE,
        "chunk-size-minus": b"-2\r\nhi\r\n" + NO_MORE,
        "chunk-size-underscore": b"0_2\r\nhi\r\n" + NO_MORE,
        "chunk-size-blank-behind": b"2 \r\nhi\r\n" + NO_MORE,
        "chunk-size-tab-behind": b"2\t\r\nhi\r\n" + NO_MORE,
        "chunk-size-blank-before": b" 2\r\nhi\r\n" + NO_MORE,
        "chunk-size-blank-before-extension": b"2 ;a=b\r\nhi\r\n" + NO_MORE,
        "chunk-size-empty": b"\r\nhi\r\n" + NO_MORE,
        "chunk-size-no-hex": b"g\r\nhi\r\n" + NO_MORE,
        "chunk-size-comma": b"2,2\r\nhi\r\n" + NO_MORE,
        "last-chunk-ends-by-lf": b"0\n\n" + SMUGGLED,
    }.items()
)

_OVERFLOW = tuple(
    _refused(
        name,
        "chunk size overflow (18 hex digits)",
        request(CHUNKED, body=size + b"\r\n" + SMUGGLED),
        status=frozenset({400, 413}) if len(size) > 16 else frozenset({400, 408, 413}),
        within=1.0 if len(size) > 16 else 3.0,
    )
    for name, size in {
        "chunk-size-18-digits": b"1" + b"0" * 17,
        "chunk-size-16-digits": b"f" * 16,
        "chunk-size-wraps-to-2": b"1" + b"0" * 15 + b"2",
        "chunk-size-without-end": b"1" * 3000,
    }.items()
)

_TRAILED = (
    Case(
        name="trailers-are-dropped",
        vector="**trailers**",
        sent=(
            request(
                CHUNKED,
                body=b"2\r\nhi\r\n0\r\nX-User-Id: %b\r\nX-Correlation-ID: %b\r\n\r\n"
                % (CANARY, CANARY),
            ),
        ),
        answers=(frozenset({200}),),
        closes=False,
        views=(View(headers={b"x-user-id": None}),),
    ),
    Case(
        name="trailer-authorization-has-no-effect",
        vector="**trailers**",
        sent=(
            b"POST %b HTTP/1.1\r\nHost: <host>\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\nAuthorization: Bearer <token>\r\n\r\n" % FLAGS,
        ),
        answers=(frozenset({401}),),
        code="unauthenticated",
        closes=None,
    ),
    _refused(
        "trailer-content-length",
        "**trailers**",
        request(CHUNKED, body=b"2\r\nhi\r\n0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)),
    ),
    _refused(
        "trailer-with-nul",
        "**trailers**",
        request(CHUNKED, body=b"2\r\nhi\r\n0\r\nX-A: \x00\r\n\r\n"),
    ),
)

CASES = (
    *_BOTH,
    *_EQUAL,
    *_DIFFERENT,
    *_WRONG_CODINGS,
    *_OLD_VERSION,
    *_FOLDED,
    *_CONTROL,
    *_LEGAL_CHUNKS,
    *_WRONG_EXTENSIONS,
    *_WRONG_CHUNKS,
    *_OVERFLOW,
    *_TRAILED,
)
