"""How a process reaches what is not its own: databases of both sides, the control database's tables, the outbox.

Each call takes time, may get lost on its way there or back, and may be the last thing that the process did.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from catalog.asset import Asset
from catalog.service import Service
from catalog.stage import Side
from gateway.repeat_store import Held as HeldRepeat
from gateway.repeat_store import Kept, RepeatStore
from gateway.repeat_store import StoreUnavailable as RepeatsUnavailable
from migration.divergence import Claimed, Failure, Hold
from migration.intents import Announced, IntentStore, OpenIntent
from migration.ledger import Ledger
from migration.outbox import Publish
from migration.store import Answer, Change, Held, Store, Unavailable
from migration.version import Version
from routes.key import Key, write_key
from runtime.flagstore import StoreUnavailable
from runtime.intent import Closed
from runtime.repeats import Repeatable
from runtime.serviceevent import ServiceEvent
from tests.fakes.memory_outbox import MemoryOutbox
from tests.simulation.process import Process


def _no_answer() -> Unavailable:
    return Unavailable("08006")


def _no_control() -> StoreUnavailable:
    return StoreUnavailable("lost")


class ReachedStore:
    """`migration.store.Store`."""

    def __init__(self, process: Process, store: Store) -> None:
        self._process = process
        self._store = store

    @property
    def side(self) -> Side:
        return self._store.side

    @property
    def changes_hands(self) -> bool:
        return self._store.changes_hands

    async def read(self, asset: Asset, keys: Sequence[Key]) -> Mapping[Key, Held]:
        return await self._process.call(_no_answer, self._store.read, asset, keys)

    async def apply(
        self, asset: Asset, changes: Sequence[Change], *, epoch: int | None, together: bool = False
    ) -> Sequence[Answer]:
        return await self._process.call(
            _no_answer, self._store.apply, asset, changes, epoch=epoch, together=together
        )

    async def holders(self, asset: Asset, changes: Sequence[Change]) -> frozenset[Key]:
        return await self._process.call(_no_answer, self._store.holders, asset, changes)

    async def epoch(self, asset: Asset) -> int:
        return await self._process.call(_no_answer, self._store.epoch, asset)

    async def made_by(self, asset: Asset, correlation_id: str) -> frozenset[Key]:
        return await self._process.call(_no_answer, self._store.made_by, asset, correlation_id)

    async def children(self, asset: Asset, parent: str, keys: Sequence[Key]) -> Mapping[Key, Key]:
        return await self._process.call(_no_answer, self._store.children, asset, parent, keys)


class ReachedIntents:
    """`migration.intents.IntentStore`. Who asks and gets nothing, asks again and again: that costs no time."""

    def __init__(self, process: Process, store: IntentStore) -> None:
        self._process = process
        self._store = store

    async def take(
        self, announced: Sequence[Announced], closed: Sequence[Closed]
    ) -> Sequence[OpenIntent]:
        return await self._process.call(_no_control, self._store.take, announced, closed)

    async def due(self, partitions: Collection[int], most: int) -> Sequence[OpenIntent]:
        found = await self._store.due(partitions, most)
        if found:
            await self._process.travel()
        await self._process.live()
        return found

    async def put_off(self, seconds: Mapping[str, float | None]) -> None:
        if seconds:
            await self._process.call(_no_control, self._store.put_off, seconds)

    async def remove(self, ids: Sequence[str]) -> None:
        if ids:
            await self._process.call(_no_control, self._store.remove, ids)


class ReachedLedger:
    """`migration.ledger.Ledger`."""

    def __init__(self, process: Process, ledger: Ledger) -> None:
        self._process = process
        self._ledger = ledger

    async def holds(self, entity: str, side: Side, keys: Sequence[Key]) -> Mapping[Key, Hold]:
        return await self._process.call(_no_control, self._ledger.holds, entity, side, keys)

    async def book(self, entity: str, side: Side, failures: Mapping[Key, Failure]) -> None:
        await self._process.call(_no_control, self._ledger.book, entity, side, failures)

    async def solve(self, entity: str, side: Side, keys: Sequence[Key]) -> None:
        await self._process.call(_no_control, self._ledger.solve, entity, side, keys)

    async def claim(self, most: int) -> Sequence[Claimed]:
        found = await self._ledger.claim(most)
        if found:
            await self._process.travel()
        await self._process.live()
        return found

    async def expire(self) -> int:
        return await self._process.call(_no_control, self._ledger.expire)

    async def redrive(self, entity: str | None, keys: Sequence[Key] | None) -> int:
        return await self._process.call(_no_control, self._ledger.redrive, entity, keys)


class ReachedRepeats:
    """`gateway.repeat_store.RepeatStore`."""

    def __init__(self, process: Process, store: RepeatStore) -> None:
        self._process = process
        self._store = store

    async def begin(
        self, request: Repeatable, authority: Side, correlation_id: str, *, lease_seconds: float
    ) -> HeldRepeat | Kept:
        return await self._process.call(
            RepeatsUnavailable,
            self._store.begin,
            request,
            authority,
            correlation_id,
            lease_seconds=lease_seconds,
        )

    async def move(self, held: HeldRepeat, authority: Side) -> None:
        await self._process.call(RepeatsUnavailable, self._store.move, held, authority)

    async def finish(self, held: HeldRepeat, answer: Kept) -> None:
        await self._process.call(RepeatsUnavailable, self._store.finish, held, answer)

    async def drop(self, held: HeldRepeat) -> None:
        await self._process.call(RepeatsUnavailable, self._store.drop, held)

    async def release(self, held: HeldRepeat, *, after_seconds: float) -> None:
        await self._process.call(
            RepeatsUnavailable, self._store.release, held, after_seconds=after_seconds
        )


class WorldOutbox(MemoryOutbox):
    """Of one service; a relay that dies lets go of it."""

    def __init__(self, asset: Asset, clock: Callable[[], float]) -> None:
        super().__init__(asset.service, clock)
        self._asset = asset
        self._arrival = asyncio.Event()

    @property
    def waiting(self) -> int:
        return sum(kept.published_at is None for kept in self._kept)

    def tell(self, key: Key, version: Version, id_: str) -> None:
        """As the services' trigger does, in the write's own transaction."""
        self.add(event_of(self._asset, key, version, id_))
        self._arrival.set()

    async def arrival(self) -> None:
        """Until something waits: what a relay's many looks at nothing come to."""
        if not self.waiting:
            self._arrival.clear()
            await self._arrival.wait()

    def let_go(self) -> None:
        self._taken = False


class ReachedOutbox:
    """`migration.outbox.Outbox`. One transaction, so it dies with the process, marks and all."""

    def __init__(self, process: Process, outbox: WorldOutbox) -> None:
        self._process = process
        self._outbox = outbox
        self._has = False

    @property
    def service(self) -> Service:
        return self._outbox.service

    async def hand_over(self, most: int, publish: Publish) -> int:
        async def published(events: Sequence[object]) -> None:
            self._has = True
            await publish(events)  # type: ignore[arg-type]
            if self._process.dice.chance(0.05):
                # The log has them, and the mark is lost with its transaction: they come again.
                raise _no_answer()

        await self._process.live()
        try:
            count = await self._outbox.hand_over(most, published)
        finally:
            self._has = False
        await self._process.live()
        return count

    async def purge(self, consumed: Mapping[str, float]) -> int:
        return await self._outbox.purge(consumed)

    def crash(self) -> None:
        if self._has:
            self._outbox.let_go()


class NoSubjects:
    """A world without submissions."""

    async def tell(self, changes: Sequence[Change], *, to: Side) -> None:
        raise AssertionError("there are no submissions")


def event_of(asset: Asset, key: Key, version: Version, id_: str) -> ServiceEvent:
    stamp = version.updated_at.isoformat()
    return ServiceEvent(
        id=id_,
        type=f"banyan.{asset.entity}.updated",
        service=asset.service,
        entity=asset.entity,
        key=key,
        subject=write_key(key),
        updated_at=stamp,
        origin=version.origin,
        row_version=version.row_version,
        seen_at=version.seen_at.isoformat() if version.seen_at else None,
        correlation_id=version.correlation_id,
        time=stamp,
    )
