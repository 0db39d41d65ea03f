"""A gateway's spool in memory, with the promises of `runtime.spool.Spool`; the disk outlives whoever writes to it."""

import asyncio
from collections.abc import Callable

from runtime.eventlog.protocol import Message
from runtime.spool import AppendMany, SpoolFailed

AT_ONCE = 500


class Disk:
    """Of one machine. `full` is asked at each entry."""

    def __init__(self, full: Callable[[], bool] = lambda: False) -> None:
        self.full = full
        self.spools: list[MemorySpool] = []

    def __len__(self) -> int:
        return sum(len(spool.messages) for spool in self.spools)


class MemorySpool:
    """One process's own entries. `close` is what its death does, too: then another one takes them over."""

    def __init__(self, disk: Disk) -> None:
        self.messages: list[Message] = []
        self._disk = disk
        self._open = True
        self._heir: MemorySpool | None = None
        self._turn = asyncio.Lock()
        disk.spools.append(self)

    @property
    def waiting(self) -> int:
        return len(self.messages)

    async def put(self, message: Message) -> None:
        async with self._turn:
            if self._disk.full():
                raise SpoolFailed("OSError")
            self.messages.append(message)

    async def replay(self, append: AppendMany) -> int:
        async with self._turn:
            done = await self._bring(append)
            for other in list(self._disk.spools):
                if not other.left or other not in self._disk.spools:
                    continue
                other._heir = self
                try:
                    done += await other._bring(append)
                    self._disk.spools.remove(other)
                finally:
                    other._heir = None
        return done

    @property
    def left(self) -> bool:
        """Nobody who lives holds it."""
        return not self._open and (self._heir is None or not self._heir._open)

    async def _bring(self, append: AppendMany) -> int:
        whole = len(self.messages)
        for start in range(0, whole, AT_ONCE):
            await append(self.messages[start : start + AT_ONCE])
        self.messages.clear()
        return whole

    def close(self) -> None:
        self._open = False
