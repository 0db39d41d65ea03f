"""Whoever writes and reads: users through the gateways, and somebody who goes to legacy directly."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.announcer import NotAnnounced
from gateway.repeat_store import StoreUnavailable
from gateway.response import Response
from gateway.written_row import WriteFailed
from routes.key import Key
from routes.refused import Fenced, IdempotencyInFlight, NotFound, Refused
from runtime.intent import Outcome
from runtime.repeats import Repeatable
from runtime.upstream.errors import UpstreamError
from tests.simulation.dice import Dice
from tests.simulation.gateway import DEADLINES, WorldGateway
from tests.simulation.history import History, Op, Written
from tests.simulation.log import FOLLOW_SECONDS, WorldLog
from tests.simulation.setting import Setting
from tests.simulation.side import Aborted, Closed, Statement, WorldSide

_MOST_ATTEMPTS = 6
ASTRAY_SECONDS = DEADLINES.write + DEADLINES.statement + FOLLOW_SECONDS
_MOST_READS = 4
"""Behind one write."""


class GatewayDied(Exception):
    """The connection broke: the client knows nothing."""


@dataclass(kw_only=True)
class Street:
    """What clients find: the gateways that live, the keys that everybody knows, the numbers of requests."""

    gateways: list[WorldGateway]
    keys: list[Key]
    through: Callable[..., object]
    log: WorldLog
    takers: dict[str, WorldGateway] = field(default_factory=dict)
    """By correlation id."""
    ops: int = 0
    requests: int = 0

    async def gateway(self, dice: Dice) -> WorldGateway:
        """One that lives, sooner or later."""
        while True:
            if self.gateways:
                return dice.one(self.gateways)
            await asyncio.sleep(0.5)

    def blind(self, gateway: WorldGateway, mine: Written | None) -> bool:
        """Whether the gateway need not know the pin of a write (docs/simulation.md): the stream was away when it took its flags,
        the intent waits on a disk, or it was announced behind those flags and the gateway has not read so far yet."""
        if mine is None:
            return False
        id_ = str(mine.version.correlation_id)
        if self.takers.get(id_) is gateway:
            return False
        at = self.log.announced.get(id_)
        if at is None or gateway.pinfeed.behind:
            return True
        return at > gateway.caught_up_at and self.log.clock() - at < FOLLOW_SECONDS + 1.0

    def next_op(self) -> int:
        self.ops += 1
        return self.ops

    def correlation(self) -> str:
        self.requests += 1
        return f"request-{self.requests:06}"


class Client:
    """One user."""

    def __init__(
        self, user: str, street: Street, setting: Setting, dice: Dice, history: History
    ) -> None:
        self.user = user
        self._street = street
        self._setting = setting
        self._dice = dice
        self._history = history
        self._last: dict[Key, Written] = {}
        """The last acknowledged write, by key."""
        self._astray: dict[Key, float] = {}
        """Until when a write that went where the row's last one is not may lead reads and writes astray, too."""
        self._tags: dict[Key, str] = {}
        """The tags that were last shown."""

    async def live(self) -> None:
        for _ in range(self._dice.number(1, self._setting.ops)):
            await asyncio.sleep(self._dice.between(0.0, 2 * self._setting.span / self._setting.ops))
            op = self._new_op()
            if self._dice.chance(0.3):
                await self.read(op.key)
            await self._do(op)
            for _ in range(_MOST_READS):
                if not self._dice.chance(self._setting.reads):
                    break
                await asyncio.sleep(self._dice.delay(0.2, 3.0))
                await self.read(self._dice.one([op.key, *self._last]))

    def _new_op(self) -> Op:
        dice, number = self._dice, self._street.next_op()
        kind = dice.weighted(["change", "create", "delete"], [6, 2.5, 1.5])
        key = dice.one(self._street.keys)
        derived = kind == "create" and dice.chance(0.4)
        if derived:
            key = (*key[:2], f"op-{number}")
            self._street.keys.append(key)
        if_match = ""
        if kind != "create" and dice.chance(self._setting.if_match):
            if_match = self._tags.get(key, "")
        return Op(
            number=number, user=self.user, kind=kind, key=key, derived=derived, if_match=if_match
        )

    async def _do(self, op: Op) -> None:
        """Until it is known how it ended, or the user gives up."""
        repeat = None
        if op.kind == "create" or self._dice.chance(0.8):
            content = f"{op.kind} {op.key} {op.number} {op.if_match}".encode()
            repeat = Repeatable(
                sub=self.user, route=op.kind, key=f"key-{op.number}", fingerprint=content
            )
        before = self._last.get(op.key)
        for _ in range(_MOST_ATTEMPTS):
            ended = await self._attempt(op, repeat, before)
            if ended or repeat is None:
                return
            await asyncio.sleep(self._dice.delay(0.5, self._setting.patience))

    async def _attempt(self, op: Op, repeat: Repeatable | None, before: Written | None) -> bool:
        """Whether the user knows how it ended. The only place where something is acknowledged."""
        gateway = await self._street.gateway(self._dice)
        correlation_id = self._street.correlation()
        self._street.takers[correlation_id] = gateway
        if self._street.blind(gateway, before):
            self._astray[op.key] = self._street.log.clock() + ASTRAY_SECONDS
        if self._street.log.clock() < self._astray.get(op.key, 0.0):
            before = None
        self._history.note(
            gateway.process.name,
            f"{self.user} {op.kind} {op.key[-1]} op {op.number} as {correlation_id}",
        )
        try:
            answer: Response = await self._street.through(  # type: ignore[misc]
                gateway, gateway.write(op, repeat, correlation_id)
            )
        except (Fenced, IdempotencyInFlight, NotAnnounced, StoreUnavailable) as error:
            self._history.note(gateway.process.name, f"op {op.number}: {type(error).__name__}")
            return False
        except (WriteFailed, GatewayDied) as error:
            self._history.note(gateway.process.name, f"op {op.number}: {error!r}")
            return isinstance(error, WriteFailed) and error.outcome is Outcome.APPLIED
        except Refused as error:
            self._history.note(gateway.process.name, f"op {op.number}: {type(error).__name__}")
            return True
        if answer.status < 400:
            self._acknowledged(op, answer.body.decode(), before)
        return True

    def _acknowledged(self, op: Op, correlation_id: str, before: Written | None) -> None:
        written = self._history.by_correlation.get(correlation_id)
        if written is None or written.op is not op:
            self._history.violated("wrong_answer", f"op {op.number} was told of {written}")
            return
        self._history.note(self.user, f"has heard of {written}")
        self._history.acked[op.number] = written
        if before is not None:
            self._history.order.append((before, written))
        self._last[op.key] = written

    async def read(self, key: Key) -> None:
        """What was acknowledged before is never unseen."""
        gateway, mine = await self._street.gateway(self._dice), self._last.get(key)
        if self._street.blind(gateway, mine):
            mine = None
        if self._street.log.clock() < self._astray.get(key, 0.0):
            mine = None
        try:
            answer = await self._street.through(  # type: ignore[misc]
                gateway, gateway.read(self.user, key, self._street.correlation())
            )
        except NotFound:
            self._check_absence(gateway, key, mine)
            return
        except (UpstreamError, GatewayDied):
            return
        self._history.reads += 1
        if self._street.blind(gateway, mine):
            mine = None
        shown = self._history.by_correlation[answer.body.decode()]
        self._tags[key] = answer.etag
        if mine is not None and shown.version.pair < mine.version.pair:
            self._stale(gateway, f"{self.user} was shown {shown} behind {mine}")

    def _check_absence(self, gateway: WorldGateway, key: Key, mine: Written | None) -> None:
        self._history.reads += 1
        if mine is None or mine.deleted or self._street.blind(gateway, mine):
            return
        graves = [one for one in self._history.of_key(key) if one.deleted]
        if not any(one.version.pair > mine.version.pair for one in graves):
            self._stale(gateway, f"{self.user} was shown nothing behind {mine}")

    def _stale(self, gateway: WorldGateway, detail: str) -> None:
        self._history.violated("stale_read", f"{gateway.process.name}: {detail}")


class DirectWriter:
    """Legacy's own SQL, past the gateway: nobody announces it, only legacy's log tells."""

    def __init__(
        self, legacy: WorldSide, street: Street, setting: Setting, dice: Dice, history: History
    ) -> None:
        self._legacy = legacy
        self._street = street
        self._setting = setting
        self._dice = dice
        self._history = history

    async def live(self) -> None:
        for _ in range(self._dice.number(0, self._setting.ops)):
            await asyncio.sleep(self._dice.between(0.0, 2 * self._setting.span / self._setting.ops))
            kind = self._dice.weighted(["change", "create", "delete"], [6, 2, 1.5])
            key = self._dice.one(self._street.keys)
            op = Op(number=self._street.next_op(), user="direct", kind=kind, key=key)
            statement = Statement(op=op, correlation_id=self._street.correlation())
            try:
                written = await self._legacy.write(statement)
            except (Closed, Aborted):
                continue
            if written is not None:
                self._history.acked[op.number] = written
