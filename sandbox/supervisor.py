"""Keeps the sandbox's children running.

While the world starts, a child that dies is the end of it. Later it is reported and started again, after a wait that
doubles while it keeps dying; how often is counted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from runtime import tasks
from sandbox.children import Child, ChildDied, Command, start, stop_all

log = structlog.get_logger("sandbox")

FIRST_WAIT = 0.2
LONGEST_WAIT = 10.0
STEADY_SECONDS = 30.0
"""A child that lived so long before it died is not in a crash loop: it waits FIRST_WAIT again."""


@dataclass(kw_only=True)
class Kept:
    """One child by name, whichever process it is at present."""

    command: Command
    child: Child
    url: str = ""
    engine: bool = False
    """Engines are stopped last: the others write to them while they stop."""
    restarts: int = 0
    since: float = field(default_factory=time.monotonic)


class Supervisor:
    """`changed` is called when a process was replaced. Use it from the thread that lives longest (see children.py)."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._watchers: list[asyncio.Task[None]] = []
        self.kept: list[Kept] = []

    async def run(self, command: Command) -> None:
        """Run to its end. Raises ChildDied unless it ends with 0; killed when the caller is cancelled."""
        child = start(command)
        try:
            code = await child.ended()
        finally:
            child.kill()
            child.process.wait()
        if code:
            raise ChildDied(command, code)

    async def start(
        self,
        command: Command,
        ready: Callable[[], Awaitable[bool]],
        *,
        within: float,
        url: str = "",
        engine: bool = False,
    ) -> None:
        """Start it and wait until it is ready. Raises ChildDied or ChildSilent."""
        child = start(command)
        self.kept.append(Kept(command=command, child=child, url=url, engine=engine))
        await child.wait_async(ready, within=within)
        log.info("child.ready", task=command.name, pid=child.pid, file=str(command.log))

    def watch(self) -> None:
        """From now on restart what dies. Raises ChildDied for one that has died already."""
        for kept in self.kept:
            kept.child.expect_alive()
        self._watchers += [
            tasks.spawn(self._keep(kept), name=f"watch {kept.command.name}") for kept in self.kept
        ]

    async def stop(self) -> None:
        """End all, engines last; nothing of ours runs afterwards."""
        await tasks.stop(*self._watchers)
        await stop_all([kept.child for kept in self.kept if not kept.engine])
        await stop_all([kept.child for kept in self.kept if kept.engine])

    async def _keep(self, kept: Kept) -> None:
        wait = FIRST_WAIT
        while True:
            code = await kept.child.ended()
            if time.monotonic() - kept.since > STEADY_SECONDS:
                wait = FIRST_WAIT
            log.error(
                "child.died",
                task=kept.command.name,
                status=code,
                seconds=wait,
                file=str(kept.command.log),
            )
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            kept.child = start(kept.command)
            kept.since = time.monotonic()
            kept.restarts += 1
            log.warning(
                "child.restarted", task=kept.command.name, pid=kept.child.pid, count=kept.restarts
            )
            self._changed()
