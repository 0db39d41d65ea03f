"""`Spool`: entries for the event log that wait on this machine's disk while it cannot be reached.

What `put` has returned from survives a kill and a power cut; `replay` brings it into the log, in order, and forgets it
only then. Each process writes a file of its own, and takes over those of processes that have died.

SpoolFailed   the disk does not take it either: nothing is announced
"""

import asyncio
import base64
import fcntl
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import orjson
import structlog

from runtime.correlation import uuid7
from runtime.eventlog.protocol import Message
from runtime.recordfile import RecordFile

log = structlog.get_logger("spool")

AppendMany = Callable[[Sequence[Message]], Awaitable[object]]
_AT_ONCE = 500


class SpoolFailed(Exception):
    """Full, read-only, or gone."""


class Spool:
    """One process's own file in a folder that several share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: RecordFile | None = None
        self._path = folder / f"{uuid7()}.spool"
        self._lock = -1
        self._waiting = 0
        self._turn = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Entries of this process that are not in the log yet."""
        return self._waiting

    async def put(self, message: Message) -> None:
        """Returns when the entry is on the disk. Raises SpoolFailed."""
        async with self._turn:
            try:
                file = self._open()
                file.append(_line(message))
                await asyncio.to_thread(file.sync_job())
            except OSError as error:
                raise SpoolFailed(type(error).__name__) from None
            self._waiting += 1

    async def replay(self, append: AppendMany) -> int:
        """Everything that waits, this process's and that of dead ones; how many entries. Raises what `append` raises.

        An entry may arrive twice: the file goes when all of it is in the log.
        """
        async with self._turn:
            done = 0
            if self._waiting:
                done += await self._bring(self._path, append)
                self._close()
                os.unlink(self._path)
                self._waiting = 0
            for path in sorted(self._folder.glob("*.spool")):
                done += await self._inherit(path, append)
        return done

    def close(self) -> None:
        """What waits stays on the disk, for whoever comes next."""
        self._close()

    async def _inherit(self, path: Path, append: AppendMany) -> int:
        """The file of a process that has died: nobody holds its lock."""
        if path == self._path:
            return 0
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return 0
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            done = await self._bring(path, append)
            os.unlink(path)
        except BlockingIOError:
            return 0
        finally:
            os.close(handle)
        return done

    async def _bring(self, path: Path, append: AppendMany) -> int:
        messages = _read(path)
        for start in range(0, len(messages), _AT_ONCE):
            await append(messages[start : start + _AT_ONCE])
        if messages:
            log.info("spool.replayed", entries=len(messages))
        return len(messages)

    def _open(self) -> RecordFile:
        if self._file is None:
            self._file = RecordFile(self._path)
            self._lock = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            os.close(self._lock)
            self._file, self._lock = None, -1


def _line(message: Message) -> bytes:
    parts = {"topic": message.topic, "key": _b64(message.key), "value": _b64(message.value)}
    return orjson.dumps(parts) + b"\n"


def _read(path: Path) -> list[Message]:
    """Whole lines; the last one may be torn, if its writer died in it: then nothing had been promised for it."""
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            parts = orjson.loads(line)
            found.append(
                Message(
                    topic=parts["topic"],
                    key=base64.b64decode(parts["key"]),
                    value=base64.b64decode(parts["value"]),
                )
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            if line:
                log.warning("spool.torn_line")
    return found


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
