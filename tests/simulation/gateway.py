"""`WorldGateway`: one gateway process, made of the gateway's own pins, feed, announcer, write path and reader."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from gateway.announcer import Announcer
from gateway.caller import Caller
from gateway.facts import Facts
from gateway.legacy_side import LegacySide
from gateway.pinfeed import PinFeed
from gateway.pinned import pinned_item
from gateway.pins import Pins
from gateway.plan import plan_read
from gateway.read import Answer, Reader
from gateway.repeat_store import RepeatStore
from gateway.response import Response
from gateway.service_side import ServiceSide
from gateway.user import User
from gateway.write import Asked, Deadlines, Place, Sides, Writing
from routes.key import Key
from routes.resource import Resource
from runtime.eventlog.protocol import Message
from runtime.flagsnapshot import Snapshot
from runtime.identity import Identity
from runtime.intent import Intent
from runtime.repeats import Repeatable
from runtime.spool import AppendMany
from tests.fakes.memory_spool import Disk, MemorySpool
from tests.simulation.history import History, Op
from tests.simulation.log import ProcessLog
from tests.simulation.process import Process
from tests.simulation.reached import ReachedRepeats
from tests.simulation.side import STATEMENT_SECONDS
from tests.simulation.takers import WRITE_SECONDS, LegacyTaker, Service, ServiceTaker, Way, path_of
from tests.simulation.view import View

RECORD_KEY = b"one key for all gateways of a world"
DEADLINES = Deadlines(write=WRITE_SECONDS, statement=STATEMENT_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What the gateways of a world share."""

    disk: Disk
    repeats: RepeatStore
    resource: Resource
    history: History


class WorldGateway:
    """Start it. `taken`: the intents that are open in the worker's table."""

    def __init__(
        self,
        process: Process,
        log: ProcessLog,
        engines: Engines,
        legacy: Way,
        service: Way,
        owner: Service,
        taken: Callable[[], Awaitable[Sequence[Intent]]],
    ) -> None:
        self.process = process
        self.view: View | None = None
        self.caught_up_at = 0.0
        """What was in the stream then, is known here."""
        self.ways = (legacy, service)
        self._taken = taken
        self._engines = engines
        self._resource = engines.resource
        self._loop = asyncio.get_running_loop()
        self.spool = MemorySpool(engines.disk)
        self.pins = Pins()
        self.pinfeed = PinFeed(log, self._open_intents, self.pins)  # type: ignore[arg-type]
        self.announcer = Announcer(
            log,  # type: ignore[arg-type]
            _ReachedSpool(process, self.spool),
            clock=self._loop.time,
        )
        self.writing = Writing(
            announcer=self.announcer,
            pins=self.pins,
            repeats=ReachedRepeats(process, engines.repeats),
            record_key=RECORD_KEY,
            deadlines=DEADLINES,
            count=lambda entity, authority, outcome: None,
        )
        self._legacy = LegacyTaker(legacy)
        self._service = ServiceTaker(service, owner)
        self._reader = Reader(
            cast(LegacySide, self._legacy), cast(ServiceSide, self._service), RECORD_KEY
        )

    async def start(self, view: View) -> None:
        """As `gateway.app` does: what has been announced is known before the flags are."""
        self.caught_up_at = self._loop.time()
        await self.announcer.start()
        await self.pinfeed.start()
        self.view = view

    async def see(self, view: View) -> None:
        """As `runtime.documentfeed` takes another document."""
        if self.view is None or view.version <= self.view.version:
            return
        asked_at = self._loop.time()
        await self.pinfeed.catch_up()
        if view.version > self.view.version:
            self._engines.history.note(self.process.name, f"sees flags {view.version}")
            self.view = view
            self.caught_up_at = asked_at

    async def write(self, op: Op, repeat: Repeatable | None, correlation_id: str) -> Response:
        """Raises what `Writing.write` raises."""
        view, caller = self._seen(), caller_of(op.user, correlation_id)
        sides = Sides(
            legacy=partial(self._legacy.write, op, caller),
            service=partial(self._service.write, op, repeat, caller),
        )
        asked = Asked(
            resource=self._resource,
            key=op.key,
            place=Place(stage=view.stage(op.user), scope=""),
            repeat=repeat,
            sides=sides,
        )
        facts = Facts(correlation_id, False, "POST", "")
        return await self.writing.write(asked, caller, cast(Snapshot, view), facts)

    async def read(self, user: str, key: Key, correlation_id: str) -> Answer:
        """As `gateway.pipeline` reads one row. Raises NotFound, UpstreamError."""
        view, caller = self._seen(), caller_of(user, correlation_id)
        asset = self._resource.asset
        plan = plan_read(view.stage(user), backfilled=view.entity_state.backfilled)
        tag = self.writing.user_tag(user)
        sides = self.pins.sides(tag, asset.flag_entity)
        if sides:
            of_row = self.pins.of_row(tag, asset, key)
            return await self._reader.item(
                pinned_item(plan, sides, of_row, self._resource),
                self._resource,
                key,
                path_of(key),
                caller,
                None,
            )
        return await self._reader.item(plan, self._resource, key, path_of(key), caller, None)

    def _seen(self) -> View:
        assert self.view is not None
        return self.view

    async def _open_intents(self) -> Sequence[Intent]:
        """As `gateway.pinfeed.taken_by_worker` asks the control database."""
        return await self.process.call(OSError, self._taken)

    def crash(self) -> None:
        self.spool.close()


class _ReachedSpool:
    """The disk takes time, too, and a process can die while it writes."""

    def __init__(self, process: Process, spool: MemorySpool) -> None:
        self._process = process
        self._spool = spool

    @property
    def waiting(self) -> int:
        return self._spool.waiting

    async def put(self, message: Message) -> None:
        await self._process.travel()
        await self._spool.put(message)
        await self._process.travel()

    async def replay(self, append: AppendMany) -> int:
        await self._process.live()
        return await self._spool.replay(append)

    def close(self) -> None:
        self._spool.close()


def caller_of(user: str, correlation_id: str) -> Caller:
    if user not in _users:
        _users[user] = User(Identity(sub=user), b"")
    return Caller(user=_users[user], correlation_id=correlation_id)


_users: dict[str, User] = {}
