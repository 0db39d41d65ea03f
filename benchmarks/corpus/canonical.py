"""Fuzzed targets and heads through the gateway's own checks: what is accepted must mean one thing to every other reader."""

import posixpath
import random
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

from gateway.edge.head import Heads
from gateway.edge.request import Request
from gateway.edge.target import check_target
from routes.refused import Refused

HOSTS = ("127.0.0.1", "localhost", "api.example", "[::1]")
_DEEPEST = 12
_PIECES = (
    *(
        b"/ . .. %2e %2E %25 %252e %2f %5c %00 %0d %0a %7f %20 %zz % %% 2e 2f 25 32 65 e E".split(
            b" "
        )
    ),
    *(
        b"%32 %65 %45 %35 %63 %33 %30 %c0%ae %e2%80%a5 %ef%bc%8f %3b ; : @ = ~ _ - ! $ & ' ( ) * + ,".split(
            b" "
        )
    ),
    *(b'\\ # ? [ ] { } | ^ ` < > " v2 lab-orders a Z 0 // /./ /../'.split(b" ")),
    b"\x00",
    b"\x01",
    b"\x7f",
    b" ",
    b"\t",
    b"\xe9",
    b"\xff",
)
_VALUES = (
    *(
        b"127.0.0.1 localhost LOCALHOST api.example [::1] [::1]:80 evil.example 127.0.0.1:80 localhost: :80 a@localhost".split()
    ),
    *(
        b"localhost@evil localhost:80:80 localhost:99999 localhost.evil localhost/.. localhost?x localhost#x localhost,evil".split()
    ),
    *(b"close keep-alive close,x-user-id chunked identity gzip 100-continue 5 +5 0_5 x".split()),
    b"",
    b"keep-alive, Authorization",
    b"localhost evil",
    b"\xff",
)
_NAMES = b"host connection transfer-encoding content-length expect content-encoding authorization x_a x-a apikey".split()
_PROTECTED = frozenset(
    b"authorization apikey x-user-id x-correlation-id host cookie idempotency-key prefer".split()
)


@dataclass(kw_only=True)
class Verdicts:
    """`ambiguous`: accepted, and another reader could take it otherwise."""

    tried: int = 0
    accepted: int = 0
    raised: int = 0
    ambiguous: int = 0
    examples: list[str] = field(default_factory=list)

    def blame(self, what: str, data: object) -> None:
        self.ambiguous += 1
        self.examples.append(f"{what}: {data!r}")


def fuzz_targets(count: int, seed: int) -> Verdicts:
    """Random targets, grown from what other readers decode, cut and merge."""
    draw, verdicts = random.Random(seed), Verdicts()
    for _ in range(count):
        verdicts.tried += 1
        target = _target(draw)
        try:
            path, query = check_target(target)
        except Refused:
            continue
        except Exception as error:  # noqa: BLE001 - any other end is the finding
            verdicts.raised += 1
            verdicts.examples.append(f"{type(error).__name__}: {target!r}")
            continue
        verdicts.accepted += 1
        wrong = ambiguity(target, path, query)
        if wrong:
            verdicts.blame(wrong, target)
    return verdicts


def _target(draw: random.Random) -> bytes:
    start = draw.choice((b"/", b"/v2/", b"/v2/lab-orders/", b"/v2/lab-orders?", b""))
    # Mostly of a few kinds at once, so that pieces meet that decode together.
    kinds = draw.sample(_PIECES, draw.randint(1, 5))
    return start + b"".join(draw.choice(kinds) for _ in range(draw.randrange(9)))


def ambiguity(target: bytes, path: bytes, query: bytes) -> str:
    """Why another reader could take an accepted target otherwise; empty if none could."""
    rejoined = path + b"?" + query if query else path
    if target.removesuffix(b"?") != rejoined.removesuffix(b"?"):
        return "not the bytes that came"
    written = path.count(b"/")
    now = path
    for _ in range(_DEEPEST):
        if (
            now.count(b"/") != written
            or b"\\" in now
            or any(byte < 32 or byte == 127 for byte in now)
        ):
            return "decodes to a separator or a control"
        if {b".", b".."} & set(now.split(b"/")):
            return "decodes to a dot segment"
        decoded = unquote_to_bytes(now)
        if decoded == now:
            break
        now = decoded
    return _other_readers(rejoined, path, query)


def _other_readers(target: bytes, path: bytes, query: bytes) -> str:
    text = path.decode("ascii")
    split = urlsplit("http://h" + target.decode("ascii"))
    if (split.path, split.query, split.fragment) != (text, query.decode("ascii"), ""):
        return "urllib reads another path"
    parsed = httptools.parse_url(target)
    if (parsed.path, parsed.query or b"") != (path, query):
        return "the parser reads another path"
    if posixpath.normpath(text) != (text.rstrip("/") or "/"):
        return "normalises to another path"
    return ""


def fuzz_heads(count: int, seed: int) -> Verdicts:
    """Random heads as the parser may hand them over."""
    draw, verdicts = random.Random(seed), Verdicts()
    heads = Heads(hosts=HOSTS)
    for _ in range(count):
        verdicts.tried += 1
        pairs = [(draw.choice(_NAMES), draw.choice(_VALUES)) for _ in range(draw.randrange(4))]
        if draw.random() < 0.9:
            pairs.insert(0, (b"host", draw.choice(_VALUES[:16])))
        target = _head_target(draw)
        version = draw.choice(("1.1", "1.1", "1.0", "0.9", "2.0"))
        headers: dict[bytes, bytes] = {}
        repeated = []
        for name, value in pairs:
            if name in headers:
                repeated.append((name, value))
            headers.setdefault(name, value)
        try:
            request = heads.request(b"GET", version, target, headers, repeated, "127.0.0.1")
        except Refused:
            continue
        except Exception as error:  # noqa: BLE001 - any other end is the finding
            verdicts.raised += 1
            verdicts.examples.append(f"{type(error).__name__}: {target!r} {pairs!r}")
            continue
        verdicts.accepted += 1
        wrong = _head_ambiguity(request, target, version, pairs)
        if wrong:
            verdicts.blame(wrong, (version, target, pairs))
    return verdicts


def _head_target(draw: random.Random) -> bytes:
    if draw.random() < 0.7:
        return b"/v2/lab-orders"
    authority = draw.choice(_VALUES[:16])
    return (
        draw.choice((b"http://", b"https://", b"//", b"ftp://", b""))
        + authority
        + b"/v2/lab-orders"
    )


def _head_ambiguity(
    request: Request, target: bytes, version: str, pairs: list[tuple[bytes, bytes]]
) -> str:
    names = [name for name, _ in pairs]
    hosts = [value for name, value in pairs if name == b"host"]
    if len(hosts) != 1 or not _own(hosts[0]):
        return "host"
    if b"_" in b"".join(names) or version not in ("1.0", "1.1"):
        return "name or version"
    if any(
        names.count(name) > 1
        for name in (b"authorization", b"apikey", b"content-length", b"transfer-encoding")
    ):
        return "twice"
    codings = [value for name, value in pairs if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0" or b"content-length" in names):
        return "framing"
    tokens = {
        token.strip().lower()
        for name, value in pairs
        if name == b"connection"
        for token in value.split(b",")
    }
    if tokens & _PROTECTED:
        return "connection"
    if not target.startswith(b"/") and not _own(
        urlsplit(target.decode("latin-1")).netloc.encode("latin-1")
    ):
        return "absolute target"
    if request.path != b"/v2/lab-orders":
        return "path"
    return ""


def _own(host: bytes) -> bool:
    """As a URL reader takes it."""
    try:
        split = urlsplit("//" + host.decode("latin-1"))
        name, port = split.hostname, split.port
    except ValueError:
        return False
    allowed = {one.strip("[]") for one in HOSTS}
    return (
        name in allowed
        and (port is None or 0 <= port <= 65535)
        and split.username is None
        and not split.path
    )
