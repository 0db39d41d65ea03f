"""`WrittenRow`: a row as it stands after a write, whichever side took it; and why a write did not come that far.

WriteFailed   the authority could not be reached, or did not answer; `outcome` says what became of the write
"""

from dataclasses import dataclass

from routes.key import Key
from runtime.intent import Outcome
from runtime.upstream.errors import (
    UpstreamBusy,
    UpstreamError,
    UpstreamOpen,
    UpstreamUnreachable,
)


@dataclass(frozen=True, kw_only=True)
class WrittenRow:
    """`body` is empty where nothing is shown (a removed row)."""

    status: int
    body: bytes
    etag: str
    key: Key | None


class Problem(Exception):
    """A side has said which problem it has: `code` of routes.problem."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class WriteFailed(Exception):
    """`cause` says which problem it is."""

    def __init__(self, cause: Exception, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.cause = cause
        self.outcome = outcome


def failed(error: UpstreamError) -> WriteFailed:
    """Whether anything of the request had left when the exchange ended."""
    unsent = isinstance(error, UpstreamUnreachable | UpstreamBusy | UpstreamOpen)
    return WriteFailed(error, Outcome.NOT_APPLIED if unsent else Outcome.UNKNOWN)
