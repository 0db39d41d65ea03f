"""What brings versions over: mirror workers, relay, sync-backfill, legacy's log, backfill and repair, each over the real converge."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from catalog.asset import Asset
from catalog.stage import Side
from migration.converge import Converge, Outcome
from migration.delivery import Delivery
from migration.intents import IntentStore
from migration.mirror import Mirror
from migration.relay import Relay
from migration.retries import Retries
from migration.store import Store
from migration.sync_backfill import SyncBackfill
from routes.key import Key
from runtime.flagstore import StoreUnavailable
from tests.fakes.memory_ledger import MemoryLedger
from tests.simulation.dice import Dice
from tests.simulation.history import History
from tests.simulation.log import IDLE_SECONDS, ProcessLog, WorldLog
from tests.simulation.process import Process
from tests.simulation.reached import (
    NoSubjects,
    ReachedIntents,
    ReachedLedger,
    ReachedOutbox,
    ReachedStore,
    WorldOutbox,
)
from tests.simulation.side import WorldSide

Spawn = Callable[..., object]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What the movers of a world share."""

    asset: Asset
    sides: Mapping[Side, WorldSide]
    log: WorldLog
    intents: IntentStore
    ledger: MemoryLedger
    outbox: WorldOutbox
    history: History


class Mover:
    """One process of the migration: its own connections, its own converge."""

    def __init__(self, process: Process, shared: Shared) -> None:
        self.process = process
        self.log = ProcessLog(shared.log, process)
        self.outbox = ReachedOutbox(process, shared.outbox)
        self.stores: dict[Side, Store] = {
            side: ReachedStore(process, one) for side, one in shared.sides.items()
        }
        self.ledger = ReachedLedger(process, shared.ledger)
        self.converge = Converge(self.stores, NoSubjects())
        self.delivery = Delivery(self.converge, self.stores, self.ledger)
        self._shared = shared

    def crash(self) -> None:
        self.log.crash()
        self.outbox.crash()

    def mirror(self) -> Mirror:
        return Mirror(
            events=self.log,  # type: ignore[arg-type]
            intents=ReachedIntents(self.process, self._shared.intents),
            delivery=self.delivery,
            stores=self.stores,
            member=self.process.name,
            sleep=self.process.sleep,
        )

    def retries(self) -> Retries:
        async def pause(seconds: float) -> None:
            await self.process.sleep(max(seconds, IDLE_SECONDS))
            while not self._shared.ledger.unsolved:
                await self.process.sleep(IDLE_SECONDS)

        return Retries(self.ledger, self.delivery, sleep=pause)

    def relay(self) -> Relay:
        async def pause(seconds: float) -> None:
            await self._shared.outbox.arrival()
            await self.process.sleep(seconds)

        return Relay(self.outbox, self.log, sleep=pause)  # type: ignore[arg-type]

    def sync_backfill(self) -> SyncBackfill:
        return SyncBackfill(
            events=self.log,  # type: ignore[arg-type]
            delivery=self.delivery,
            member=self.process.name,
            sleep=self.process.sleep,
        )


class LegacyLog:
    """Change capture: each entry of legacy's log names a key, late and perhaps twice, until the key has arrived."""

    def __init__(self, mover: Mover, asset: Asset, dice: Dice, *, twice: float) -> None:
        self.left = 0
        """Entries that are not done with."""
        self._mover = mover
        self._asset = asset
        self._dice = dice
        self._twice = twice

    async def entry(self, key: Key) -> None:
        self.left += 1
        try:
            await asyncio.sleep(self._dice.delay(0.5, 8.0))
            await self._bring(key)
            if self._dice.chance(self._twice):
                await asyncio.sleep(self._dice.delay(1.0, 20.0))
                await self._bring(key)
        finally:
            self.left -= 1

    async def _bring(self, key: Key) -> None:
        while True:
            try:
                late = await self._mover.delivery.run(self._asset.entity, [key], Side.LEGACY)
            except StoreUnavailable:
                await asyncio.sleep(0.5)
                continue
            if not late:
                return
            await asyncio.sleep(max(0.1, *late.values()))


class Bringer:
    """Backfill and repair: by hand, key after key."""

    def __init__(self, mover: Mover, shared: Shared, dice: Dice) -> None:
        self._mover = mover
        self._shared = shared
        self._dice = dice

    async def backfill(self) -> None:
        """All that legacy holds, tombstones too, in chunks; what is written meanwhile has entries of its own."""
        keys = list(self._shared.sides[Side.LEGACY].all_keys())
        while keys:
            size = self._dice.number(1, 3)
            chunk, keys = keys[:size], keys[size:]
            await self._until_done(chunk, Side.LEGACY)
            await asyncio.sleep(self._dice.delay(0.5, 4.0))

    async def repair(self) -> None:
        """What differs, and still does after a while, from the greater version's side."""
        differing = [key for key in self._keys() if self._differs(key)]
        if differing:
            await asyncio.sleep(self._dice.between(2.0, 20.0))
        for key in differing:
            if self._differs(key):
                self._shared.history.note("repair", f"{key[-1]}")
                await self._until_done([key], self._greater(key))

    def _keys(self) -> list[Key]:
        found = {key for side in self._shared.sides.values() for key in side.all_keys()}
        return sorted(found)

    def _differs(self, key: Key) -> bool:
        legacy, service = (self._shared.sides[side].top(key) for side in Side)
        return legacy != service

    def _greater(self, key: Key) -> Side:
        tops = {side: top for side in Side if (top := self._shared.sides[side].top(key))}
        return max(tops, key=lambda side: tops[side].pair)

    async def _until_done(self, keys: list[Key], side: Side) -> None:
        left = keys
        while left:
            results = await self._mover.converge.run(self._shared.asset.entity, left, side)
            left = [key for key, one in results.items() if one.outcome is not Outcome.DONE]
            if left:
                await asyncio.sleep(self._dice.between(0.5, 4.0))
