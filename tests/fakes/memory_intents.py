"""The open intents in memory: the same promises as `PostgresIntents`, held to them by the same suite, by the caller's clock."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from migration.intents import CLAIM_SECONDS, Announced, OpenIntent
from routes.key import Key
from runtime.intent import Closed, Intent, Outcome


@dataclass(kw_only=True)
class _Kept:
    intent: Intent
    partition: int
    resolve_at: float
    next_at: float
    brought: Key | None = None
    outcome: Outcome | None = None


class MemoryIntents:
    """`clock` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def open(self) -> Sequence[Intent]:
        """As gateways ask for them: those that may stand at their authority alone."""
        kept = self._kept.values()
        return [one.intent for one in kept if one.outcome is not Outcome.NOT_APPLIED]

    async def take(
        self, announced: Sequence[Announced], closed: Sequence[Closed]
    ) -> Sequence[OpenIntent]:
        for one in announced:
            at = self._clock() + one.intent.grace_seconds
            kept = _Kept(intent=one.intent, partition=one.partition, resolve_at=at, next_at=at)
            self._kept.setdefault(one.intent.id, kept)
        return [self._closed(end) for end in closed if end.id in self._kept]

    def _closed(self, end: Closed) -> OpenIntent:
        kept = self._kept[end.id]
        if end.outcome is not Outcome.UNKNOWN or kept.outcome is None:
            kept.outcome = end.outcome
        if kept.intent.key is None and kept.brought is None:
            kept.brought = end.key
        return self._given(kept)

    async def due(self, partitions: Collection[int], most: int) -> Sequence[OpenIntent]:
        ripe = [
            kept
            for kept in sorted(self._kept.values(), key=lambda kept: kept.next_at)
            if kept.partition in partitions and kept.next_at <= self._clock()
        ]
        return [self._given(kept) for kept in ripe[:most]]

    def _given(self, kept: _Kept) -> OpenIntent:
        kept.next_at = self._clock() + CLAIM_SECONDS
        return OpenIntent(
            intent=kept.intent,
            partition=kept.partition,
            brought=kept.brought,
            outcome=kept.outcome,
            ended=kept.resolve_at <= self._clock(),
        )

    async def put_off(self, seconds: Mapping[str, float | None]) -> None:
        for id_, wait in seconds.items():
            if kept := self._kept.get(id_):
                kept.next_at = kept.resolve_at if wait is None else self._clock() + wait

    async def remove(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            self._kept.pop(id_, None)
