"""What an operator has to look at: counted each time, logged at most once a second, since anybody can cause it, and rung."""

from collections.abc import Callable, Mapping

import structlog

from gateway.metrics import Metrics
from runtime.alertbell import AlertBell

log = structlog.get_logger("security")

_SECONDS = 1.0


class Alarm:
    """One per process. `bells`: of the words that ring."""

    def __init__(
        self, metrics: Metrics, clock: Callable[[], float], bells: Mapping[str, AlertBell]
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._bells = bells
        self._logged_at: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}

    def ring(self, what: str) -> None:
        """`what` is a word of a closed set, such as `service_key`; nothing of the request belongs here."""
        self._metrics.security_alerts.inc(what)
        if what in self._bells:
            self._bells[what].pull()
        now, since = self._clock(), self._unlogged.get(what, 0) + 1
        if now - self._logged_at.get(what, float("-inf")) < _SECONDS:
            self._unlogged[what] = since
            return
        self._logged_at[what], self._unlogged[what] = now, 0
        log.error("security.alarm", reason=what, count=since)
