"""Why a request gets no ordinary answer, and what each reason is called.

Refused             routes.refused: the caller's side
Disagreement        the two sides cannot be put together: one of them answered something that cannot be right
UpstreamError       runtime.upstream.errors: unreachable, busy, left alone, too slow, broken
KeysUnavailable     runtime.jwks: no token can be judged
TooManyTokens       runtime.identity: too many bad tokens arrive to judge another one
WriteFailed         gateway.written_row: the authority could not be reached or did not answer
NotAnnounced        gateway.announcer: neither the mirror stream nor the disk takes the intent
StoreUnavailable    gateway.repeat_store: the control database does not answer
"""

import math
from collections.abc import Mapping

from gateway.announcer import NotAnnounced
from gateway.disagreement import Disagreement
from gateway.repeat_store import StoreUnavailable
from gateway.written_row import Problem, WriteFailed
from routes.problem import PROBLEMS
from routes.refused import MethodNotAllowed, NoSuchMethod, NotHereYet, RateLimited, Refused
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

_CODES: Mapping[type[Exception], str] = {
    UpstreamUnreachable: "upstream_unreachable",
    UpstreamBusy: "upstream_busy",
    UpstreamOpen: "upstream_unreachable",
    UpstreamTimeout: "upstream_timeout",
    UpstreamBroke: "upstream_broke",
    Disagreement: "upstream_broke",
    KeysUnavailable: "upstream_unreachable",
    TooManyTokens: "overloaded",
    NotAnnounced: "not_announced",
    StoreUnavailable: "not_announced",
}

EXPECTED = (
    Refused,
    Disagreement,
    UpstreamError,
    KeysUnavailable,
    TooManyTokens,
    WriteFailed,
    NotAnnounced,
    StoreUnavailable,
)
"""Everything else is our mistake, and logged as one."""

RETRY_AFTER_SECONDS = b"1"
_WAIT = frozenset({"idempotency_in_flight", "not_here_yet"})
"""Beside 503: waiting helps."""


def code_of(error: Exception) -> str:
    """The problem code of an error; `internal` for what nobody foresaw."""
    if isinstance(error, WriteFailed):
        return code_of(error.cause)
    if isinstance(error, Refused | Problem):
        return error.code
    return _CODES.get(type(error), "internal")


def outcome_of(error: Exception) -> str:
    """What became of a write that failed; empty for what is no write, or was plainly refused."""
    if isinstance(error, WriteFailed):
        return error.outcome.value
    unsent = isinstance(error, NotAnnounced | StoreUnavailable | NotHereYet)
    return "not_applied" if unsent else ""


def extra_headers(error: Exception) -> list[tuple[bytes, bytes]]:
    """What the status requires beside the body (RFC 9110): Allow with 405, WWW-Authenticate with 401, Retry-After with 503."""
    code = code_of(error)
    if isinstance(error, RateLimited):
        return [(b"retry-after", b"%d" % math.ceil(error.seconds))]
    if isinstance(error, MethodNotAllowed | NoSuchMethod):
        return [(b"allow", error.allowed.encode())]
    if code == "unauthenticated":
        return [(b"www-authenticate", b"Bearer")]
    if PROBLEMS[code].status == 503 or code in _WAIT:
        return [(b"retry-after", RETRY_AFTER_SECONDS)]
    return []
