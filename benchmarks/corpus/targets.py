"""What is asked for, and of whom: request line, target, Host."""

from benchmarks.corpus.case import HOST, LIST, PLAIN_VIEW, Case, View, request

_HOSTS = "no Host; two Hosts; `Host: a/b?c@evil`"
_MISDIRECTED = frozenset({400, 421})


def _refused(
    name: str, vector: str, sent: bytes, status: frozenset[int] = frozenset({400})
) -> Case:
    return Case(name=name, vector=vector, sent=(sent,), answers=(status,), within=2.0)


_WRONG_HOSTS = (
    _refused("host-missing", _HOSTS, request(host=None)),
    _refused("host-missing-on-http-1.0", _HOSTS, request(host=None, version=b"HTTP/1.0")),
    _refused("host-twice", _HOSTS, request(b"Host: " + HOST)),
    _refused("host-twice-different", _HOSTS, request(b"Host: evil.example")),
    _refused("host-twice-other-first", _HOSTS, request(b"Host: " + HOST, host=b"evil.example")),
    *(
        _refused(f"host-{name}", _HOSTS, request(host=value), _MISDIRECTED)
        for name, value in {
            "empty": b"",
            "with-path-and-query": b"a/b?c@evil",
            "own-with-path": HOST + b"/v2",
            "own-with-query": HOST + b"?a",
            "own-with-fragment": HOST + b"#a",
            "with-userinfo": b"evil@" + HOST,
            "own-as-userinfo": HOST + b"@evil.example",
            "list": HOST + b", evil.example",
            "two-words": HOST + b" evil.example",
            "port-of-letters": b"127.0.0.1:http",
            "port-too-large": b"127.0.0.1:99999",
            "port-empty-twice": b"127.0.0.1::80",
            "two-ports": b"127.0.0.1:80:80",
            "other": b"evil.example",
            "other-with-own-in-it": b"127.0.0.1.evil.example",
            "trailing-dot": b"localhost.",
            "percent": b"%6cocalhost",
            "other-as-decimal": b"2130706433",
            "backslash": b"localhost\\evil.example",
            "non-ascii": "ｌocalhost".encode(),
        }.items()
    ),
    Case(
        name="host-of-another-is-421",
        vector=_HOSTS,
        sent=(request(host=b"project.supabase.example"),),
        answers=(frozenset({421}),),
        code="wrong_host",
    ),
    Case(
        name="host-in-capitals",
        vector=_HOSTS,
        sent=(request(host=b"LOCALHOST"),),
        answers=(frozenset({200}),),
        closes=False,
        views=(PLAIN_VIEW,),
    ),
)

_ABSOLUTE = "absolute-form target, own host / other host"
_ABSOLUTE_FORMS = (
    Case(
        name="absolute-own-host",
        vector=_ABSOLUTE,
        sent=(request(target=b"http://" + HOST + b"/v2/lab-orders?limit=2"),),
        answers=(frozenset({200}),),
        closes=False,
        views=(View(target=b"/v2/lab-orders?limit=2"),),
    ),
    *(
        _refused(f"absolute-{name}", _ABSOLUTE, request(target=target), _MISDIRECTED)
        for name, target in {
            "other-host": b"http://evil.example/v2/lab-orders",
            "metadata-address": b"http://169.254.169.254/latest/meta-data",
            "own-host-as-userinfo": b"http://" + HOST + b"@evil.example/v2/lab-orders",
            "with-userinfo": b"http://user@" + HOST + b"/v2/lab-orders",
            "other-scheme": b"ftp://" + HOST + b"/v2/lab-orders",
            "file": b"file:///etc/passwd",
            "unix": b"http://unix:/run/docker.sock:/v2/lab-orders",
            "dot-segment": b"http://" + HOST + b"/v2/../v2/lab-orders",
            "own-host-without-path-but-query": b"http://" + HOST + b"?/v2/lab-orders",
            "own-host-and-backslash": b"http://" + HOST + b"\\@evil.example/v2/lab-orders",
        }.items()
    ),
    _refused(
        "absolute-own-host-with-another-host-header",
        _ABSOLUTE,
        request(target=b"http://" + HOST + LIST, host=b"evil.example"),
        _MISDIRECTED,
    ),
    _refused("authority-form-on-get", _ABSOLUTE, request(target=b"evil.example:443")),
    _refused("target-without-slash", _ABSOLUTE, request(target=b"v2/lab-orders")),
    _refused("target-two-slashes", _ABSOLUTE, request(target=b"//evil.example/v2/lab-orders")),
    _refused("target-at", _ABSOLUTE, request(target=b"@evil.example/v2/lab-orders")),
    _refused("target-asterisk-on-get", _ABSOLUTE, request(target=b"*")),
)

_METHODS = "CONNECT, TRACE, `OPTIONS *`, lowercase or unknown method"
_NO_METHOD = frozenset({400, 501})
_WRONG_METHODS = (
    _refused(
        "connect",
        _METHODS,
        request(method=b"CONNECT", target=b"evil.example:443"),
        frozenset({405}),
    ),
    _refused("connect-own", _METHODS, request(method=b"CONNECT", target=HOST), frozenset({405})),
    _refused("connect-with-path", _METHODS, request(method=b"CONNECT"), frozenset({400, 405})),
    _refused("trace", _METHODS, request(method=b"TRACE"), frozenset({405})),
    _refused(
        "trace-with-max-forwards",
        _METHODS,
        request(b"Max-Forwards: 0", method=b"TRACE"),
        frozenset({405}),
    ),
    _refused(
        "options-asterisk",
        _METHODS,
        request(method=b"OPTIONS", target=b"*"),
        frozenset({400, 405, 501}),
    ),
    _refused("method-lower-case", _METHODS, request(method=b"get"), _NO_METHOD),
    _refused("method-mixed-case", _METHODS, request(method=b"Get"), _NO_METHOD),
    _refused("method-unknown", _METHODS, request(method=b"FETCH"), _NO_METHOD),
    _refused("method-of-webdav", _METHODS, request(method=b"PROPFIND"), frozenset({405, 501})),
    _refused("method-of-a-cache", _METHODS, request(method=b"PURGE"), frozenset({405, 501})),
    _refused("method-of-rtsp", _METHODS, request(method=b"DESCRIBE"), _NO_METHOD),
    _refused("method-with-a-slash", _METHODS, request(method=b"GE/T"), _NO_METHOD),
    _refused("method-with-a-nul", _METHODS, request(method=b"GE\x00T"), _NO_METHOD),
    _refused("method-long", _METHODS, request(method=b"A" * 300), _NO_METHOD),
    Case(
        name="method-that-the-resource-lacks",
        vector=_METHODS,
        sent=(request(method=b"DELETE"),),
        answers=(frozenset({405}),),
        code="method_not_allowed",
        closes=False,
    ),
)

_VERSIONS = "HTTP/0.9, HTTP/1.2, HTTP/2.0 request line"
_NO_VERSION = frozenset({400, 505})
_WRONG_VERSIONS = (
    _refused("http-0.9", _VERSIONS, b"GET /v2/lab-orders\r\n\r\n", _NO_VERSION),
    _refused("http-0.9-named", _VERSIONS, request(version=b"HTTP/0.9"), _NO_VERSION),
    _refused("http-1.2", _VERSIONS, request(version=b"HTTP/1.2"), _NO_VERSION),
    _refused("http-2.0", _VERSIONS, request(version=b"HTTP/2.0"), _NO_VERSION),
    _refused("http-3.0", _VERSIONS, request(version=b"HTTP/3.0"), _NO_VERSION),
    _refused("http-1.10", _VERSIONS, request(version=b"HTTP/1.10"), _NO_VERSION),
    _refused("http-01.1", _VERSIONS, request(version=b"HTTP/01.1"), _NO_VERSION),
    _refused("http-1", _VERSIONS, request(version=b"HTTP/1"), _NO_VERSION),
    _refused("http-in-lower-case", _VERSIONS, request(version=b"http/1.1"), _NO_VERSION),
    _refused("http-another-protocol", _VERSIONS, request(version=b"ICY/1.1"), _NO_VERSION),
    _refused(
        "http-2-preface",
        _VERSIONS,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        frozenset({400, 405, 501, 505}),
    ),
    _refused(
        "tls-hello",
        _VERSIONS,
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 32,
        frozenset({400, 501}),
    ),
    _refused(
        "proxy-protocol",
        _VERSIONS,
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + request(),
        frozenset({400, 501}),
    ),
    # RFC 9112 section 3 lets a reader split the line at any blanks.
    Case(
        name="blank-before-the-version-twice",
        vector=_VERSIONS,
        sent=(request(version=b" HTTP/1.1"),),
        answers=(frozenset({200}),),
        closes=False,
        views=(PLAIN_VIEW,),
    ),
    _refused("blank-behind-the-version", _VERSIONS, request(version=b"HTTP/1.1 ")),
    _refused("tab-before-the-version", _VERSIONS, request(target=LIST + b"\t")),
    _refused("two-targets", _VERSIONS, request(target=LIST + b" /v2/appointments")),
)

_NON_ASCII = tuple(
    _refused(name, "raw non-ASCII target", request(target=target))
    for name, target in {
        "target-utf-8": "/v2/lab-ordérs".encode(),
        "target-latin-1": b"/v2/lab-ord\xe9rs",
        "target-overlong-slash": b"/v2\xc0\xaflab-orders",
        "query-utf-8": "/v2/lab-orders?limit=é".encode(),
        "query-fullwidth": "/v2/lab-orders?limit=１".encode(),
    }.items()
)

_PATHS = "path with `/../`, `/./`, `%2e%2e`, `//`, `%2f`, `%5c`, `\\`, `%00`, `%0d%0a`, `%zz`, `%25%32%65`, `;p`, `#`"
_WRONG_PATHS = tuple(
    _refused(f"path-{name}", _PATHS, request(target=target))
    for name, target in {
        "dot-dot": b"/v2/../v2/lab-orders",
        "dot-dot-to-metrics": b"/v2/../metrics",
        "dot-dot-at-the-end": b"/v2/lab-orders/..",
        "dot": b"/v2/./lab-orders",
        "dot-at-the-end": b"/v2/lab-orders/.",
        "encoded-dot-dot": b"/v2/%2e%2e/v2/lab-orders",
        "encoded-dot-dot-capitals": b"/v2/%2E%2E/v2/lab-orders",
        "half-encoded-dot-dot": b"/v2/.%2e/v2/lab-orders",
        "encoded-dot": b"/v2/%2e/lab-orders",
        "encoded-twice": b"/v2/%252e%252e/v2/lab-orders",
        "encoded-three-times": b"/v2/%25252e%25252e/v2/lab-orders",
        "percent-encoded-digits": b"/v2/%25%32%65%25%32%65/v2/lab-orders",
        "percent-encoded-percent-and-e": b"/v2/%%32%65/v2/lab-orders",
        "two-slashes": b"/v2//lab-orders",
        "two-slashes-at-the-end": b"/v2/lab-orders//",
        "encoded-slash": b"/v2/lab-orders%2fx",
        "encoded-slash-twice": b"/v2/lab-orders%252fx",
        "encoded-slash-and-dots": b"/v2/lab-orders/..%2f..%2fmetrics",
        "backslash": b"/v2\\lab-orders",
        "encoded-backslash": b"/v2/lab-orders%5cx",
        "backslash-dots": b"/v2/..\\lab-orders",
        "encoded-nul": b"/v2/lab-orders%00",
        "encoded-nul-twice": b"/v2/lab-orders%2500",
        "encoded-crlf": b"/v2/lab-orders%0d%0aX-A:%201",
        "encoded-lf": b"/v2/lab-orders%0a",
        "encoded-delete": b"/v2/lab-orders%7f",
        "encoded-escape": b"/v2/lab-orders%1b",
        "bad-percent": b"/v2/lab-orders/%zz",
        "bad-percent-at-the-end": b"/v2/lab-orders/%",
        "bad-percent-one-digit": b"/v2/lab-orders/%2",
        "percent-u": b"/v2/%u002e%u002e/lab-orders",
        "parameter": b"/v2/lab-orders;p",
        "parameter-on-dots": b"/v2/..;/metrics",
        "fragment": b"/v2/lab-orders#a",
        "fragment-in-the-query": b"/v2/lab-orders?limit=1#a",
        "quote": b'/v2/"lab-orders"',
        "angle": b"/v2/<lab-orders>",
        "braces": b"/v2/{lab-orders}",
        "pipe": b"/v2/lab|orders",
        "nul": b"/v2/lab-orders\x00",
        "control": b"/v2/lab-orders\x01",
        "bare-cr": b"/v2/lab-orders\r",
    }.items()
)
_OTHER_PATHS = (
    *(
        Case(
            name=f"path-{name}",
            vector=_PATHS,
            sent=(request(target=target),),
            answers=(frozenset({400, 404}),),
            closes=None,
        )
        for name, target in {
            "overlong-dots": b"/v2/%c0%ae%c0%ae/v2/lab-orders",
            "overlong-slash": b"/v2%c0%aflab-orders",
            "fullwidth-dots": b"/v2/%ef%bc%8e%ef%bc%8e/metrics",
            "encoded-semicolon-parameter": b"/v2/..%3b/metrics",
        }.items()
    ),
    *(
        Case(
            name=f"path-{name}",
            vector=vector,
            sent=(request(target=target),),
            answers=(frozenset({404}),),
            code="no_such_route",
            closes=False,
        )
        for name, vector, target in (
            ("in-capitals", "`/V2/…`", b"/V2/lab-orders"),
            ("resource-in-capitals", "`/V2/…`", b"/v2/Lab-Orders"),
            ("encoded-letter", "`/V2/…`", b"/v2/%6cab-orders"),
            ("slash-behind", "`/V2/…`", b"/v2/lab-orders/"),
            ("internal", "`/V2/…`", b"/internal/page"),
            ("of-supabase", "`/V2/…`", b"/rest/v1/lab_orders"),
        )
    ),
    Case(
        name="query-byte-for-byte",
        vector=_PATHS,
        sent=(
            request(
                target=LIST
                + b"?limit=2&order=-created_at,id&created_at[gte]=2024-01-01T00:00:00%2B00:00"
            ),
        ),
        answers=(frozenset({200}),),
        closes=False,
        views=(
            View(
                target=LIST
                + b"?limit=2&order=-created_at,id&created_at[gte]=2024-01-01T00:00:00%2B00:00"
            ),
        ),
    ),
    Case(
        name="query-with-dots-and-slashes-is-only-a-query",
        vector=_PATHS,
        sent=(request(target=LIST + b"?limit=../../metrics"),),
        answers=(frozenset({200}),),
        closes=False,
        views=(View(target=LIST + b"?limit=../../metrics"),),
    ),
    Case(
        name="query-empty",
        vector=_PATHS,
        sent=(request(target=LIST + b"?"),),
        answers=(frozenset({200}),),
        closes=False,
        views=(View(target=LIST),),
    ),
)

CASES = (
    *_WRONG_HOSTS,
    *_ABSOLUTE_FORMS,
    *_WRONG_METHODS,
    *_WRONG_VERSIONS,
    *_NON_ASCII,
    *_WRONG_PATHS,
    *_OTHER_PATHS,
)
