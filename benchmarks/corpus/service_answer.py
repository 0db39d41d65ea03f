"""The bytes of a service's answer, right and wrong, to build scripts from."""

from collections.abc import Mapping, Sequence

from benchmarks.corpus.case import CANARY, Close, Pause, UpstreamCase
from benchmarks.corpus.upstream import ECHO

Part = bytes | Pause | Close

BAD = frozenset({502})
LATE = frozenset({504})
OK = frozenset({200})
END = Close()
RESET = Close(reset=True)
JSON = b'{"items":[],"next":null}'
LONG = b'{"items":["' + b"x" * 300_000 + b'"],"next":null}'


def head(*fields: bytes, status: bytes = b"200 OK", version: bytes = b"HTTP/1.1") -> bytes:
    lines = [
        version + b" " + status,
        b"Content-Type: application/json",
        b"X-Correlation-ID: " + ECHO,
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def length(size: int) -> bytes:
    return b"Content-Length: %d" % size


def whole(*fields: bytes, body: bytes = JSON, status: bytes = b"200 OK") -> bytes:
    return head(length(len(body)), *fields, status=status) + body


STRANGER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(CANARY) + 2,
    b'"' + CANARY + b'"',
)
"""An answer that belongs to somebody else."""

CHUNKED = b"Transfer-Encoding: chunked"


def broken(
    vector: str,
    scripts: Mapping[str, Sequence[Part]],
    *,
    aborts: bool = False,
    asked: tuple[int, int] = (1, 2),
) -> tuple[UpstreamCase, ...]:
    return tuple(
        UpstreamCase(
            name=name,
            vector=vector,
            script=tuple(script),
            status=BAD,
            code="upstream_broke",
            aborts=aborts,
            asked=asked,
        )
        for name, script in scripts.items()
    )
