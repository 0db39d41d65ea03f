"""What a converge does around the stores: order, epochs, trouble. Both sides are in memory."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog import assets
from catalog.asset import Asset
from catalog.stage import Side
from migration.converge import Converge, Outcome
from migration.guard import Verdict
from migration.store import MOST_ITEMS, Answer, Change, Unavailable
from routes.key import Key
from tests.fakes.memory_store import MemoryStore

pytestmark = pytest.mark.unit

STOCK = assets()["partner_stock_levels"]
ENTITY = STOCK.entity
START = datetime(2030, 1, 1, tzinfo=UTC)


class Nobody:
    """There are no submissions here."""

    async def tell(self, changes: Sequence[Change], *, to: Side) -> None:
        raise AssertionError


class Time:
    """Goes on by a microsecond or more each time it is asked."""

    def __init__(self, draw: Callable[[], float] = lambda: 0.000001) -> None:
        self.now = START
        self._draw = draw

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=self._draw())
        return self.now


class Troubled(MemoryStore):
    """Its first calls of `apply` fail, or answer as told."""

    def __init__(self, side: Side, troubles: Sequence[Verdict | Unavailable]) -> None:
        super().__init__(side, clock=Time())
        self.troubles = list(troubles)
        self.calls: list[tuple[int, int | None]] = []

    async def apply(
        self, asset: Asset, changes: Sequence[Change], *, epoch: int | None, together: bool = False
    ) -> Sequence[Answer]:
        self.calls.append((len(changes), epoch))
        trouble = self.troubles.pop(0) if self.troubles else None
        if isinstance(trouble, Unavailable):
            raise trouble
        if trouble is not None:
            return [Answer(verdict=trouble)] * len(changes)
        return await super().apply(asset, changes, epoch=epoch, together=together)


def key(n: int) -> Key:
    return ("000000ba-0000-4000-8000-0000000000ff", "A", f"{n:05}")


def row(key: Key, value: int) -> dict[str, Any]:
    names = dict(zip(STOCK.key, key, strict=True))
    return {**names, "on_hand": value} | dict.fromkeys(
        ("reserved", "reorder_point", "counted_at", "created_at", "updated_at")
    )


def two(target: MemoryStore) -> tuple[MemoryStore, Converge]:
    source = MemoryStore(target.side.other, clock=Time())
    return source, Converge({source.side: source, target.side: target}, Nobody())


async def test_keys_go_in_bounded_calls_and_each_once() -> None:
    target = Troubled(Side.SERVICE, [])
    source, converge = two(target)
    keys = [key(n) for n in range(MOST_ITEMS + 1)]
    for one in keys:
        source.write(STOCK, one, row(one, 1), "c")
    results = await converge.run(ENTITY, [*keys, *keys], Side.LEGACY)
    assert {result.outcome for result in results.values()} == {Outcome.DONE}
    assert [count for count, _ in target.calls] == [MOST_ITEMS, 1]


async def test_trouble_with_a_call_is_for_its_keys_alone() -> None:
    target = Troubled(Side.SERVICE, [Unavailable("08006")])
    source, converge = two(target)
    keys = [key(n) for n in range(MOST_ITEMS + 1)]
    for one in keys:
        source.write(STOCK, one, row(one, 1), "c")
    results = await converge.run(ENTITY, keys, Side.LEGACY)
    assert [results[k].outcome for k in keys] == [Outcome.RETRY] * MOST_ITEMS + [Outcome.DONE]
    assert results[keys[0]].detail == "08006"


@pytest.mark.parametrize(("refusals", "outcome"), [(1, Outcome.DONE), (2, Outcome.FENCED)])
async def test_a_fenced_converge_asks_for_the_epoch_once(refusals: int, outcome: Outcome) -> None:
    target = Troubled(Side.SERVICE, [])
    source, converge = two(target)
    source.write(STOCK, key(1), row(key(1), 1), "c")
    await converge.run(ENTITY, [key(1)], Side.LEGACY)
    target.epochs[ENTITY] = 7
    target.troubles = [Verdict.FENCED] * refusals
    results = await converge.run(ENTITY, [key(1)], Side.LEGACY)
    assert results[key(1)].outcome is outcome
    assert [epoch for _, epoch in target.calls] == [0, 0, 7]


async def test_two_that_are_fenced_at_once_both_go_on() -> None:
    class Slow(Troubled):
        async def apply(self, *given: Any, **named: Any) -> Sequence[Answer]:
            answers = await super().apply(*given, **named)
            await asyncio.sleep(0)
            return answers

        async def epoch(self, asset: Asset) -> int:
            await asyncio.sleep(0)
            return await super().epoch(asset)

    target = Slow(Side.SERVICE, [])
    source, converge = two(target)
    for one in (key(1), key(2)):
        source.write(STOCK, one, row(one, 1), "c")
    await converge.run(ENTITY, [key(1)], Side.LEGACY)
    target.epochs[ENTITY] = 7
    results = await asyncio.gather(
        *(converge.run(ENTITY, [one], Side.LEGACY) for one in (key(1), key(2)))
    )
    assert [one.outcome for found in results for one in found.values()] == [Outcome.DONE] * 2


@pytest.mark.parametrize("seed", range(150))
async def test_whatever_the_order_both_sides_end_equal_and_no_loser_is_unrecorded(
    seed: int,
) -> None:
    """Users on both sides over two clocks; every write is converged late, some twice, in any order."""
    draw = random.Random(seed)
    stores = {side: MemoryStore(side, clock=Time(lambda: draw.random())) for side in Side}
    converge = Converge(stores, Nobody())
    keys = [key(n) for n in range(2)]
    todo: list[tuple[Key, Side]] = []
    heads: dict[Key, set[Any]] = {one: set() for one in keys}
    """Versions on which no later one was built, by their pairs."""
    for n in range(12):
        side, one = draw.choice(list(Side)), draw.choice(keys)
        there = (await stores[side].read(STOCK, [one]))[one]
        gone = there.row is not None and draw.random() < 0.3
        version = stores[side].write(STOCK, one, None if gone else row(one, n), f"c{n}")
        base = there.row or there.tombstone
        heads[one] -= {base.pair} if base else set()
        heads[one].add(version.pair)
        todo += [(one, side)] * draw.choice((1, 1, 2))
        draw.shuffle(todo)
        for _ in range(draw.randint(0, 2)):
            if todo:
                await _settled(converge, *todo.pop())
    for one, side in todo:
        await _settled(converge, one, side)
    held = [await stores[side].read(STOCK, keys) for side in Side]
    assert held[0] == held[1]
    lost = {conflict.loser.pair for store in stores.values() for conflict in store.conflicts}
    for one in keys:
        end = held[0][one].row or held[0][one].tombstone
        assert heads[one] - lost == ({end.pair} if end else set())


async def _settled(converge: Converge, one: Key, side: Side) -> None:
    assert (await converge.run(ENTITY, [one], side))[one].outcome is Outcome.DONE
