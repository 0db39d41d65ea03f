"""`LogWatch`: rings when the event log could lose what it has taken, or a topic grows since a group does not consume it.

EventLogError      the log cannot be asked
StoreUnavailable   (runtime.flagstore) the control database cannot be used; what was found is rung the next time
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from catalog import assets
from runtime.alertclass import EVENT_LOG_GROWING, EVENT_LOG_UNSAFE, AlertClass
from runtime.alerts import Alerts
from runtime.eventlog.errors import Unsuitable
from runtime.eventlog.protocol import Backlog
from runtime.intent import TOPIC
from runtime.serviceevent import topic_of

log = structlog.get_logger("log-watch")

BEHIND_SECONDS = 900.0
"""A topic whose oldest unconsumed entry is as old, or that has had entries and no group for so long, is not being consumed."""


class WatchedLog(Protocol):
    """As far as it is needed here."""

    async def check(self) -> None: ...

    async def backlog(self, topic: str) -> Backlog: ...

    async def groups(self, topic: str) -> frozenset[str]: ...


class LogWatch:
    """Any number may run. The topics must be there."""

    def __init__(
        self, events: WatchedLog, alerts: Alerts, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = events
        self._alerts = alerts
        self._clock = clock
        self._rung: dict[tuple[str, str], str] = {}
        """What was rung last by class and entity; empty: that all is well; absent: nothing yet."""
        self._groupless: dict[str, float] = {}
        """Since when a topic has had entries and no group."""

    async def step(self) -> None:
        """Raises EventLogError, StoreUnavailable."""
        await self._tell(EVENT_LOG_UNSAFE, "", await self._unsafe())
        for entity, topic in _topics():
            await self._tell(EVENT_LOG_GROWING, entity, await self._growing(topic))

    async def _unsafe(self) -> str:
        try:
            await self._log.check()
        except Unsuitable as error:
            return error.why
        return ""

    async def _growing(self, topic: str) -> str:
        backlog = await self._log.backlog(topic)
        if backlog.oldest_seconds is not None and backlog.oldest_seconds > BEHIND_SECONDS:
            return "group_behind"
        if not backlog.entries or await self._log.groups(topic):
            self._groupless.pop(topic, None)
            return ""
        since = self._groupless.setdefault(topic, self._clock())
        return "no_group" if self._clock() - since > BEHIND_SECONDS else ""

    async def _tell(self, alert_class: AlertClass, entity: str, found: str) -> None:
        place = (alert_class.name, entity)
        if found == self._rung.get(place):
            return
        if found:
            log.error("log_watch.found", reason=found, entity=entity)
            await self._alerts.ring(alert_class, entity=entity, detail=found)
        else:
            await self._alerts.resolve(alert_class, entity=entity)
        self._rung[place] = found


def _topics() -> Sequence[tuple[str, str]]:
    """With the entity; none for the mirror's own topic."""
    return [("", TOPIC), *((entity, topic_of(entity)) for entity in assets())]
