"""`Changes`: who waits in this process for a row to change, and the one connection on which PostgreSQL tells of changes.

A trigger notifies the channel `<schema>.<table>` with a row's key (diagnostics/migrations/0130_waits.sql). Nobody relies on
that alone: a waiter looks at its row after it has registered, and while the connection is lost it looks once a second.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg
import structlog

from runtime.postgres import POSTGRESQL

log = structlog.get_logger("service.changes")

MOST_WAITERS = 1000
POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 5.0
"""How long a connection that has died without a word is believed, and then half as long again for an answer."""


class Waiter:
    """One that waits. Look at the row first, and again after each `wait`."""

    def __init__(self, changes: "Changes") -> None:
        self._changes = changes
        self._told = asyncio.Event()

    def tell(self) -> None:
        self._told.set()

    async def wait(self, seconds: float) -> None:
        """Until the row has changed, or may have, or `seconds` are over."""
        longest = seconds if self._changes.listening else min(seconds, POLL_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), longest)
        # Before the look that follows: a change that comes during it is told once more.
        self._told.clear()


class Changes:
    """Of one service's tables, by channel and key. `run` it as a task; without it, waiters poll."""

    def __init__(
        self, dsn: str, channels: Sequence[str], *, name: str, most: int = MOST_WAITERS
    ) -> None:
        self._most = most
        self._dsn = dsn
        self._channels = channels
        self._name = name
        self._waiters: dict[tuple[str, str], set[Waiter]] = {}
        self.listening = False
        self.waiting = 0

    @contextmanager
    def waiter(self, channel: str, key: str) -> Iterator[Waiter | None]:
        """Registered until the block ends; None if too many wait already."""
        if self.waiting >= self._most:
            yield None
            return
        waiter, place = Waiter(self), (channel, key)
        self._waiters.setdefault(place, set()).add(waiter)
        self.waiting += 1
        try:
            yield waiter
        finally:
            self.waiting -= 1
            self._waiters[place].discard(waiter)
            if not self._waiters[place]:
                del self._waiters[place]

    async def run(self) -> None:
        """Listens, for ever, and again when the connection is lost."""
        while True:
            try:
                await self._listen()
            except POSTGRESQL:
                log.warning("changes.lost", service=self._name)
            finally:
                self._heard(listening=False)
            await asyncio.sleep(POLL_SECONDS)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            server_settings={"application_name": f"{self._name} changes"},
            command_timeout=HEARTBEAT_SECONDS / 2,
            timeout=HEARTBEAT_SECONDS,
        )
        closed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: closed.set())
            for channel in self._channels:
                await connection.add_listener(channel, self._changed)
            self._heard(listening=True)
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(closed.wait(), HEARTBEAT_SECONDS)
                await connection.execute("select 1")
        finally:
            connection.terminate()

    def _heard(self, *, listening: bool) -> None:
        """What happened in between is not known: everybody looks again, and waits in the new way."""
        self.listening = listening
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.tell()

    def _changed(self, connection: Any, pid: int, channel: str, key: object) -> None:
        for waiter in self._waiters.get((channel, str(key)), ()):
            waiter.tell()
