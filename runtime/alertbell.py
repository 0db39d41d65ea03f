"""`AlertBell`: rings an alert for what happens on a request's path, beside it: at most once in a while, however often it happens."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from runtime.alertclass import AlertClass
from runtime.alerts import Alerts
from runtime.flagstore import StoreUnavailable
from runtime.tasks import finished

log = structlog.get_logger("alerts")

EVERY_SECONDS = 60.0
AGAIN_SECONDS = 5.0
"""After a try that the control database did not take."""


class AlertBell:
    """Of one class. Whoever pulls it waits for nothing; `keep` rings."""

    def __init__(
        self,
        alert_class: AlertClass,
        *,
        detail: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._class = alert_class
        self._detail = detail
        self._sleep = sleep
        self._pulled = asyncio.Event()

    def pull(self) -> None:
        """It has happened. Anybody can cause that, as often as they like."""
        self._pulled.set()

    async def keep(self, alerts: Alerts) -> None:
        """For ever. To be spawned."""
        while True:
            await self._pulled.wait()
            self._pulled.clear()
            try:
                await finished(alerts.ring(self._class, detail=self._detail))
            except StoreUnavailable as error:
                log.warning("alerts.not_rung", reason=self._class.name, exc_info=error)
                self._pulled.set()
                await self._sleep(AGAIN_SECONDS)
            else:
                await self._sleep(EVERY_SECONDS)
