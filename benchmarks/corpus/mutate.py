"""Fuzzed requests: cases of the corpus, bent; and requests grown from a grammar, with wrong parts in right places."""

import random
from collections.abc import Callable, Sequence

from benchmarks.corpus.case import HOST, TOKEN, Case
from benchmarks.corpus.requests import REQUESTS

_LONGEST_SEED = 4000
_METHODS = (b"GET", b"GET", b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"get", b"TRACE", b"X", b"")
_TARGETS = (
    b"/v2/lab-orders",
    b"/v2/lab-orders?limit=2",
    b"/v2/appointments",
    b"/v2/lab-orders/10000000-0000-7000-8000-000000000001",
    b"/v2/",
    b"/v2/../v2/lab-orders",
    b"/v2/%2e%2e/lab-orders",
    b"//v2/lab-orders",
    b"http://" + HOST + b"/v2/lab-orders",
    b"http://evil.example/v2/lab-orders",
    b"*",
    b"/healthz",
    b"/v2/lab-orders?a=%00#b",
)
_VERSIONS = (b"HTTP/1.1",) * 6 + (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"")
_LINES = (
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: 05",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length:5",
    b"Content-Length : 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer_Encoding: chunked",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: close, authorization",
    b"Connection: Transfer-Encoding",
    b"Host: evil.example",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"X-User-Id: 1",
    b"X-Correlation-ID: grown-000001",
    b"X-A: \xff\xfe",
    b"X-A:",
    b": empty",
    b" folded",
    b"\tfolded",
    b"X-A",
    b"Prefer: count=exact",
    b'If-None-Match: "1.s"',
)
_BODIES = (
    b"",
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"05\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"0\r\n\r\nGET /v2/lab-orders?limit=66 HTTP/1.1\r\nHost: <host>\r\nAuthorization: Bearer <token>\r\n\r\n",
    b"fffffffffffffffff\r\nx",
)
_ENDS = (b"\r\n",) * 12 + (b"\n", b"\r", b"\r\r\n", b"\x00\r\n", b"")
_INSERTS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b"\t",
    b"\x0b",
    b"\x7f",
    b"\xa0",
    b"\xff",
    b":",
    b",",
    b";",
    b"%",
    b"%2e",
    b"%00",
    b"..",
    b"/",
    b"//",
    b"\\",
    b"#",
    b"?",
    b"chunked",
    b"0",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: x\r\n",
    b"A" * 300,
)


class Mutations:
    """An endless, repeatable row of payloads, most of them broken; placeholders are still in them."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._seeds = [joined for case in REQUESTS.values() if (joined := _joined(case))]
        self._ways: Sequence[Callable[[bytes], bytes]] = (
            self._insert,
            self._insert,
            self._delete,
            self._flip,
            self._repeat,
            self._splice,
            self._swap_case,
            self._cut,
        )

    def payload(self) -> bytes:
        """One to three requests, of which the first is rarely as it should be."""
        grown = self._draw.random() < 0.4
        data = self._grown() if grown else self._draw.choice(self._seeds)
        for _ in range(self._draw.choice((0, 1, 1, 2, 3))):
            data = self._draw.choice(self._ways)(data)
        if self._draw.random() < 0.2:
            data += self._draw.choice(self._seeds)
        return data

    def _grown(self) -> bytes:
        draw = self._draw
        lines = [
            b" ".join((draw.choice(_METHODS), draw.choice(_TARGETS), draw.choice(_VERSIONS))),
            b"Host: " + HOST,
            b"Authorization: Bearer " + TOKEN,
            *(draw.choice(_LINES) for _ in range(draw.randrange(5))),
        ]
        if draw.random() < 0.3:
            draw.shuffle(lines)
        wrong = draw.random() < 0.2
        head = b"".join(line + (draw.choice(_ENDS) if wrong else b"\r\n") for line in lines)
        return head + b"\r\n" + draw.choice(_BODIES)

    # --- bending

    def _at(self, data: bytes) -> int:
        return self._draw.randrange(len(data) + 1)

    def _insert(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + self._draw.choice(_INSERTS) + data[at:]

    def _delete(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + data[at + self._draw.randint(1, 8) :]

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        at = self._draw.randrange(len(data))
        return data[:at] + bytes([self._draw.randrange(256)]) + data[at + 1 :]

    def _repeat(self, data: bytes) -> bytes:
        at = self._at(data)
        end = at + self._draw.randint(1, 60)
        return data[:end] + data[at:end] + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self._draw.choice(self._seeds)
        return data[: self._at(data)] + other[self._at(other) :]

    def _swap_case(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + data[at : at + 20].swapcase() + data[at + 20 :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._at(data)]


def _joined(case: Case) -> bytes:
    """The bytes of a case without its pauses; nothing for those that are only large."""
    data = b"".join(part for part in case.sent if isinstance(part, bytes))
    return data if len(data) <= _LONGEST_SEED else b""
