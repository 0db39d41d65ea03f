"""`VirtualLoop`: an event loop whose clock stands still while anything can run, and then jumps to the next timer.

No sockets, no threads, no wall clock: what runs on it runs in the same order every time.

Stuck
  Deadlock   nothing can run, no timer is set, and tasks wait: the error names them
  Livelock   something runs again and again, and the clock does not move
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_RESOLUTION = 1e-9


_MOST_TURNS = 100_000
"""Of the loop, at one instant."""


class Stuck(Exception):
    """It names the tasks that there are."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(", ".join(tasks))
        self.tasks = tasks


class Deadlock(Stuck):
    """Nobody will ever wake these tasks."""


class Livelock(Stuck):
    """One of these tasks never waits."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Its own selector: instead of waiting for sockets, it moves the clock."""

    _scheduled: list[asyncio.TimerHandle]
    """asyncio's own heap of timers."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self
        self._clock_resolution = _RESOLUTION
        self._turns = 0

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> Sequence[Any]:
        """What the loop asks when it has looked at what can run: None means that nothing can, and that no timer is set."""
        if timeout is None:
            raise Deadlock(self._names())
        if timeout > 0:
            self._now = max(self._now, self._scheduled[0].when())
            self._turns = 0
        self._turns += 1
        if self._turns > _MOST_TURNS:
            self._turns = 0
            raise Livelock(self._names())
        return ()

    def _names(self) -> Sequence[str]:
        return sorted(task.get_name() for task in asyncio.all_tasks(self))

    def _process_events(self, event_list: Sequence[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work` on a loop of its own. What still waits when it ends is cancelled. Raises Deadlock."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        _end(loop)


def _end(loop: VirtualLoop) -> None:
    """Cancels what is left until nothing is: a cancelled task may have begun others."""
    while left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=1.0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
