"""`Process`: what dies at once. None of its tasks goes on, and no `finally` of it runs; what it held in memory is gone.

Every call that leaves a process goes through `call`: there it takes time, there it is lost, and there the process dies, before
the other end has done its part or after it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

from tests.simulation.dice import Dice

P = ParamSpec("P")
T = TypeVar("T")

TRAVEL_SECONDS = 0.01
LONG_TRAVEL_SECONDS = 0.3
SLOW_SHARE = 0.35
"""Of ways that take any time: each is a turn of the loop."""


class Process:
    """`name` is for traces. `died` is called once."""

    def __init__(
        self, name: str, dice: Dice, *, crash: float, lost: float, died: Callable[[], object]
    ) -> None:
        self.name = name
        self.dice = dice
        self.alive = True
        self._crash = crash
        self._lost = lost
        self._died = died

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            self._died()

    def heal(self) -> None:
        """From now on it does not die by itself, and nothing is lost on its ways."""
        self._crash = self._lost = 0.0

    async def call(
        self,
        trouble: Callable[[], Exception],
        act: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """What `act` says. Raises `trouble()` where the request or the answer is lost: nobody here knows which it was."""
        await self.travel()
        if self.dice.chance(self._lost):
            raise trouble()
        answer = await act(*args, **kwargs)
        await self.travel()
        if self.dice.chance(self._lost):
            raise trouble()
        return answer

    async def travel(self) -> None:
        """One way."""
        if self.alive and self.dice.chance(self._crash):
            self.kill()
        if self.alive and self.dice.chance(SLOW_SHARE):
            await asyncio.sleep(self.dice.delay(TRAVEL_SECONDS, LONG_TRAVEL_SECONDS))
        await self.live()

    async def live(self) -> None:
        """Goes on only if the process does."""
        if not self.alive:
            await never()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.live()


async def never() -> NoReturn:
    """What the dead wait for. The world's end cancels it."""
    nothing: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await nothing
    raise AssertionError("nobody resolves this")
