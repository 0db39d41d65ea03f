"""Why a request gets no ordinary answer, and what each reason is called.

Refused             routes.refused: the caller's side
Disagreement        the two sides cannot be put together: one of them answered something that cannot be right
UpstreamError       runtime.upstream.errors: unreachable, busy, left alone, too slow, broken
KeysUnavailable     runtime.jwks: no token can be judged
TooManyTokens       runtime.identity: too many bad tokens arrive to judge another one
"""

import math
from collections.abc import Mapping

from routes.problem import PROBLEMS
from routes.refused import MethodNotAllowed, NoSuchMethod, RateLimited, Refused
from runtime.identity import TooManyTokens
from runtime.jwks import KeysUnavailable
from runtime.upstream.errors import (
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamOpen,
    UpstreamTimeout,
    UpstreamUnreachable,
)


class Disagreement(Exception):
    """An upstream's answer breaks what both sides promise (order, shape); answering would show wrong rows."""


_CODES: Mapping[type[Exception], str] = {
    UpstreamUnreachable: "upstream_unreachable",
    UpstreamBusy: "upstream_busy",
    UpstreamOpen: "upstream_unreachable",
    UpstreamTimeout: "upstream_timeout",
    UpstreamBroke: "upstream_broke",
    Disagreement: "upstream_broke",
    KeysUnavailable: "upstream_unreachable",
    TooManyTokens: "overloaded",
}

EXPECTED = (Refused, Disagreement, UpstreamError, KeysUnavailable, TooManyTokens)
"""Everything else is our mistake, and logged as one."""

RETRY_AFTER_SECONDS = b"1"


def code_of(error: Exception) -> str:
    """The problem code of an error; `internal` for what nobody foresaw."""
    return error.code if isinstance(error, Refused) else _CODES.get(type(error), "internal")


def extra_headers(error: Exception) -> list[tuple[bytes, bytes]]:
    """What the status requires beside the body (RFC 9110): Allow with 405, WWW-Authenticate with 401, Retry-After with 503."""
    code = code_of(error)
    if isinstance(error, RateLimited):
        return [(b"retry-after", b"%d" % math.ceil(error.seconds))]
    if isinstance(error, MethodNotAllowed | NoSuchMethod):
        return [(b"allow", error.allowed.encode())]
    if code == "unauthenticated":
        return [(b"www-authenticate", b"Bearer")]
    if PROBLEMS[code].status == 503:
        return [(b"retry-after", RETRY_AFTER_SECONDS)]
    return []
