"""The one retry policy: named exceptions, few attempts, a bounded wait, every retry counted and logged.

Never around a write that has no idempotency key.
"""

from dataclasses import dataclass

import stamina


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Seconds throughout. The whole, waits included, ends after `timeout`."""

    attempts: int = 4
    timeout: float = 10.0
    first_wait: float = 0.05
    longest_wait: float = 1.0


DEFAULT = Policy()
STARTING = Policy(attempts=200, timeout=30.0, first_wait=0.05, longest_wait=0.25)
"""For an engine that is only just being started."""


def retrying(
    on: type[Exception] | tuple[type[Exception], ...], policy: Policy = DEFAULT
) -> "stamina._core._RetryContextIterator":
    """`async for attempt in retrying(OSError): with attempt: ...` repeats the block on these exceptions only."""
    return stamina.retry_context(
        on=on,
        attempts=policy.attempts,
        timeout=policy.timeout,
        wait_initial=policy.first_wait,
        wait_max=policy.longest_wait,
        wait_jitter=policy.first_wait,
    )
