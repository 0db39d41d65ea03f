"""Child processes: start, watch, stop.

Each child is tied to the life of the process that started it (leash.py), has a session of its own, so that a
Ctrl-C in the terminal reaches the sandbox alone and stopping stays in one hand, and writes to one log file.

Trap: the tie follows the *thread* that starts the child. Start children from the main thread (or the event
loop's, where that is the main one), never from a pool: they would die when that worker thread ends.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")
_POLL_SECONDS = 0.02
_GRACE_SECONDS = 10.0


class ChildError(Exception):
    """A child did not do what it was started for. The message names it and its log, never the log's content."""


class ChildDied(ChildError):
    def __init__(self, command: "Command", code: int) -> None:
        super().__init__(f"{command.name} ended with {code}; see {command.log}")
        self.command = command
        self.code = code


class ChildSilent(ChildError):
    def __init__(self, command: "Command", seconds: float) -> None:
        super().__init__(f"{command.name} is not ready after {seconds:g} s; see {command.log}")
        self.command = command


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to start. `environment` is the whole environment, not an addition to ours."""

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """What it gets when we are gone: nobody is left to wait for a graceful stop."""
    user: str = ""
    """Run as this user; root only. Empty: as we are."""
    folder: Path | None = None


@dataclass(frozen=True)
class Child:
    """A started command. It is killed when the thread that started it ends, however that happens."""

    command: Command
    process: "subprocess.Popen[bytes]" = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        """Exit code, None while it runs; minus the signal's number if one ended it."""
        return self.process.poll()

    def wait(self, until: Callable[[], bool], *, within: float) -> None:
        """Block until the condition holds. Raises ChildDied or ChildSilent."""
        deadline = time.monotonic() + within
        while not until():
            self.expect_alive()
            if time.monotonic() > deadline:
                raise ChildSilent(self.command, within)
            time.sleep(_POLL_SECONDS)

    async def wait_async(self, until: Callable[[], Awaitable[bool]], *, within: float) -> None:
        """`wait` for an event loop."""
        deadline = time.monotonic() + within
        while not await until():
            self.expect_alive()
            if time.monotonic() > deadline:
                raise ChildSilent(self.command, within)
            await asyncio.sleep(_POLL_SECONDS)

    def expect_alive(self) -> None:
        """Raises ChildDied if it is not."""
        code = self.code
        if code is not None:
            raise ChildDied(self.command, code)

    async def ended(self) -> int:
        """Wait for its end, however long it runs; answers the exit code."""
        while (code := self.code) is None:  # noqa: ASYNC110 - waitpid has no event short of a thread per child
            await asyncio.sleep(5 * _POLL_SECONDS)
        return code

    def stop(self, *, grace: float = _GRACE_SECONDS) -> int:
        """End it: its stop signal, and after `grace` seconds SIGKILL to its whole session. Answers the exit code."""
        self.ask_to_stop()
        try:
            return self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def ask_to_stop(self) -> None:
        if self.code is None:
            self.process.send_signal(self.command.stop_signal)

    def kill(self) -> None:
        """SIGKILL to it and whatever it started in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def start(command: Command) -> Child:
    """Start it and return at once. Call it from a thread that lives as long as the child shall (see above)."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(_LEASH)),
                *(str(os.getpid()), str(int(command.death_signal)), command.user),
                *command.argv,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(command.environment),
            cwd=command.folder,
            start_new_session=True,
        )
    return Child(command, process)


async def stop_all(children: list[Child], *, grace: float = _GRACE_SECONDS) -> None:
    """Ask all at once, wait for all, kill what is left after `grace` seconds."""
    for child in children:
        child.ask_to_stop()
    try:
        async with asyncio.timeout(grace):
            await asyncio.gather(*(child.ended() for child in children))
    except TimeoutError:
        for child in children:
            child.kill()
        await asyncio.gather(*(child.ended() for child in children))


def last_lines(log: Path, count: int = 15) -> list[str]:
    """The end of a log, for the person who started the sandbox."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-count:]
