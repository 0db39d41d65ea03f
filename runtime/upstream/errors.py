"""Why an exchange failed.

UpstreamError
  UpstreamUnreachable   nothing was sent: refused, no address, TLS        -> 503
  UpstreamBusy          no free connection within the wait                -> 503
  UpstreamOpen          the circuit breaker is open; nothing was sent     -> 503
  UpstreamTimeout       a deadline passed                                 -> 504
  UpstreamBroke         reset, truncated, or not the HTTP we accept       -> 502
"""


class UpstreamError(Exception):
    """The exchange failed. Carries the upstream's name and nothing of the exchange."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.upstream = upstream


class UpstreamUnreachable(UpstreamError):
    """No connection; nothing was sent."""


class UpstreamBusy(UpstreamError):
    """No free connection within the wait; nothing was sent."""


class UpstreamOpen(UpstreamError):
    """Too much failed lately, so it is left alone for a while; nothing was sent."""


class UpstreamTimeout(UpstreamError):
    """The deadline passed; what the upstream did is unknown."""


class UpstreamBroke(UpstreamError):
    """The answer ended early or is not acceptable HTTP; what the upstream did is unknown."""
