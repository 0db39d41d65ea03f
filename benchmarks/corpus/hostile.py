"""An upstream that misbehaves at random: most answers are right, the rest is everything that could reach somebody else."""

import random
from collections.abc import Callable, Sequence

from benchmarks.corpus.case import Close, Pause
from benchmarks.corpus.strict import Seen
from benchmarks.corpus.under_test import User
from benchmarks.corpus.upstream import Exchange, Step, marked_body

_HANG_SECONDS = 1.5


class Hostile:
    """Reacts by chance. `due` keeps, by correlation id, every body that the framing of its answers with 200 defined."""

    def __init__(self, users: Sequence[User], seed: int) -> None:
        self._draw = random.Random(seed)
        self._users = users
        self.due: dict[bytes, set[bytes]] = {}
        self.did: dict[str, int] = {}

    def __call__(self, exchange: Exchange) -> Sequence[Step]:
        seen = exchange.seen
        (chosen,) = self._draw.choices(_WAYS, _WEIGHTS)
        self.did[chosen.__name__] = self.did.get(chosen.__name__, 0) + 1
        return chosen(self, seen)

    # --- pieces

    def body(self, seen: Seen) -> bytes:
        body = marked_body(seen)
        self.due.setdefault(seen.header(b"x-correlation-id"), set()).add(body)
        return body

    def head(self, seen: Seen, *fields: bytes, status: bytes = b"200 OK") -> bytes:
        if status == b"200 OK":
            self.due.setdefault(seen.header(b"x-correlation-id"), set())
        lines = [
            b"HTTP/1.1 " + status,
            b"Content-Type: application/json",
            b"X-Correlation-ID: " + seen.header(b"x-correlation-id"),
            *fields,
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def right(self, seen: Seen, *fields: bytes) -> bytes:
        """What should come: 304 to a conditional request, no body to HEAD."""
        if seen.header(b"if-none-match"):
            return self.head(seen, b'ETag: "1.s"', *fields, status=b"304 Not Modified")
        body = self.body(seen)
        head = self.head(seen, b"Content-Length: %d" % len(body), *fields)
        return head if seen.method == "HEAD" else head + body

    def stray(self) -> bytes:
        """Somebody's bytes: a whole answer, half of one, or anything."""
        other = self._draw.choice(self._users).sub.encode()
        body = b'{"items":[{"user":"%b"}],"next":null}' % other
        whole = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        kinds = (whole, whole[: len(whole) // 2], body, b"\r\n", b"0\r\n\r\n", b"\x00")
        return self._draw.choice(kinds)

    def cut(self, data: bytes) -> list[bytes]:
        at = sorted(self._draw.randrange(len(data)) for _ in range(3))
        return [data[: at[0]], data[at[0] : at[1]], data[at[1] : at[2]], data[at[2] :]]

    # --- ways

    def well(self, seen: Seen) -> Sequence[Step]:
        return (self.right(seen),)

    def chunked(self, seen: Seen) -> Sequence[Step]:
        if seen.method == "HEAD" or seen.header(b"if-none-match"):
            return (self.right(seen),)
        parts = [part for part in self.cut(self.body(seen)) if part]
        chunks = b"".join(b"%x;e=1\r\n%b\r\n" % (len(part), part) for part in parts)
        end = b"0\r\nX-Trailer: 1\r\n\r\n"
        return (self.head(seen, b"Transfer-Encoding: chunked") + chunks + end,)

    def in_pieces(self, seen: Seen) -> Sequence[Step]:
        return tuple(
            step for part in self.cut(self.right(seen)) for step in (part, Pause(seconds=0.001))
        )

    def interim(self, seen: Seen) -> Sequence[Step]:
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        return (hints, self.right(seen))

    def body_where_none_belongs(self, seen: Seen) -> Sequence[Step]:
        """The whole answer of a GET to HEAD, a body behind 304, else bytes past the length."""
        return (self.right(seen) + marked_body(seen),)

    def stray_behind(self, seen: Seen) -> Sequence[Step]:
        return (self.right(seen) + self.stray(),)

    def stray_later(self, seen: Seen) -> Sequence[Step]:
        pause = Pause(seconds=self._draw.choice((0.0, 0.0005, 0.002, 0.01)))
        return (self.right(seen), pause, self.stray())

    def closes_behind(self, seen: Seen) -> Sequence[Step]:
        return (self.right(seen), Close())

    def says_that_it_closes(self, seen: Seen) -> Sequence[Step]:
        return (self.right(seen, b"Connection: close") + self.stray(),)

    def resets_behind(self, seen: Seen) -> Sequence[Step]:
        return (self.right(seen), Pause(seconds=0.002), Close(reset=True))

    def too_short(self, seen: Seen) -> Sequence[Step]:
        body = marked_body(seen)
        return (self.head(seen, b"Content-Length: %d" % (len(body) + 9)) + body, Close())

    def too_long(self, seen: Seen) -> Sequence[Step]:
        body = marked_body(seen)
        framed = body[:-7]
        self.due.setdefault(seen.header(b"x-correlation-id"), set()).add(framed)
        return (self.head(seen, b"Content-Length: %d" % len(framed)) + body,)

    def two_framings(self, seen: Seen) -> Sequence[Step]:
        head = self.head(seen, b"Content-Length: 3", b"Transfer-Encoding: chunked")
        return (head + b"0\r\n\r\n" + self.stray(),)

    def garbage(self, seen: Seen) -> Sequence[Step]:
        return (self.stray() + b"\r\n\r\n",)

    def closes_before(self, seen: Seen) -> Sequence[Step]:
        return (Close(),)

    def resets_before(self, seen: Seen) -> Sequence[Step]:
        return (Close(reset=True),)

    def another_id(self, seen: Seen) -> Sequence[Step]:
        body = marked_body(seen)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Correlation-ID: another-one-1\r\n\r\n"
        return (head % len(body) + body,)

    def fails(self, seen: Seen) -> Sequence[Step]:
        return (self.head(seen, b"Content-Length: 0", status=b"500 No"),)

    def slow(self, seen: Seen) -> Sequence[Step]:
        return (Pause(seconds=0.05), self.right(seen))

    def hangs(self, seen: Seen) -> Sequence[Step]:
        return (Pause(seconds=_HANG_SECONDS), self.right(seen))


_CHANCES: dict[Callable[[Hostile, Seen], Sequence[Step]], float] = {
    Hostile.well: 50,
    Hostile.chunked: 8,
    Hostile.in_pieces: 5,
    Hostile.interim: 4,
    Hostile.body_where_none_belongs: 6,
    Hostile.stray_behind: 6,
    Hostile.stray_later: 5,
    Hostile.closes_behind: 2,
    Hostile.says_that_it_closes: 2,
    Hostile.resets_behind: 2,
    Hostile.too_short: 1,
    Hostile.too_long: 2,
    Hostile.two_framings: 1,
    Hostile.garbage: 1,
    Hostile.closes_before: 1,
    Hostile.resets_before: 1,
    Hostile.another_id: 1,
    Hostile.fails: 1,
    Hostile.slow: 0.8,
    Hostile.hangs: 0.1,
}
_WAYS = tuple(_CHANCES)
_WEIGHTS = tuple(_CHANCES.values())
