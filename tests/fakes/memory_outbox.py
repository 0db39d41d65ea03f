"""A service's outbox in memory: the same promises as `PostgresOutbox`, held to them by the same suite."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from catalog.service import Service
from migration.outbox import KEPT_DAYS, KEPT_SECONDS, Publish
from runtime.serviceevent import ServiceEvent

_MARGIN_SECONDS = 60.0


@dataclass(kw_only=True)
class _Kept:
    event: ServiceEvent
    published_at: float | None = None


class MemoryOutbox:
    """`clock` in seconds."""

    def __init__(self, service: Service, clock: Callable[[], float]) -> None:
        self.service = service
        self._clock = clock
        self._kept: list[_Kept] = []
        self._taken = False

    def add(self, event: ServiceEvent) -> None:
        self._kept.append(_Kept(event=event))

    async def hand_over(self, most: int, publish: Publish) -> int:
        waiting = [kept for kept in self._kept if kept.published_at is None]
        oldest = sorted(waiting, key=lambda kept: kept.event.updated_at)[:most]
        if self._taken or not oldest:
            return 0
        self._taken = True
        try:
            await publish([kept.event for kept in oldest])
        finally:
            self._taken = False
        for kept in oldest:
            kept.published_at = self._clock()
        return len(oldest)

    async def purge(self, consumed: Mapping[str, float]) -> int:
        left = [kept for kept in self._kept if not self._is_old(kept, consumed)]
        gone = len(self._kept) - len(left)
        self._kept = left
        return gone

    def _is_old(self, kept: _Kept, consumed: Mapping[str, float]) -> bool:
        if kept.published_at is None:
            return False
        age, passed = self._clock() - kept.published_at, consumed.get(kept.event.entity)
        if passed is not None and age > max(passed + _MARGIN_SECONDS, KEPT_SECONDS):
            return True
        return age > KEPT_DAYS * 86_400
