"""`AlertGauge`: how many alerts of each class are not resolved, for a metrics page that must not wait for a database."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping

import structlog

from runtime.alerts import Alerts
from runtime.flagstore import StoreUnavailable
from runtime.tasks import finished

log = structlog.get_logger("alerts")

EVERY_SECONDS = 5.0
_STALE_SECONDS = 60.0


class AlertGauge:
    """Read with `of`; `keep` refreshes it."""

    name = "banyan_alerts"
    help = "Alerts that are not resolved, by class"

    def __init__(self, alerts: Alerts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._alerts = alerts
        self._clock = clock
        self._counts: Mapping[str, int] = {}
        self._heard_at = -math.inf

    def of(self, alert_class: str) -> Callable[[], float]:
        """What a gauge reads. NaN, which is not zero, while the database has not been heard for a minute."""

        def read() -> float:
            if self._clock() - self._heard_at > _STALE_SECONDS:
                return math.nan
            return float(self._counts[alert_class])

        return read

    async def refresh(self) -> None:
        """Raises StoreUnavailable."""
        self._counts = await self._alerts.unresolved()
        self._heard_at = self._clock()

    async def keep(self, *, every: float = EVERY_SECONDS) -> None:
        """For ever. To be spawned."""
        while True:
            try:
                await finished(self.refresh())
            except StoreUnavailable as error:
                log.warning("alerts.not_counted", exc_info=error)
            await asyncio.sleep(every)
