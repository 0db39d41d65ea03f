"""`Lanes`: work that goes on side by side in lanes, and within one lane one batch after the other.

What one lane waits for (a database that does not answer) holds up no other. While a batch is under way, what comes for its
lane waits and goes together; an item that comes again meanwhile is one item, as it came last.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from runtime.tasks import spawn

Lane = TypeVar("Lane", bound=Hashable)
Item = TypeVar("Item")


class Lanes(Generic[Lane, Item]):
    """`work` handles its own failures: what it raises is the end of it all, and `add` and `drain` raise it, too."""

    def __init__(
        self, work: Callable[[Lane, Sequence[Item]], Awaitable[None]], *, most: int
    ) -> None:
        self._work = work
        self._most = most
        self._died: BaseException | None = None
        self._waiting: dict[Lane, dict[str, Item]] = {}
        self._busy: dict[Lane, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Items that wait for their batch."""
        return sum(map(len, self._waiting.values()))

    def add(self, lane: Lane, items: Mapping[str, Item]) -> None:
        """By id."""
        self.expect_alive()
        if not items:
            return
        self._waiting.setdefault(lane, {}).update(items)
        if lane not in self._busy:
            self._busy[lane] = spawn(self._run(lane), name="lane", on_death=self._remember)

    async def drain(self) -> None:
        """Until nothing waits and nothing is under way."""
        while self._busy:
            await asyncio.wait(self._busy.values())
        self.expect_alive()

    def expect_alive(self) -> None:
        if self._died is not None:
            raise self._died

    def _remember(self, cause: BaseException) -> None:
        self._died = cause

    async def _run(self, lane: Lane) -> None:
        try:
            while waiting := self._waiting.pop(lane, None):
                batch = dict(list(waiting.items())[: self._most])
                rest = {id_: item for id_, item in waiting.items() if id_ not in batch}
                if rest:
                    self._waiting[lane] = rest
                await self._work(lane, list(batch.values()))
        finally:
            del self._busy[lane]
