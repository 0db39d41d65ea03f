"""`Retries`: tries again what stands in the ledger, when its time has come. Any number may run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from catalog import assets
from catalog.stage import Side
from migration.delivery import Delivery
from migration.divergence import Claimed, Hold
from migration.ledger import Ledger
from runtime.flagstore import StoreUnavailable

log = structlog.get_logger("retries")

_AT_ONCE = 200
PAUSE_SECONDS = 0.25


class Retries:
    """A parent's incident is tried before its children's."""

    def __init__(
        self,
        ledger: Ledger,
        delivery: Delivery,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._delivery = delivery
        self._sleep = sleep

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                tried = await self.step()
            except StoreUnavailable as error:
                log.warning("retries.interrupted", exc_info=error)
                tried = 0
            if tried < _AT_ONCE:
                await self._sleep(PAUSE_SECONDS)

    async def step(self) -> int:
        """How many were due. Raises StoreUnavailable: then they become due again."""
        claimed = await self._ledger.claim(_AT_ONCE)
        for entity in assets():
            for side in Side:
                await self._attempt(
                    entity, side, [c for c in claimed if (c.entity, c.side) == (entity, side)]
                )
        return len(claimed)

    async def _attempt(self, entity: str, side: Side, claimed: Sequence[Claimed]) -> None:
        holds = {one.key: Hold(attempts=one.attempts, seconds=0.0) for one in claimed}
        await self._delivery.attempt(entity, sorted(holds), side, holds)
