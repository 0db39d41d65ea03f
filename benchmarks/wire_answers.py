"""`WireAnswers`: what an upstream might send, right, slightly wrong or badly wrong; the same for the same seed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_STATUSES = (200,) * 12 + (201, 204, 204, 206, 304, 304, 400, 404, 500, 503, 99, 600, 999, 101)
_VERSIONS = (b"HTTP/1.1",) * 30 + (b"HTTP/1.0",) * 4 + (b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2")
_REASONS = (b" OK", b" ", b"", b" Not Found", b" \xc3\x9f", b" a b\tc")
_LINES = (
    b"Content-Type: application/json",
    b'ETag: "1.s"',
    b"X-Long: " + b"v" * 300,
    b"X-Empty:",
    b"X-Padded: \t a b \t ",
    b"X-Text: \xc3\xa9",
    b"Set-Cookie: a=1",
    b"Set-Cookie: b=2",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: close, keep-alive",
    b"Connection: Upgrade, x-a",
    b"Upgrade: h2c",
    b"Keep-Alive: timeout=5",
    b"Trailer: X-T",
)
_FRAMINGS = (
    b"Content-Length: %d",
    b"content-length:%d",
    b"Content-Length: \t%d ",
    b"Content-Length: 00%d",
    b"Content-Length: +%d",
    b"Content-Length: %d, %d",
    b"Content-Length: 0x%x",
    b"Content-Length: " + b"0" * 25 + b"%d",
    b"Content-Length : %d",
)
_CODINGS = (
    b"Transfer-Encoding: chunked",
    b"transfer-encoding:CHUNKED ",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: ,chunked",
)
_INTERIMS = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    b"HTTP/1.1 199 X\r\n\r\n",
    b"HTTP/1.1 104 X\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 102 X\r\nTransfer-Encoding: chunked\r\n\r\n",
)
_BEHIND = (
    b"\r\n",
    b"stray",
    b"\x00",
    b"0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret",
    b"HTTP/1.1 100 Continue\r\n\r\n",
)
_PIECES = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\x01",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b":",
    b";",
    b",",
    b"0",
    b"5",
    b"a",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.1 ",
    b" folded\r\n",
)


@dataclass(frozen=True, kw_only=True)
class WireAnswer:
    """What came, in which pieces, to a request by `method`."""

    method: str
    pieces: tuple[bytes, ...]

    @property
    def raw(self) -> bytes:
        return b"".join(self.pieces)


class WireAnswers:
    """An endless supply."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._last = b""

    def one(self) -> WireAnswer:
        """Half of them are left as they were made; the others are damaged in one to four places."""
        draw = self._draw
        method = "HEAD" if draw.random() < 0.1 else "GET"
        raw = self._made(method)
        for _ in range(draw.choice((0, 0, 0, 0, 1, 1, 2, 4))):
            raw = draw.choice(_DAMAGES)(self, raw)
        self._last = raw
        return WireAnswer(method=method, pieces=self._cut(raw))

    def _cut(self, raw: bytes) -> tuple[bytes, ...]:
        cuts = self._draw.choice((0, 0, 1, 2, 5, len(raw)))
        if cuts == len(raw):
            return tuple(raw[at : at + 1] for at in range(len(raw)))
        at = sorted(self._draw.randrange(len(raw) + 1) for _ in range(cuts))
        ends = (*at, len(raw))
        pieces = (raw[begin:end] for begin, end in zip((0, *at), ends, strict=True))
        return tuple(piece for piece in pieces if piece)

    def _made(self, method: str) -> bytes:
        draw = self._draw
        status = draw.choice(_STATUSES)
        body = bytes(draw.choices(b'{"items":[1,2,3]} \r\n', k=draw.choice((0, 2, 5, 40, 300))))
        framing, wire = self._framed(body)
        lines = draw.sample(_LINES, draw.randrange(5)) + framing
        draw.shuffle(lines)
        first = b"%b %03d%b" % (draw.choice(_VERSIONS), status, draw.choice(_REASONS))
        head = b"\r\n".join((first, *lines)) + b"\r\n\r\n"
        if method == "HEAD" or status in (204, 304):
            wire = draw.choice((b"", b"", b"", wire))
        before = draw.choice(_INTERIMS) if draw.random() < 0.15 else b""
        behind = draw.choice(_BEHIND) if draw.random() < 0.15 else b""
        return before + head + wire + behind

    def _framed(self, body: bytes) -> tuple[list[bytes], bytes]:
        draw = self._draw
        length = _FRAMINGS[0] if draw.random() < 0.8 else draw.choice(_FRAMINGS)
        length = length.replace(b"%d", b"%d" % len(body)).replace(b"%x", b"%x" % len(body))
        coding = _CODINGS[0] if draw.random() < 0.85 else draw.choice(_CODINGS)
        kind = draw.random()
        if kind < 0.5:
            return [length], body
        if kind < 0.9:
            return [coding], self._chunks(body)
        if kind < 0.93:
            return [length, length], body
        if kind < 0.96:
            return [length, coding], self._chunks(body)
        return [], body

    def _chunks(self, body: bytes) -> bytes:
        draw = self._draw
        out = b""
        while body:
            size = draw.randrange(1, len(body) + 1)
            extension = draw.choice(
                (b"", b"", b";a", b";a=b", b';a="c;d"', b" ;a", b";" + b"e" * 50)
            )
            form = draw.choice((b"%x", b"%x", b"%X", b"00%x"))
            out += form % size + extension + b"\r\n" + body[:size] + b"\r\n"
            body = body[size:]
        trailer = draw.choice((b"",) * 4 + (b"X-T: 1\r\n", b"Content-Length: 3\r\n", b"bad\r\n"))
        return (
            out + draw.choice((b"0", b"0", b"000", b"0;a", b"0" * 25)) + b"\r\n" + trailer + b"\r\n"
        )

    # --- damages

    def _flip(self, raw: bytes) -> bytes:
        at = self._draw.randrange(len(raw))
        return raw[:at] + bytes((self._draw.randrange(256),)) + raw[at + 1 :]

    def _insert(self, raw: bytes) -> bytes:
        at = self._draw.randrange(len(raw) + 1)
        return raw[:at] + self._draw.choice(_PIECES) + raw[at:]

    def _insert_at_a_line(self, raw: bytes) -> bytes:
        lines = raw.split(b"\r\n")
        at = self._draw.randrange(len(lines))
        lines[at] = self._draw.choice(_PIECES) + lines[at]
        return b"\r\n".join(lines)

    def _delete(self, raw: bytes) -> bytes:
        at = self._draw.randrange(len(raw))
        return raw[:at] + raw[at + self._draw.choice((1, 1, 2, 8)) :] or b"H"

    def _truncate(self, raw: bytes) -> bytes:
        return raw[: self._draw.randrange(1, len(raw) + 1)]

    def _repeat_a_line(self, raw: bytes) -> bytes:
        lines = raw.split(b"\r\n")
        at = self._draw.randrange(len(lines))
        lines.insert(at, self._draw.choice(lines))
        return b"\r\n".join(lines)

    def _splice(self, raw: bytes) -> bytes:
        other = self._last or raw
        return (
            raw[: self._draw.randrange(1, len(raw) + 1)] + other[self._draw.randrange(len(other)) :]
        )

    def _bare_line_end(self, raw: bytes) -> bytes:
        lines = raw.split(b"\r\n")
        at = self._draw.randrange(len(lines))
        end = self._draw.choice((b"\n", b"\r", b"\r\r\n"))
        return b"\r\n".join(lines[:at]) + end + b"\r\n".join(lines[at:])


_DAMAGES: Sequence[Callable[[WireAnswers, bytes], bytes]] = (
    WireAnswers._flip,
    WireAnswers._insert,
    WireAnswers._insert_at_a_line,
    WireAnswers._delete,
    WireAnswers._truncate,
    WireAnswers._repeat_a_line,
    WireAnswers._splice,
    WireAnswers._bare_line_end,
)
