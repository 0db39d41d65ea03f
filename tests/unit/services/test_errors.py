"""From an exception to a problem's code: one table, and nothing of the exception in the answer."""

import asyncpg
import pytest

from routes.problem import PROBLEMS
from routes.refused import Claimed, MethodNotAllowed, NotFound, Refused
from runtime.identity import TooManyTokens
from runtime.jwks import KeysUnavailable
from services.errors import Busy, NoIds, OutcomeUnknown, code_of, extra_headers, outcome_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Busy(), "upstream_busy"),
        (NoIds(), "upstream_busy"),
        (OutcomeUnknown(), "upstream_broke"),
        (asyncpg.DiskFullError(), "storage_full"),
        (TooManyTokens(), "upstream_busy"),
        (KeysUnavailable(), "upstream_unreachable"),
        (NotFound(), "not_found"),
        (ConnectionRefusedError(), "upstream_unreachable"),
        (asyncpg.ConnectionDoesNotExistError(), "upstream_unreachable"),
        (asyncpg.CannotConnectNowError(), "upstream_unreachable"),
        (asyncpg.AdminShutdownError(), "upstream_unreachable"),
        (asyncpg.TooManyConnectionsError(), "upstream_unreachable"),
        (asyncpg.InterfaceError("connection is closed"), "upstream_unreachable"),
        (TimeoutError(), "upstream_timeout"),
        (asyncpg.QueryCanceledError(), "upstream_timeout"),
        (asyncpg.UndefinedColumnError(), "internal"),
        (asyncpg.InvalidTextRepresentationError(), "internal"),
        (asyncpg.InsufficientPrivilegeError(), "internal"),
        (ValueError("of ours"), "internal"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_what_others_raise(error: Exception, code: str) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_status_brings_the_headers_that_it_needs(code: str) -> None:
    error = Refused()
    error.code = code
    found = extra_headers(error)
    again = PROBLEMS[code].status == 503 or code == "idempotency_in_flight"
    assert ("retry-after" in found) == again
    assert ("www-authenticate" in found) == (PROBLEMS[code].status == 401)


@pytest.mark.parametrize(("left", "header"), [(0.001, "1"), (1.0, "1"), (59.2, "60")])
def test_a_claim_says_when_it_ends(left: float, header: str) -> None:
    assert extra_headers(Claimed(left)) == {"retry-after": header}


def test_405_says_what_is_allowed() -> None:
    assert extra_headers(MethodNotAllowed()) == {"allow": "GET, HEAD"}
    assert extra_headers(MethodNotAllowed("POST")) == {"allow": "POST"}


@pytest.mark.parametrize(
    ("error", "method", "outcome"),
    [
        (Busy(), "GET", ""),
        (Busy(), "POST", "not_applied"),
        (asyncpg.DiskFullError(), "PATCH", "not_applied"),
        (OutcomeUnknown(), "DELETE", "unknown"),
        (NotFound(), "DELETE", ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_a_write_says_what_became_of_it(error: Exception, method: str, outcome: str) -> None:
    assert outcome_of(error, method) == outcome
