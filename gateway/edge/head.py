"""A parsed head becomes a `Request`, or is refused: what the parser lets through and another reader could take otherwise.

The rules are http-rules section 1. Pure; the table of accepted Host values grows up to a bound.
"""

from collections.abc import Sequence
from typing import Final

from gateway.edge.address import canonical
from gateway.edge.request import Request
from gateway.edge.target import check_target
from routes.refused import (
    ExpectationFailed,
    HeadersTooLarge,
    HttpVersion,
    Malformed,
    NoSuchMethod,
    NotImplementedHere,
    UnsupportedMedia,
    WrongHost,
)

MOST_HEADERS: Final = 100
LARGEST_HEADERS: Final = 16 * 1024

_METHODS: Final = {
    word.encode(): word for word in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
"""By their bytes."""
_NEVER: Final = frozenset({b"CONNECT", b"TRACE"})
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_SINGLE: Final = (
    b"authorization",
    b"apikey",
    b"content-type",
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"idempotency-key",
    b"expect",
    b"if-match",
)
_HARMLESS_CONNECTION: Final = frozenset({b"keep-alive", b"Keep-Alive", b"close", b"Close"})
_PROTECTED: Final = frozenset(
    {
        b"authorization",
        b"apikey",
        b"x-user-id",
        b"x-correlation-id",
        b"host",
        b"cookie",
        b"idempotency-key",
        b"prefer",
    }
)
_PROTECTED_STARTS: Final = (b"x-forwarded-", b"content-")
_MOST_HOSTS: Final = 1000


class Heads:
    """Turns heads into requests for one server. `hosts` are the Host values answered, without port, in lower case;
    `edges` the addresses whose X-Forwarded-For is believed."""

    def __init__(self, *, hosts: Sequence[str], edges: Sequence[str] = ()) -> None:
        self._hosts = frozenset(hosts)
        self._edges = frozenset(edges)
        self._good_hosts: set[bytes] = set()

    def request(
        self,
        verb: bytes,
        version: str,
        target: bytes,
        headers: dict[bytes, bytes],
        repeated: list[tuple[bytes, bytes]],
        address: str,
        *,
        unusual: bool = True,
    ) -> Request:
        """The request of a head. Raises one of routes.refused.Unclear.

        `unusual`: there may be a name that is not in runtime.headernames.
        """
        if version not in _VERSIONS:
            raise HttpVersion
        method = _METHODS.get(verb)
        if method is None:
            raise NoSuchMethod if verb in _NEVER else NotImplementedHere
        if unusual and b"_" in b"".join(headers):
            raise Malformed
        if repeated or len(headers) > MOST_HEADERS:
            _check_repeated(headers, repeated)
        path, query = check_target(self._own(target, headers))
        if not _CAREFUL.isdisjoint(headers):
            _check_meaning(headers, repeated, version)
        if self._edges and address in self._edges:
            address = _forwarded_for(headers, repeated) or address
        return Request(
            method=method,
            path=path,
            query=query,
            headers=headers,
            repeated=repeated,
            peer=address,
        )

    def _own(self, target: bytes, headers: dict[bytes, bytes]) -> bytes:
        """The target in origin form; its host and the Host header are ours."""
        host = headers.get(b"host")
        if host is None:
            raise Malformed
        if host not in self._good_hosts:
            self._check_host(host)
        if target[:1] == b"/":
            return target
        scheme, separator, rest = target.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            raise Malformed
        authority, slash, path = rest.partition(b"/")
        if not slash:
            raise Malformed
        if authority.lower() != host.lower():
            # The target's host wins over the header (RFC 9112 section 3.2.2), and readers that forget it disagree.
            self._check_host(authority)
            raise Malformed
        return slash + path

    def _check_host(self, host: bytes) -> None:
        if not host or host.translate(None, _HOST_BYTES):
            raise Malformed
        name, colon, port = host.rpartition(b":")
        if not colon or host.endswith(b"]"):
            name = host
        elif not port.isdigit() or len(port) > 5 or int(port) > 65535:
            raise Malformed
        if name.decode("ascii").lower() not in self._hosts:
            raise WrongHost
        if len(self._good_hosts) < _MOST_HOSTS:
            self._good_hosts.add(host)


_HOST_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]"


def _check_repeated(headers: dict[bytes, bytes], repeated: list[tuple[bytes, bytes]]) -> None:
    if len(headers) + len(repeated) > MOST_HEADERS:
        raise HeadersTooLarge
    if any(name in _SINGLE for name, _ in repeated):
        raise Malformed


_CAREFUL: Final = frozenset(
    {b"connection", b"transfer-encoding", b"expect", b"content-encoding", b"upgrade"}
)


def _check_meaning(
    headers: dict[bytes, bytes], repeated: list[tuple[bytes, bytes]], version: str
) -> None:
    """The headers that say how the rest is to be read."""
    if b"connection" in headers:
        _check_connection(headers[b"connection"], repeated)
    if b"transfer-encoding" in headers:
        _check_coding(headers, version)
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise ExpectationFailed
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMedia
    if b"websocket" in headers.get(b"upgrade", b"").lower():
        raise NotImplementedHere  # no route takes one; an answer in HTTP would only confuse its client


def _check_connection(value: bytes, repeated: list[tuple[bytes, bytes]]) -> None:
    """Hop-by-hop names are dropped by every proxy on the way; a name that carries meaning must not be among them."""
    values = [value, *(other for name, other in repeated if name == b"connection")]
    if len(values) == 1 and value in _HARMLESS_CONNECTION:
        return
    for token in b",".join(values).lower().split(b","):
        name = token.strip()
        if name in _PROTECTED or name.startswith(_PROTECTED_STARTS):
            raise Malformed


def _check_coding(headers: dict[bytes, bytes], version: str) -> None:
    if version == "1.0" or b"content-length" in headers:
        raise Malformed
    if headers[b"transfer-encoding"].lower() != b"chunked":
        raise NotImplementedHere


def _forwarded_for(headers: dict[bytes, bytes], repeated: list[tuple[bytes, bytes]]) -> str | None:
    """The last address, which the edge itself wrote; None if it is none."""
    values = [value for name, value in repeated if name == b"x-forwarded-for"]
    value = values[-1] if values else headers.get(b"x-forwarded-for", b"")
    return canonical(value.rpartition(b",")[2].strip().decode("latin-1"))
