"""Cross-origin rules of /v2 and OFREP (decisions.md 7): origins from the configuration, never `*`, errors included."""

from collections.abc import Sequence
from typing import Final

from gateway.edge.request import Request
from gateway.response import Header, Response

METHODS: Final = b"GET, HEAD, POST, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS: Final = (
    b"authorization, apikey, content-type, prefer, if-match, if-none-match, idempotency-key, "
    b"x-correlation-id, x-client-info, traceparent, tracestate, baggage"
)
EXPOSED: Final = (
    b"ETag, Location, Preference-Applied, Retry-After, X-Correlation-ID, X-Banyan-Route"
)
VARY: Final = b"vary: Origin\r\n"
"""The line of `origin_headers` for a request without an Origin."""
_MAX_AGE_SECONDS: Final = b"600"


def allowed_origin(request: Request, origins: Sequence[str]) -> bytes | None:
    """The Origin of the request if it may read answers."""
    origin = request.header(b"origin")
    return origin if origin is not None and origin.decode("latin-1") in origins else None


def is_preflight(request: Request) -> bool:
    """An OPTIONS request that a browser sends before the real one; it carries no token."""
    return (
        request.method == "OPTIONS" and request.header(b"access-control-request-method") is not None
    )


def preflight(origin: bytes | None) -> Response:
    """Its answer: what is allowed, or nothing for an origin that is not ours."""
    if origin is None:
        return Response(status=204)
    return Response(
        status=204,
        headers=(
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", REQUEST_HEADERS),
            (b"access-control-max-age", _MAX_AGE_SECONDS),
        ),
    )


def origin_headers(origin: bytes | None) -> list[Header]:
    """On every answer, so that a cache never hands one origin's answer to another."""
    headers: list[Header] = [(b"vary", b"Origin")]
    if origin is not None:
        headers += [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED),
        ]
    return headers
