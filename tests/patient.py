"""`patient`: a client of Redis for a test's own questions, which must not fail because the machine is busy."""

from runtime.redis import Redis, connect

_SECONDS = 20.0


def patient(url: str) -> Redis:
    """One that waits for the server as long as a test may."""
    return connect(url, timeout=_SECONDS)
