"""`Control`: stages, switches of authority and the flags that tell of them (data-rules section 7). What phases will do, in short.

A switch: the closing side takes nothing more (drained); what it has taken is on the other side; then flags, epoch and modes say so.
"""

import asyncio
from collections.abc import Callable

from catalog.stage import Side, Stage
from runtime.flagset import EntityState
from tests.simulation.dice import Dice
from tests.simulation.history import History
from tests.simulation.side import WorldSide
from tests.simulation.view import View

SWITCH_SECONDS = 60.0
"""Then it is undone."""
_LOOK_SECONDS = 0.5
_BELOW = (Stage.LEGACY, Stage.SHADOW, Stage.DUAL_WRITE)
_ABOVE = (Stage.LIVE, Stage.RAMP_DOWN)


class Control:
    """`left`: whether something that a side's log named before is not on the other side yet (a token of `position`)."""

    def __init__(
        self,
        *,
        sides: dict[Side, WorldSide],
        users: list[str],
        state: str,
        dice: Dice,
        history: History,
        publish: Callable[[View], None],
        position: Callable[[Side], Callable[[], bool]],
    ) -> None:
        self._sides = sides
        self._dice = dice
        self._history = history
        self._publish = publish
        self._position = position
        self.state = state
        self.epoch = 1
        self.backfilled = state == "service"
        self.stages = {user: dice.one([*_BELOW, *_ABOVE]) for user in users}
        self.version = 0
        self.view = self._view()
        for side in sides.values():
            side.epochs[side.asset.entity] = self.epoch
        if state == "service":
            self._shut(Side.LEGACY, "mirror_only")
        if state == "legacy":
            self._shut(Side.SERVICE, "closed")

    def _shut(self, side: Side, mode: str) -> None:
        self._sides[side].mode = mode
        self._sides[side].shut = True

    def _view(self) -> View:
        floor = Stage.LIVE if self.state == "service" else Stage.LEGACY
        ceiling = Stage.DUAL_WRITE
        if self.state != "legacy":
            ceiling = Stage.RAMP_DOWN if self.backfilled else Stage.LIVE
        self.version += 1
        state = EntityState(
            floor=floor, ceiling=ceiling, epoch=self.epoch, backfilled=self.backfilled
        )
        return View(version=self.version, entity_state=state, stages=dict(self.stages))

    def tell(self) -> None:
        self.view = self._view()
        self._publish(self.view)

    # --- single users

    def flip(self, user: str) -> None:
        below = self.stages[user] in _BELOW
        self.stages[user] = self._dice.one(_ABOVE if below else _BELOW)
        self.tell()
        self._history.note(
            "control", f"{user} to {self.stages[user]} (flags {self.version}, {self.state})"
        )

    # --- all of them

    async def switch(self, goal: str) -> None:
        was, dice = self.state, self._dice
        if goal == was or (goal == "service" and not self.backfilled):
            return
        self._history.note("control", f"switch {was} to {goal} begins")
        closing = _closing(was, goal)
        self.epoch += 1
        for side in Side:
            if side in closing:
                await self._close(side)
            else:
                await self._sides[side].set_mode(self._sides[side].mode, self.epoch)
        await asyncio.sleep(dice.delay(0.5, 5.0))
        done = await self._arrived(closing)
        self.epoch += 1
        self.state = goal if done else was
        self.tell()
        await self._open_up()
        self._history.note("control", f"switch to {goal} {'done' if done else 'undone'}")

    async def _close(self, side: Side) -> None:
        await self._sides[side].set_mode(
            "mirror_only" if side is Side.LEGACY else "closed", self.epoch
        )
        self._sides[side].shut = True
        self._history.note("control", f"{side} takes nothing more")

    async def _arrived(self, closing: tuple[Side, ...]) -> bool:
        ends = asyncio.get_running_loop().time() + SWITCH_SECONDS
        left = [self._position(side) for side in closing]
        while any(one() for one in left):
            if asyncio.get_running_loop().time() > ends:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _open_up(self) -> None:
        """Under the new epoch: both sides know it before a closed one takes anything again."""
        modes = {Side.LEGACY: "mirror_only", Side.SERVICE: "closed"}
        shut = {"service": Side.LEGACY, "legacy": Side.SERVICE}.get(self.state)
        for side, one in self._sides.items():
            mode = modes[side] if side is shut else "read_write"
            if mode == "read_write":
                one.shut = False
            await one.set_mode(mode, self.epoch)
            if mode != "read_write":
                one.shut = True


def _closing(was: str, goal: str) -> tuple[Side, ...]:
    if goal == "service":
        return (Side.LEGACY,)
    if goal == "legacy":
        return (Side.SERVICE,)
    return (Side.SERVICE,) if was == "service" else (Side.LEGACY,)
