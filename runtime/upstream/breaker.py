"""`Breaker`: an upstream that fails is left alone for a while, then tried with one request at a time (http-rules section 4)."""

import time
from collections.abc import Callable
from enum import StrEnum

from runtime.upstream.sliding import SlidingCount


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens with a failure that makes at least `share` of at least `minimum` outcomes in `window` seconds failures.

    Open for `open_for` seconds, then half-open: one trial at a time. A trial that fails opens it again for twice as long,
    up to `longest`; one that succeeds closes it and forgets the past. What a failure is, the caller decides.

    Every allowed call reports exactly once, with the ticket that `allow()` gave it. Outcomes of calls that began before
    the last change of state are ignored: after a hang they arrive for seconds, and would be taken for the trial's.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        window: float = 10.0,
        minimum: int = 20,
        share: float = 0.5,
        open_for: float = 1.0,
        longest: float = 30.0,
    ) -> None:
        self._clock = clock
        self._minimum = minimum
        self._share = share
        self._open_for = open_for
        self._longest = longest
        self._attempts = SlidingCount(seconds=window, clock=clock)
        self._failures = SlidingCount(seconds=window, clock=clock)
        self._ticket = 1
        self._closed = True
        self._pause = open_for
        self._open_until = 0.0
        self._trial_until: float | None = None
        self.opened = 0
        """How often it opened, failed trials included."""

    def allow(self) -> int:
        """0: refused. Otherwise the ticket of this call."""
        return self._ticket if self._closed else self._trial()

    def succeeded(self, ticket: int) -> None:
        if ticket != self._ticket:
            return
        if self._closed:
            self._attempts.add()
        else:
            self._close()

    def failed(self, ticket: int) -> None:
        if ticket != self._ticket:
            return
        if not self._closed:
            self._pause = min(2 * self._pause, self._longest)
            self._open()
            return
        self._attempts.add()
        self._failures.add()
        attempts = self._attempts.total()
        if attempts >= self._minimum and self._failures.total() >= self._share * attempts:
            self._open()

    def gave_up(self, ticket: int) -> None:
        """The call ended without saying anything about the upstream: the caller left, or had no connection to wait for."""
        if ticket == self._ticket:
            self._trial_until = None

    @property
    def state(self) -> State:
        if self._closed:
            return State.CLOSED
        return State.OPEN if self._clock() < self._open_until else State.HALF_OPEN

    @property
    def retry_after(self) -> float:
        """Seconds until the next trial may begin; 0.0 unless open."""
        return 0.0 if self._closed else max(0.0, self._open_until - self._clock())

    def _trial(self) -> int:
        now = self._clock()
        if now < self._open_until:
            return 0
        if self._trial_until is not None and now < self._trial_until:
            return 0
        # A trial that nobody ever reports must not keep the upstream shut for good.
        self._trial_until = now + self._longest
        self._ticket += 1
        return self._ticket

    def _open(self) -> None:
        self.opened += 1
        self._closed = False
        self._ticket += 1
        self._trial_until = None
        self._open_until = self._clock() + self._pause

    def _close(self) -> None:
        self._closed = True
        self._ticket += 1
        self._pause = self._open_for
        self._attempts.clear()
        self._failures.clear()
