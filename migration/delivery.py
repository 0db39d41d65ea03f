"""`Delivery`: brings keys over, what legacy derives from them included, and books what has not arrived.

The movers (mirror, sync-backfill, retries) end here; they differ in where keys come from. When a call returns, each of its keys
has arrived or stands in the ledger (data-rules I8), so whoever has called may let go of the event that named it; but not of the
intent: what the row's write derived may still be on its way.

StoreUnavailable   (runtime.flagstore) the ledger cannot be written: nothing may be let go of
"""

from collections.abc import Callable, Mapping, Sequence

import structlog

from catalog import assets
from catalog.asset import Asset
from catalog.stage import Side
from migration.converge import Converge, Outcome, Result
from migration.divergence import Hold, judged
from migration.ledger import Ledger
from migration.store import MOST_ITEMS, Refused, Store, StoreError
from routes.key import Key

log = structlog.get_logger("delivery")

CLOSED = "25006"
"""What legacy answers once it takes nothing more, not even from the mirror: its entity is `complete`."""
_LOOK_AGAIN_SECONDS = 30.0
_UNREAD_SECONDS = 1.0


class Delivery:
    """`closed` is told entity and number of the keys that legacy does not take any more."""

    def __init__(
        self,
        converge: Converge,
        stores: Mapping[Side, Store],
        ledger: Ledger,
        *,
        closed: Callable[[str, int], None] = lambda entity, count: None,
    ) -> None:
        self._converge = converge
        self._stores = stores
        self._ledger = ledger
        self._closed = closed

    async def run(self, entity: str, keys: Sequence[Key], side: Side) -> Mapping[Key, float]:
        """The keys that have not arrived, and after how many seconds each is worth another look.

        They go in their own order, which is everybody's: so two movers do not wait for each other's locks.
        `side` is the one that spoke. A key that is held by an incident is not tried before its time.
        """
        late: dict[Key, float] = {}
        for chunk in _chunks(sorted(set(keys))):
            holds = await self._ledger.holds(entity, side, chunk)
            held = {key: hold.seconds for key, hold in holds.items() if hold.seconds > 0}
            late |= {key: min(seconds, _LOOK_AGAIN_SECONDS) for key, seconds in held.items()}
            free = [key for key in chunk if key not in held]
            late |= await self.attempt(entity, free, side, holds)
        return late

    async def attempt(
        self, entity: str, keys: Sequence[Key], side: Side, holds: Mapping[Key, Hold]
    ) -> Mapping[Key, float]:
        """`run`, whatever holds the keys. `holds`: their unsolved incidents."""
        if not keys:
            return {}
        results = await self._results(entity, keys, side)
        failures = {
            key: judged(result, holds[key].attempts + 1 if key in holds else 1)
            for key, result in results.items()
            if not _arrived(side, result)
        }
        if failures:
            await self._ledger.book(entity, side, failures)
        arrived = [key for key in results if key not in failures]
        solved = [key for key in arrived if key in holds]
        if solved:
            await self._ledger.solve(entity, side, solved)
        self._count_closed(entity, results)
        late = {key: min(f.seconds, _LOOK_AGAIN_SECONDS) for key, f in failures.items()}
        return {**late, **await self._derived(assets()[entity], arrived, side)}

    async def _results(self, entity: str, keys: Sequence[Key], side: Side) -> Mapping[Key, Result]:
        try:
            return await self._converge.run(entity, keys, side)
        except Refused as error:
            # The call as a whole is at fault, not these keys: they are not given up before their time.
            log.exception("delivery.refused", entity=entity, side=side, reason=error.code)
            return dict.fromkeys(keys, Result(outcome=Outcome.RETRY, detail=error.code))

    def _count_closed(self, entity: str, results: Mapping[Key, Result]) -> None:
        count = sum(result.detail == CLOSED for result in results.values())
        if count:
            self._closed(entity, count)

    # --- rows that legacy's own triggers write in the transaction of their parent (catalog: `derived`)

    async def _derived(self, asset: Asset, keys: Sequence[Key], side: Side) -> Mapping[Key, float]:
        """The keys whose derived rows have not all arrived: whoever waits for these keys waits for those rows."""
        late: dict[Key, float] = {}
        if side is Side.LEGACY and keys:
            for child in _derived_from(asset.entity):
                late |= await self._children(child, asset.entity, keys)
        return late

    async def _children(
        self, child: Asset, parent: str, keys: Sequence[Key]
    ) -> Mapping[Key, float]:
        try:
            there = await self._stores[Side.LEGACY].children(child, parent, keys)
            here = await self._stores[Side.SERVICE].children(child, parent, keys)
        except StoreError as error:
            log.warning("delivery.derived_unread", entity=child.entity, reason=error.code)
            return dict.fromkeys(keys, _UNREAD_SECONDS)
        lacking = [key for key in there if key not in here]
        late = await self.run(child.entity, lacking, Side.LEGACY)
        return {there[key]: seconds for key, seconds in late.items()}


def _arrived(side: Side, result: Result) -> bool:
    closed = side is Side.SERVICE and result.detail == CLOSED
    return result.outcome is Outcome.DONE or closed


def _derived_from(entity: str) -> Sequence[Asset]:
    return [
        asset
        for asset in assets().values()
        if asset.derived and any(c.references == entity for c in asset.references)
    ]


def _chunks(keys: Sequence[Key]) -> Sequence[Sequence[Key]]:
    return [keys[start : start + MOST_ITEMS] for start in range(0, len(keys), MOST_ITEMS)]
