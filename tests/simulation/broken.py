"""The real code with one protection less: what each sabotage puts in a place of it (tests/simulation/sabotage.py)."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from typing import Any

import gateway.pins
import gateway.write
from catalog.asset import Asset
from catalog.stage import Side
from gateway.pinfeed import PinFeed
from gateway.plan import Read, SplitRead, Write
from gateway.repeat_store import Held
from gateway.write import Asked, Writing
from migration.converge import Converge
from migration.guard import Conflict, Decision, Verdict, decide
from migration.intents import OpenIntent
from migration.mirror import Mirror
from migration.outbox import Publish
from migration.store import Answer, Change
from migration.version import Version
from routes.key import Key
from runtime.eventlog.protocol import Consumer, Entry
from runtime.intent import Intent, Outcome
from runtime.tasks import spawn
from tests.fakes import memory_store
from tests.simulation import gateway as world_gateway
from tests.simulation.reached import WorldOutbox
from tests.simulation.side import WorldSide
from tests.simulation.world import World

Patches = Sequence[tuple[Any, str, Any]]


# --- the version rule


def no_guard() -> Patches:
    def last_come(
        row: Version | None,
        tombstone: Version | None,
        incoming: Version,
        *,
        deleted: bool,
        here: Side,
        now: datetime,
    ) -> Decision:
        there = (None, incoming) if deleted else (incoming, None)
        return Decision(verdict=Verdict.APPLIED, row=there[0], tombstone=there[1])

    return [(memory_store, "decide", last_come)]


def no_rank() -> Patches:
    return [(Version, "pair", property(lambda self: (self.updated_at, 0)))]


def no_origin() -> Patches:
    """Whoever applies a version calls it its own."""

    def renamed(
        row: Any, tombstone: Any, incoming: Version, *, here: Side, **known: Any
    ) -> Decision:
        return decide(row, tombstone, replace(incoming, origin=here), here=here, **known)

    return [(memory_store, "decide", renamed)]


def no_seen_at() -> Patches:
    return [(Version, "has_seen", lambda self, other: False)]


class _Nothing(dict[Any, Any]):
    def __setitem__(self, key: Any, value: Any) -> None:
        """It is not kept."""


def no_tombstones() -> Patches:
    begun = WorldSide.__init__

    def begin(self: WorldSide, *given: Any, **named: Any) -> None:
        begun(self, *given, **named)
        self._content = replace(self._content, tombstones=_Nothing())

    return [(WorldSide, "__init__", begin)]


def conflict_before_apply() -> Patches:
    """Reads what is there, looks whether it is a conflict, and applies a moment later."""
    apply = WorldSide.apply

    def silent(*given: Any, **named: Any) -> Decision:
        return replace(decide(*given, **named), conflicts=())

    async def looked_first(
        self: WorldSide,
        asset: Asset,
        changes: Sequence[Change],
        *,
        epoch: int | None,
        together: bool = False,
    ) -> Sequence[Answer]:
        seen = {change.key: self.top(change.key) for change in changes}
        await asyncio.sleep(0.3)
        answers = await apply(self, asset, changes, epoch=epoch, together=together)
        for change, answer in zip(changes, answers, strict=True):
            there = seen[change.key]
            if answer.verdict is Verdict.APPLIED and there is not None:
                self._content.conflicts.extend(_unseen(self.side, there, change))
        return answers

    return [(memory_store, "decide", silent), (WorldSide, "apply", looked_first)]


def _unseen(here: Side, there: Version, change: Change) -> Sequence[Conflict]:
    won = change.version
    if there.origin is not here or won.origin is here or won.has_seen(there):
        return ()
    return [Conflict(loser=there, loser_deleted=False, winner=won, winner_deleted=False)]


# --- the outbox


def outbox_outside_transaction() -> Patches:
    told = World._service_event

    def often(self: World, key: Key, version: Version) -> None:
        if not self.dice.chance(0.1):
            told(self, key, version)

    return [(World, "_service_event", often)]


def mark_before_publish() -> Patches:
    async def marked(self: WorldOutbox, most: int, publish: Publish) -> int:
        waiting = [kept for kept in self._kept if kept.published_at is None][:most]
        for kept in waiting:
            kept.published_at = 0.0
        if waiting:
            await publish([kept.event for kept in waiting])
        return len(waiting)

    return [(WorldOutbox, "hand_over", marked)]


def poll_behind_last() -> Patches:
    """By the order in which the numbers were taken, which is that of the statements, not of the commits."""
    last = "_last"

    async def behind(self: WorldOutbox, most: int, publish: Publish) -> int:
        seen = getattr(self, last, "")
        for kept in self._kept:
            if kept.published_at is None and kept.event.updated_at <= seen:
                kept.published_at = 0.0
        waiting = [kept for kept in self._kept if kept.published_at is None][:most]
        if not waiting:
            return 0
        await publish([kept.event for kept in waiting])
        for kept in waiting:
            kept.published_at = 0.0
        setattr(self, last, max(seen, *(kept.event.updated_at for kept in waiting)))
        return len(waiting)

    return [(WorldOutbox, "hand_over", behind)]


# --- intents


def intent_after_write() -> Patches:
    close = Writing._close

    async def held_back(
        self: Writing,
        asked: Asked,
        plan: Write,
        held: Held | None,
        caller: Any,
        epoch: int,
        seconds: float,
    ) -> Intent | None:
        class Later:
            async def announce(self, intent: Intent) -> None:
                """Not yet."""

        announcer, self._announcer = self._announcer, Later()  # type: ignore[assignment]
        try:
            return await announce(self, asked, plan, held, caller, epoch, seconds)
        finally:
            self._announcer = announcer

    def both(self: Writing, intent: Intent | None, outcome: Outcome, key: Any) -> None:
        if intent is not None:
            told = intent

            async def in_order() -> None:
                await self._announcer.announce(told)
                close(self, told, outcome, key)

            spawn(in_order(), name="intent.late")

    announce = Writing._announce
    return [(Writing, "_announce", held_back), (Writing, "_close", both)]


def settle_on_nothing() -> Patches:
    hand_out = Mirror._hand_out
    take = Mirror.take

    async def at_once(
        self: Mirror, consumer: Consumer, entries: Sequence[Entry]
    ) -> Sequence[OpenIntent]:
        ripe = await take(self, consumer, entries)
        early = await self._intents.due([p for _, p in consumer.partitions], 100)
        hand_out(self, early)
        return ripe

    return [
        (OpenIntent, "settles", property(lambda self: True)),
        (Mirror, "take", at_once),
    ]


def no_grace() -> Patches:
    def hasty(**named: Any) -> Intent:
        return Intent(**{**named, "grace_seconds": 0.0})

    return [(gateway.write, "Intent", hasty)]


def acknowledge_first() -> Patches:
    take = Mirror.take

    async def acknowledged(
        self: Mirror, consumer: Consumer, entries: Sequence[Entry]
    ) -> Sequence[OpenIntent]:
        await consumer.commit(entries)
        return await take(self, consumer, entries)

    return [(Mirror, "take", acknowledged)]


def remove_before_telling() -> Patches:
    tell = Mirror._tell

    async def removed(self: Mirror, settled: Sequence[Intent]) -> None:
        await self._intents.remove([one.id for one in settled])
        await tell(self, settled)

    return [(Mirror, "_tell", removed)]


_epoch: ContextVar[int | None] = ContextVar("epoch", default=None)


def fence_by_intent() -> Patches:
    settle, applied = Mirror.settle, Converge._applied

    async def settled(self: Mirror, side: Side, batch: Sequence[OpenIntent]) -> None:
        token = _epoch.set(min(one.intent.epoch for one in batch))
        try:
            await settle(self, side, batch)
        finally:
            _epoch.reset(token)

    async def fenced(
        self: Converge, asset: Asset, changes: Sequence[Change], to: Side, *, together: bool
    ) -> dict[Key, Answer]:
        epoch = _epoch.get()
        if epoch is None:
            return await applied(self, asset, changes, to, together=together)
        answers = await self._stores[to].apply(asset, changes, epoch=epoch, together=together)
        return {change.key: answer for change, answer in zip(changes, answers, strict=True)}

    return [(Mirror, "settle", settled), (Converge, "_applied", fenced)]


# --- the switch


def no_epoch() -> Patches:
    admit = WorldSide.admit
    return [(WorldSide, "admit", lambda self, epoch: admit(self, None))]


def no_mode() -> Patches:
    admit = WorldSide.admit

    def always(self: WorldSide, epoch: int | None) -> None:
        mode, self.mode = self.mode, "read_write"
        try:
            admit(self, epoch)
        finally:
            self.mode = mode

    return [(WorldSide, "admit", always)]


def no_drain() -> Patches:
    async def at_once(self: WorldSide, mode: str, epoch: int) -> None:
        self.mode = mode
        self.epochs[self.asset.entity] = epoch

    return [(WorldSide, "set_mode", at_once)]


# --- pins


def pin_reads_only() -> Patches:
    return [(Writing, "_pinned", lambda self, plan, asked, caller, floor: plan)]


def pin_writes_only() -> Patches:
    def unpinned(plan: Read | SplitRead, *rest: Any) -> Read | SplitRead:
        return plan

    return [(world_gateway, "pinned_item", unpinned)]


def flags_before_pins() -> Patches:
    async def at_once(self: PinFeed) -> bool:
        self.behind = False
        return True

    return [(PinFeed, "catch_up", at_once)]


def serve_before_pins() -> Patches:
    async def started(self: PinFeed) -> None:
        self._tasks.append(spawn(self._follow_always(), name="pins.follow"))

    return [(PinFeed, "start", started)]


# --- repeats


def repeat_by_stage() -> Patches:
    async def now(self: Writing, plan: Write, held: Held, floor: Any) -> Write:
        return plan

    return [(Writing, "_repeated", now)]


def forget_unknown() -> Patches:
    async def dropped(self: Writing, asked: Asked, held: Held | None, outcome: Outcome) -> None:
        if held is not None and outcome is not Outcome.APPLIED:
            await self._repeats.drop(held)

    return [(Writing, "_let_go", dropped)]
