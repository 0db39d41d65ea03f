"""`Mirror`: the worker of intents. Announced writes in, settled writes out (data-rules section 3).

    stream -> control.intents -> the stream is acknowledged -> converge from the side that was written -> settled

An outcome is worked on as soon as it is heard; everything else (no outcome, trouble) when its time comes, which the table says.
Intents go side by side by the side that spoke and the service concerned, so that a database that does not answer holds up its
own rows alone; in between, parents go before their children.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import structlog

from catalog import assets
from catalog.service import Service
from catalog.stage import Side
from migration.delivery import Delivery
from migration.intents import Announced, IntentStore, OpenIntent
from migration.lanes import Lanes
from migration.store import Store, StoreError
from routes.key import Key
from runtime.eventlog.errors import EventLogError, Fenced, PartitionMismatch
from runtime.eventlog.protocol import GATHER_SECONDS, Consumer, Entry, EventLog, Message
from runtime.failpoint import reach
from runtime.flagstore import StoreUnavailable
from runtime.intent import TOPIC, Closed, Intent, NotSaid, Settled, decode, encode, stream_key

log = structlog.get_logger("mirror")

GROUP = "mirror"
_AT_ONCE = 500
_POLL_SECONDS = 0.25
"""Longest wait for an entry, and so the pause between two looks for what is due."""
_AGAIN_SECONDS = 0.5
_UNKNOWN_ENTITY_SECONDS = 60.0
_MOST_WAITING = 4 * _AT_ONCE

Lane: TypeAlias = tuple[Side, Service]


class Mirror:
    """One worker; several share the partitions of the stream."""

    def __init__(
        self,
        *,
        events: EventLog,
        intents: IntentStore,
        delivery: Delivery,
        stores: Mapping[Side, Store],
        member: str = "mirror",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = events
        self._intents = intents
        self._delivery = delivery
        self._stores = stores
        self._member = member
        self._sleep = sleep
        self._lanes: Lanes[Lane, OpenIntent] = Lanes(self._lane, most=_AT_ONCE)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until it is told to stop; then what is under way is finished."""
        while not stopping.is_set():
            try:
                await self._log.create(TOPIC)
                async with self._log.consumer(GROUP, [TOPIC], member=self._member) as consumer:
                    while not stopping.is_set():
                        await self.step(consumer)
            except PartitionMismatch:
                raise
            except (EventLogError, StoreUnavailable) as error:
                # What was polled and not kept comes again to whoever joins: it was not acknowledged.
                log.warning("mirror.interrupted", exc_info=error)
                await self._sleep(_AGAIN_SECONDS)
        await self.rest()

    async def rest(self) -> None:
        """Until nothing of what was handed out is under way."""
        await self._lanes.drain()

    async def step(self, consumer: Consumer) -> None:
        """One poll, and what has become due. Raises EventLogError, StoreUnavailable: then join anew."""
        self._lanes.expect_alive()
        if len(self._lanes) < _MOST_WAITING:
            entries = await consumer.poll(_AT_ONCE, wait_seconds=_POLL_SECONDS)
            self._hand_out(await self.take(consumer, entries))
            if entries:
                await self._sleep(GATHER_SECONDS)
        else:
            await self._sleep(_POLL_SECONDS)
        held = [partition for _, partition in consumer.partitions]
        self._hand_out(await self._intents.due(held, _AT_ONCE))

    async def take(self, consumer: Consumer, entries: Sequence[Entry]) -> Sequence[OpenIntent]:
        """Keeps what the stream says, and acknowledges it; answers those whose outcome has come."""
        if not entries:
            return ()
        said = [(entry.partition, _said(entry)) for entry in entries]
        ripe = await self._intents.take(
            [Announced(intent=s, partition=p) for p, s in said if isinstance(s, Intent)],
            [s for _, s in said if isinstance(s, Closed)],
        )
        try:
            await consumer.commit(entries)
        except Fenced as fenced:
            log.warning("mirror.fenced", count=len(fenced.partitions))
        return ripe

    def _hand_out(self, found: Sequence[OpenIntent]) -> None:
        for open_ in found:
            asset = assets().get(open_.intent.entity)
            service = asset.service if asset else next(iter(Service))
            self._lanes.add((open_.intent.authority, service), {open_.intent.id: open_})

    async def _lane(self, lane: Lane, batch: Sequence[OpenIntent]) -> None:
        try:
            await self.settle(lane[0], batch)
        except PartitionMismatch:
            raise
        except (EventLogError, StoreUnavailable) as error:
            log.warning("mirror.not_settled", side=lane[0], count=len(batch), exc_info=error)

    # --- one batch

    async def settle(self, side: Side, batch: Sequence[OpenIntent]) -> None:
        """Brings what these writes made of their rows to the other side, and settles those that can be settled.

        Raises EventLogError, StoreUnavailable: then nothing is lost, they become due again.
        """
        settled: list[OpenIntent] = []
        later: dict[str, float | None] = {}
        for entity in _in_order(batch, later):
            own = [one for one in batch if one.intent.entity == entity]
            rows = await self._rows(entity, side, own, later)
            keys = [key for keys in rows.values() for key in keys]
            late = await self._delivery.run(entity, keys, side) if keys else {}
            for one in own:
                if one.intent.id in later:
                    continue
                waits = [late[key] for key in rows[one.intent.id] if key in late]
                if waits:
                    later[one.intent.id] = max(waits)
                elif one.settles:
                    settled.append(one)
                else:
                    later[one.intent.id] = None
        reach("M1")
        await self._tell([one.intent for one in settled])
        await self._intents.remove([one.intent.id for one in settled])
        await self._intents.put_off(later)

    async def _rows(
        self,
        entity: str,
        side: Side,
        own: Sequence[OpenIntent],
        later: dict[str, float | None],
    ) -> Mapping[str, Sequence[Key]]:
        """By intent the keys of the rows that its write may have changed: none if it came to nothing."""
        found: dict[str, Sequence[Key]] = {}
        for one in own:
            if one.key is not None:
                found[one.intent.id] = [one.key]
            elif one.settles and not one.came_to_nothing:
                await self._look_up(entity, side, one, found, later)
            else:
                found[one.intent.id] = []
        return found

    async def _look_up(
        self,
        entity: str,
        side: Side,
        one: OpenIntent,
        found: dict[str, Sequence[Key]],
        later: dict[str, float | None],
    ) -> None:
        """The authority numbered the row, if there is one, and nobody heard how: its correlation id tells."""
        try:
            keys = await self._stores[side].made_by(assets()[entity], one.intent.correlation_id)
            found[one.intent.id] = sorted(keys)
        except StoreError as error:
            log.warning("mirror.not_looked_up", entity=entity, side=side, reason=error.code)
            found[one.intent.id] = []
            later[one.intent.id] = _AGAIN_SECONDS

    async def _tell(self, settled: Sequence[Intent]) -> None:
        """Before the intents are removed: a crash in between says it again."""
        if settled:
            await self._log.append_many(
                [
                    Message(topic=TOPIC, key=stream_key(one), value=encode(Settled(id=one.id)))
                    for one in settled
                ]
            )


def _said(entry: Entry) -> Intent | Closed | Settled | None:
    try:
        return decode(entry.value)
    except NotSaid:
        log.warning("mirror.unknown_entry", topic=entry.topic)
        return None


def _in_order(batch: Sequence[OpenIntent], later: dict[str, float | None]) -> Sequence[str]:
    """The entities of a batch, parents first. What another version of the catalog has announced is for that version."""
    for one in batch:
        if one.intent.entity not in assets():
            log.warning("mirror.unknown_entity")
            later[one.intent.id] = _UNKNOWN_ENTITY_SECONDS
    named = {one.intent.entity for one in batch}
    return [entity for entity in assets() if entity in named]
