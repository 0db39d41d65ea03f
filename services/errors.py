"""Why a request gets no ordinary answer, and what each reason is called.

Refused           routes.refused: the caller's side
Busy              no database connection was free in time, or too many others write the same rows
OutcomeUnknown    a commit was sent and its answer is lost
NoIds             services.leased_ids: no number is left for a new row
TooManyTokens     runtime.identity: too many forged tokens at the moment
StoreBusy, StoreDown   runtime.objectstore: files cannot be put or got at the moment
KeysUnavailable   runtime.jwks: no token can be judged, because the issuer's keys were never seen or are too old

What PostgreSQL, its driver and the network raise is told apart by `code_of` and never shown: their texts hold values.
"""

from math import ceil

import asyncpg

from routes.problem import PROBLEMS
from routes.refused import Claimed, MethodNotAllowed, Refused
from runtime.identity import TooManyTokens
from runtime.jwks import KeysUnavailable
from runtime.objectstore import StoreBusy, StoreDown

RETRY_AFTER_SECONDS = "1"


class Busy(Exception):
    """Nothing was asked of the database."""


class OutcomeUnknown(Exception):
    """The write may be there or not; a repeat with the same idempotency key tells."""


class NoIds(Exception):
    """Nothing was written: the worker that leases numbers from legacy stands still."""


EXPECTED = (
    Refused,
    Busy,
    OutcomeUnknown,
    NoIds,
    StoreBusy,
    StoreDown,
    TooManyTokens,
    KeysUnavailable,
)
"""Everything else is logged as an error."""

_UNREACHABLE = (
    KeysUnavailable,
    StoreDown,
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)


def code_of(error: Exception) -> str:
    """The problem code of an error; `internal` for what nobody foresaw."""
    if isinstance(error, Refused):
        return error.code
    if isinstance(error, Busy | NoIds | StoreBusy | TooManyTokens):
        return "upstream_busy"
    if isinstance(error, OutcomeUnknown):
        return "upstream_broke"
    if isinstance(error, asyncpg.DiskFullError):
        return "storage_full"
    # TimeoutError is an OSError.
    if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
        return "upstream_timeout"
    return "upstream_unreachable" if isinstance(error, _UNREACHABLE) else "internal"


def outcome_of(error: Exception, method: str) -> str:
    """What became of a write that failed, where that is in question; empty for reads and for plain refusals.

    Whatever fails before the commit has left nothing behind.
    """
    if method not in ("POST", "PUT", "PATCH", "DELETE") or isinstance(error, Refused):
        return ""
    return "unknown" if isinstance(error, OutcomeUnknown) else "not_applied"


def extra_headers(error: Exception) -> dict[str, str]:
    """What the status requires beside the body (RFC 9110): Allow with 405, WWW-Authenticate with 401, Retry-After with 503 and where waiting helps."""
    code = code_of(error)
    if isinstance(error, MethodNotAllowed):
        return {"allow": error.allowed}
    if code == "unauthenticated":
        return {"www-authenticate": "Bearer"}
    if isinstance(error, Claimed):
        return {"retry-after": str(max(1, ceil(error.seconds)))}
    if PROBLEMS[code].status == 503 or code == "idempotency_in_flight":
        return {"retry-after": RETRY_AFTER_SECONDS}
    return {}
