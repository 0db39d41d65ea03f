"""`Keeping`: stores what this process has counted, every few seconds, and rings for what nobody may overlook. A killed process takes
at most that with it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from gateway.shadowing.counts import Counts
from runtime.flagstore import StoreUnavailable
from runtime.shadowstore import Count, Example
from runtime.tasks import spawn, stop

log = structlog.get_logger("shadow")

EVERY_SECONDS = 5.0
_LAST_SECONDS = 2.0


class Store(Protocol):
    """runtime.shadowstore.ShadowStore, as far as it is needed here."""

    async def put(self, counts: Sequence[Count], examples: Sequence[Example]) -> None: ...


Ring = Callable[[str], Awaitable[object]]
"""Told the entity of which a row was visible on one side only. May raise StoreUnavailable."""


class Keeping:
    """A database that does not answer costs no read: counts and examples wait, up to the bounds of `Counts`."""

    def __init__(
        self, counts: Counts, store: Store, ring: Ring, *, every: float = EVERY_SECONDS
    ) -> None:
        self._counts = counts
        self._store = store
        self._ring = ring
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self._works = True

    async def start(self) -> None:
        self._task = spawn(self._always(), name="shadow.keeping")

    async def stop(self) -> None:
        if self._task is not None:
            await stop(self._task)
            self._task = None
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self.store()
        except TimeoutError:
            log.warning("shadow.unstored")

    async def store(self) -> bool:
        """Once, now."""
        counts, examples = self._counts.waiting()
        if not counts and not examples:
            return True
        try:
            await self._put(counts, examples)
            for entity in sorted(self._counts.alone):
                await self._ring(entity)
                self._counts.alone.discard(entity)
        except StoreUnavailable as error:
            if self._works:
                log.warning("shadow.unstored", exc_info=error)
            self._works = False
            return False
        self._works = True
        self._counts.stored(counts, examples)
        return True

    async def _put(self, counts: Sequence[Count], examples: Sequence[Example]) -> None:
        try:
            await self._store.put(counts, examples)
        except StoreUnavailable as error:
            await self._store.put(counts, ())
            # The database is there, and does not take these: they must not hold up all others.
            if examples:
                log.exception("shadow.examples_refused", count=len(examples), exc_info=error)
                self._counts.refused(len(examples))

    async def _always(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self.store()
