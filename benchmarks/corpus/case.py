"""`Case` and `UpstreamCase`: what goes over the wire as data, and all that may come back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TOKEN = b"<token>"
"""Stands for a valid access token wherever it appears in sent bytes."""

HOST = b"<host>"
"""Stands for host and port under which the gateway is reached."""

CANARY = b"canary-7f3a"
"""Stands in everything that must never go on to an upstream."""

LIST = b"/v2/lab-orders"
FLAGS = b"/ofrep/v1/evaluate/flags"


def request(
    *fields: bytes,
    method: bytes = b"GET",
    target: bytes = LIST,
    version: bytes = b"HTTP/1.1",
    host: bytes | None = HOST,
    body: bytes = b"",
) -> bytes:
    """The bytes of one request of a signed-in user; `fields` are further header lines, as they are."""
    lines = [b" ".join((method, target, version))]
    if host is not None:
        lines.append(b"Host: " + host)
    lines += [b"Authorization: Bearer " + TOKEN, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


SMUGGLED = request(b"X-Smuggled: " + CANARY, target=LIST + b"?limit=77")
"""A whole request to hide in a body."""


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Nothing is sent for this time."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Close:
    """The connection ends here: in order, or by a reset."""

    reset: bool = False


@dataclass(frozen=True, kw_only=True)
class View:
    """A request as the upstream must see it. Of `headers`, None means that the name must not be there."""

    method: str = "GET"
    target: bytes = b"/v2/lab-orders"
    body: bytes = b""
    headers: Mapping[bytes, bytes | None] = field(default_factory=dict)


PLAIN_VIEW = View()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One client connection.

    `vector` is the first cell of a row in section 1 of docs/http-rules.md. `answers`: allowed statuses of each answer, in
    order; with `silent` the last one may be missing. `code`: problem code of the last answer. `closes`: the gateway ends
    the connection after it (None: it may); a connection that stays open must carry an ordinary request next. `views`: what
    the upstream sees, no more and no less. `heads`: which answers belong to a HEAD. `interim`: the 1xx answers, None: any.
    """

    name: str
    vector: str
    sent: tuple[bytes | Pause, ...]
    answers: tuple[frozenset[int], ...]
    code: str = ""
    closes: bool | None = True
    silent: bool = False
    views: tuple[View, ...] = ()
    heads: frozenset[int] = frozenset()
    interim: tuple[int, ...] | None = ()
    within: float = 10.0
    has: Mapping[bytes, bytes] = field(default_factory=dict)
    """Headers of the last answer."""

    @property
    def refused(self) -> bool:
        """Nothing of it may reach an upstream, and the connection ends."""
        return self.closes is True and not self.views


@dataclass(frozen=True, kw_only=True)
class UpstreamCase:
    """One misbehaving upstream: `script` is played to every connection that asks for it.

    `vector` is the first cell of a row in section 2 (or 3, 4) of docs/http-rules.md. What the client may see: a whole
    answer with one of `status` (and `code`, if it is a problem), or, with `aborts`, a connection that ends before the
    answer is whole. `status` may be empty: then it must abort. `body`: of a 200, to the byte; None: the body that
    belongs to the request. `lacks`: headers that must not be in the answer. `asked`: how often the upstream may be asked.
    """

    name: str
    vector: str
    script: tuple[bytes | Pause | Close, ...]
    status: frozenset[int]
    code: str = ""
    aborts: bool = False
    method: str = "GET"
    conditional: bool = False
    body: bytes | None = None
    has: Mapping[bytes, bytes] = field(default_factory=dict)
    lacks: frozenset[bytes] = frozenset()
    asked: tuple[int, int] = (1, 2)
    within: float = 4.0
