"""`Chore`: what is done again and again, in its own rhythm. Any number of processes may do it: each chore bears company."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from migration.store import StoreError
from runtime.eventlog.errors import EventLogError, PartitionMismatch
from runtime.flagstore import StoreUnavailable

log = structlog.get_logger("keeper")

_LOOK_SECONDS = 0.25
"""The longest that a stop waits for a chore that is not due."""


@dataclass(frozen=True, kw_only=True)
class Chore:
    name: str
    every_seconds: float
    work: Callable[[], Awaitable[Any]]
    """May raise StoreError, StoreUnavailable, EventLogError: then it is done the next time; PartitionMismatch ends it."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.work()
            except PartitionMismatch:
                raise
            except (StoreError, StoreUnavailable, EventLogError) as error:
                log.warning("keeper.chore_failed", task=self.name, exc_info=error)
            left = self.every_seconds
            while left > 0 and not stopping.is_set():
                await self.sleep(min(left, _LOOK_SECONDS))
                left -= _LOOK_SECONDS
