"""`World`: one seed and one setting, lived to its end.

Users write and read through gateways that die; movers that die bring versions over; control flips users and switches authority.
When the users are done, everything is healed and whoever died starts again; when nothing is under way any more, the checks are made.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from catalog import assets
from catalog.stage import Side
from migration.version import Version
from routes import resources
from routes.key import Key
from runtime.intent import TOPIC, Intent
from runtime.serviceevent import topic_of
from runtime.tasks import spawn
from tests.fakes.memory_intents import MemoryIntents
from tests.fakes.memory_ledger import MemoryLedger
from tests.fakes.memory_repeats import MemoryRepeats
from tests.fakes.memory_spool import Disk
from tests.simulation.checks import check
from tests.simulation.clients import Client, DirectWriter, GatewayDied, Street
from tests.simulation.control import Control
from tests.simulation.dice import Dice
from tests.simulation.gateway import Engines, WorldGateway
from tests.simulation.history import History, Op
from tests.simulation.log import ProcessLog, WorldLog
from tests.simulation.movers import Bringer, LegacyLog, Mover, Shared
from tests.simulation.process import Process
from tests.simulation.reached import WorldOutbox
from tests.simulation.setting import Setting
from tests.simulation.side import BEGAN, WorldSide, content_of
from tests.simulation.takers import Service, Way
from tests.simulation.view import View

T = TypeVar("T")

ENTITY = "partner_stock_levels"
"""Versioned, with a natural key, and simple columns: what it holds is no matter here."""
PARTNER = "00000000-0000-4000-8000-000000000001"
REST_SECONDS = 1500.0
"""Longest that a healed world may need to come to rest: a stamp 600 seconds ahead, and the retries behind it."""


_KINDS = {"intents": "intent_open", "pins": "pin_open"}


class World:
    """Made inside the loop."""

    def __init__(self, setting: Setting, dice: Dice, history: History) -> None:
        self.setting = setting
        self.dice = dice
        self.history = history
        self._loop = asyncio.get_running_loop()
        self.asset = assets()[ENTITY]
        clock = self._loop.time
        self.log = WorldLog(clock=clock, partitions=setting.partitions)
        self.intents = MemoryIntents(clock)
        self.ledger = MemoryLedger(clock)
        self.outbox = WorldOutbox(self.asset, clock)
        self.sides = {side: self._side(side) for side in Side}
        self.service = Service(self.sides[Side.SERVICE])
        self.shared = Shared(
            asset=self.asset,
            sides=self.sides,
            log=self.log,
            intents=self.intents,
            ledger=self.ledger,
            outbox=self.outbox,
            history=history,
        )
        self.engines = Engines(
            disk=Disk(lambda: not self._healed and dice.chance(setting.disk_full)),
            repeats=MemoryRepeats(clock),
            resource=next(one for one in resources() if one.asset is self.asset),
            history=history,
        )
        self.street = Street(gateways=[], keys=[], through=self._through, log=self.log)
        self.users = [f"user-{n}" for n in range(setting.users)]
        self.control = Control(
            sides=self.sides,
            users=self.users,
            state=setting.start,
            dice=dice,
            history=history,
            publish=self._publish,
            position=self._position,
        )
        self.capture = LegacyLog(
            Mover(self._process("capture", lambda: None, crash=0.0), self.shared),
            self.asset,
            dice,
            twice=setting.twice,
        )
        self._healed = False
        self._processes: list[Process] = []
        self._asked: dict[WorldGateway, dict[asyncio.Future[Any], None]] = {}
        self._starting = 0

    def _side(self, side: Side) -> WorldSide:
        setting, dice = self.setting, self.dice
        skew = 0.0 if dice.chance(0.2) else dice.between(-setting.skew, setting.skew)
        return WorldSide(
            side,
            self.asset,
            dice=dice,
            history=self.history,
            skew=skew,
            tick=setting.tick,
            late_commit=setting.late_commit,
            log=self._legacy_entry if side is Side.LEGACY else self._service_event,
        )

    def _process(
        self, name: str, died: Callable[[], object], *, crash: float | None = None
    ) -> Process:
        setting = self.setting
        return Process(
            name,
            self.dice,
            crash=setting.crash if crash is None else crash,
            lost=setting.lost,
            died=died,
        )

    # --- its life

    async def live(self) -> None:
        await self.log.create(TOPIC)
        await self.log.create(topic_of(ENTITY))
        self._seed_rows()
        for n in range(self.setting.gateways):
            self._start_gateway(f"gateway-{n}")
        for n in range(self.setting.workers):
            self._start_mover(f"worker-{n}")
        work = [*self._clients(), self._control(), *self._by_hand()]
        if self.dice.chance(self.setting.log_down):
            work.append(self._log_away())
        await asyncio.gather(*work)
        self._heal()
        if await self._comes_to_rest():
            check(self.history, self.sides, self._conflicts())
        self.history.conflicts = len(self._conflicts())

    def _seed_rows(self) -> None:
        """What legacy held before; the service has some of it already."""
        for n in range(self.setting.keys):
            key: Key = (PARTNER, "site", f"k{n}")
            self.street.keys.append(key)
            if not self.dice.chance(0.7):
                continue
            op = Op(number=self.street.next_op(), user="before", kind="create", key=key)
            version = Version(
                updated_at=BEGAN - timedelta(seconds=1000 + n),
                origin=Side.LEGACY,
                row_version=1,
                correlation_id=f"before-{n}",
                seen_at=None,
            )
            self.sides[Side.LEGACY].seed(key, version, content_of(op))
            self.history.committed(op, Side.LEGACY, version, (), deleted=False)
            if not self.setting.backfill or self.control.backfilled or self.dice.chance(0.5):
                self.sides[Side.SERVICE].seed(key, version, content_of(op))

    def _clients(self) -> list[Coroutine[Any, Any, None]]:
        setting, dice, history = self.setting, self.dice, self.history
        clients = [Client(user, self.street, setting, dice, history).live() for user in self.users]
        if setting.direct:
            legacy = self.sides[Side.LEGACY]
            clients.append(DirectWriter(legacy, self.street, setting, dice, history).live())
        return clients

    def _by_hand(self) -> list[Coroutine[Any, Any, None]]:
        span, dice = self.setting.span, self.dice
        bringer = Bringer(
            Mover(self._process("by-hand", lambda: None, crash=0.0), self.shared), self.shared, dice
        )
        work = [
            _after(dice.between(0.0, 1.5 * span), bringer.repair)
            for _ in range(self.setting.repairs)
        ]
        if not self.control.backfilled:

            async def backfill() -> None:
                await bringer.backfill()
                self.control.backfilled = True
                self.control.tell()

            work.append(_after(dice.between(0.0, 0.6 * span), backfill))
        return work

    async def _control(self) -> None:
        setting, dice = self.setting, self.dice
        ends = self._loop.time() + setting.span
        switches = dice.number(0, setting.switches)
        while (left := ends - self._loop.time()) > 0.01:
            pause = left
            if setting.flips:
                pause = min(pause, dice.between(0.0, 2 * setting.flips))
            await asyncio.sleep(pause)
            if switches and dice.chance(0.3):
                switches -= 1
                await self.control.switch(dice.one(["legacy", "mixed", "service"]))
            elif setting.flips:
                self.control.flip(dice.one(self.users))

    async def _log_away(self) -> None:
        await asyncio.sleep(self.dice.between(0.0, self.setting.span))
        self.log.away = True
        self.history.note("log", "is away")
        await asyncio.sleep(self.dice.between(0.5, 10.0))
        self.log.away = False
        self.history.note("log", "is back")

    # --- processes

    def _start_gateway(self, name: str) -> None:
        """It begins with the flags of this moment, as from its disk, and hears of newer ones behind that."""
        started: list[WorldGateway] = []
        process = self._process(name, lambda: self._gateway_died(started[0]))
        log = ProcessLog(self.log, process)
        ways = [self._way(process, side) for side in Side]
        view = self.control.view
        one = WorldGateway(
            process, log, self.engines, ways[0], ways[1], self.service, self._open_intents
        )
        started.append(one)
        self._processes.append(process)
        self._asked[one] = {}

        async def begun() -> None:
            await one.start(view)
            await process.live()
            self.street.gateways.append(one)
            if view is not self.control.view:
                self._deliver(one, self.control.view)

        spawn(begun(), name=f"{name}.start")

    def _way(self, process: Process, side: Side) -> Way:
        return Way(process, self.sides[side], self.setting.lost)

    async def _open_intents(self) -> Sequence[Intent]:
        return self.intents.open()

    def _gateway_died(self, one: WorldGateway) -> None:
        name = one.process.name
        self.history.note(name, "dies")
        one.crash()
        if one in self.street.gateways:
            self.street.gateways.remove(one)
        for asked in self._asked.pop(one, {}):
            if not asked.done():
                asked.set_exception(GatewayDied())
        self._starting += 1
        spawn(self._again(lambda: self._start_gateway(name)), name=f"{name}.again")

    async def _again(self, start: Callable[[], None]) -> None:
        await asyncio.sleep(self.dice.delay(0.5, 6.0))
        self._starting -= 1
        start()

    def _start_mover(self, name: str) -> None:
        """Each runs all movers: which of them share a process makes no difference to what they do."""
        started: list[Mover] = []

        def died() -> None:
            self.history.note(name, "dies")
            started[0].crash()
            self._starting += 1
            spawn(self._again(lambda: self._start_mover(name)), name=f"{name}.again")

        mover = Mover(self._process(name, died), self.shared)
        started.append(mover)
        self._processes.append(mover.process)
        stopping = asyncio.Event()
        if self.setting.mirrors:
            spawn(mover.mirror().run(stopping), name=f"{name}.mirror")
        spawn(mover.retries().run(stopping), name=f"{name}.retries")
        if self.setting.nets:
            spawn(mover.relay().run(stopping), name=f"{name}.relay")
            spawn(mover.sync_backfill().run(stopping), name=f"{name}.sync-backfill")

    # --- what ties them together

    async def _through(self, gateway: WorldGateway, work: Coroutine[Any, Any, T]) -> T:
        """A request to a gateway, whose answer breaks off when the gateway dies. Raises GatewayDied, and what `work` raises."""
        asked: asyncio.Future[T] = self._loop.create_future()
        self._asked[gateway][asked] = None

        async def answered() -> None:
            try:
                answer = await work
            except Exception as error:  # noqa: BLE001 - handed on to the client, who knows them
                if not asked.done():
                    asked.set_exception(error)
            else:
                if not asked.done():
                    asked.set_result(answer)

        spawn(answered(), name=f"{gateway.process.name}.request")
        try:
            return await asked
        finally:
            self._asked.get(gateway, {}).pop(asked, None)

    def _publish(self, view: View) -> None:
        for one in self.street.gateways:
            self._deliver(one, view)

    def _deliver(self, one: WorldGateway, view: View) -> None:
        lag = self.dice.between(0.0, 0.5)
        if self.dice.chance(0.15):
            lag = self.dice.between(0.5, 15.0)

        async def delivered() -> None:
            await asyncio.sleep(lag)
            await one.process.live()
            await one.see(view)

        spawn(delivered(), name=f"{one.process.name}.flags")

    def _legacy_entry(self, key: Key, version: Version) -> None:
        if self.setting.nets:
            spawn(self.capture.entry(key), name="capture")

    def _service_event(self, key: Key, version: Version) -> None:
        if self.setting.nets:
            self.outbox.tell(key, version, self.dice.uuid())

    def _position(self, side: Side) -> Callable[[], bool]:
        """Whether the other side still lacks something of what this one holds now."""
        here, there = self.sides[side], self.sides[side.other]
        held = {key: top for key in here.all_keys() if (top := here.top(key))}

        def lacks() -> bool:
            tops = ((there.top(key), top) for key, top in held.items())
            return any(got is None or got.pair < top.pair for got, top in tops)

        return lacks

    def _conflicts(self) -> list[Any]:
        return [one for side in self.sides.values() for one in side.conflicts]

    # --- its end

    def _heal(self) -> None:
        """Nobody dies any more, nothing is lost any more."""
        self._healed = True
        self.log.away = False
        self.history.note("world", "is healed")
        for process in self._processes:
            process.heal()
        for one in self.street.gateways:
            for way in one.ways:
                way.heal()
        self.setting = replace(self.setting, crash=0.0, lost=0.0)
        for side in self.sides.values():
            side.late_commit = 0.0

    async def _comes_to_rest(self) -> bool:
        ends = self._loop.time() + REST_SECONDS
        while left := self._under_way():
            if self._loop.time() > ends:
                kind = _KINDS.get(left[0], "no_rest")
                self.history.violated(kind, ", ".join(left))
                return False
            await asyncio.sleep(1.0)
        return True

    def _under_way(self) -> list[str]:
        """What is not done yet, by name."""
        found = {
            "processes": self._starting > 0 or len(self.street.gateways) < self.setting.gateways,
            "statements": any(side.busy for side in self.sides.values()),
            "spool": len(self.engines.disk) > 0,
            "stream": self._lag("mirror", TOPIC),
            "intents": len(self.intents) > 0,
            "pins": self.setting.mirrors and any(one.pins.open for one in self.street.gateways),
            "capture": self.capture.left > 0,
            "outbox": self.outbox.waiting > 0,
            "events": self.setting.nets and self._lag("sync-backfill", topic_of(ENTITY)),
            "ledger": self.ledger.unsolved > 0,
        }
        return [name for name, there in found.items() if there]

    def _lag(self, group: str, topic: str) -> bool:
        held = self.log.topic(topic)
        return group in held.groups and any(held.lag(group))


async def _after(seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.sleep(seconds)
    await work()
