"""`RetryBudget`: repeating failed calls must not become the load that keeps an upstream down (http-rules section 4)."""

import math
import time
from collections.abc import Callable

from runtime.upstream.sliding import SlidingCount


class RetryBudget:
    """Within `window` seconds at most `share` of the first attempts are repeated, but always `least` may be.

    So the upstream gets at most 1 + `share` times the load, however much fails, unless the load is below
    `least` / `share` first attempts per window. The retry itself may fail: it is not repeated again.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        share: float = 0.2,
        least: int = 3,
        window: float = 10.0,
    ) -> None:
        self._share = share
        self._least = least
        self._requests = SlidingCount(seconds=window, clock=clock)
        self._retries = SlidingCount(seconds=window, clock=clock)

    def request(self) -> None:
        """A first attempt begins."""
        self._requests.add()

    def allow(self) -> bool:
        """Whether one retry may be made now; True takes it out of the budget."""
        if self._retries.total() >= max(
            self._least, math.floor(self._share * self._requests.total())
        ):
            return False
        self._retries.add()
        return True

    def repeated(self) -> None:
        """The client repeats by itself (supabase-js, `X-Retry-Count`): instead of `request()`. It spends without asking."""
        self._retries.add()
