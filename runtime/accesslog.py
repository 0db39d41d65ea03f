"""The PHI access record's sink: every record is in the file before its answer's last byte leaves (decisions.md 34).

Records of one turn of the event loop go out with one write(2). A killed process loses nothing that was written; a machine
that loses power, at most about a second (fdatasync in a thread). What cannot be written is told to whoever waits for it,
who then must not answer; the next record tries again.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import structlog

from runtime.recordfile import RecordFile

log = structlog.get_logger("accesslog")

MOST_BYTES: Final = 256 * 1024 * 1024
PATIENCE_SECONDS: Final = 0.005
"""How long a record for which nobody waits in front of a socket waits for company."""


class Waiter(Protocol):
    """Whoever may answer only once the record is there."""

    def recorded(self, ok: bool) -> None:
        """Called once per record, in a later turn of the event loop than `append`. False: there is no record of it."""


class AccessLog:
    """Files `<name>-<UTC start>-<pid>.jsonl`, then `….1.jsonl` and so on, each of `most_bytes` at most unless one turn writes
    more. All calls need the running event loop; times in seconds.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        most_bytes: int = MOST_BYTES,
        sync_every: float = 1.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        open_file: Callable[[Path], RecordFile] = RecordFile,
    ) -> None:
        self._folder = folder
        self._name = name
        self._most_bytes = most_bytes
        self._sync_every = sync_every
        self._clock = clock
        self._open_file = open_file
        self._stem = ""
        self._rotations = 0
        self._file: RecordFile | None = None
        self._lines: list[bytes] = []
        self._ends_turn = False
        """The end of this turn of the loop will write them."""
        self._patience: asyncio.TimerHandle | None = None
        self._waiters: list[Waiter | None] = []
        self._disk = _Disk(self._synced)
        self._sync_timer: asyncio.TimerHandle | None = None
        self._unsynced = False
        self._writes = True
        self._syncs = True
        self.records = 0
        """Written since the start."""
        self.lost = 0
        """Could not be written, since the start; their requests were not answered."""

    @property
    def healthy(self) -> bool:
        """Whether the last write and the last sync worked."""
        return self._writes and self._syncs

    def open(self) -> None:
        """Make the first file now, to fail at start rather than at the first request. Raises OSError."""
        self._file = self._file or self._open_file(self._path())

    def append(self, line: bytes, waiter: Waiter | None) -> None:
        """One record, without its newline. No waiter where nobody is answered: the caller has left."""
        if not self._ends_turn:
            self._ends_turn = True
            asyncio.get_running_loop().call_soon(self._end_turn)
        self._lines.append(line)
        self._waiters.append(waiter)

    def append_patient(self, line: bytes, waiter: Waiter | None) -> None:
        """The same, written with the next record that somebody is waiting for, or after PATIENCE_SECONDS."""
        if not self._ends_turn and self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE_SECONDS, self._end_patience)
        self._lines.append(line)
        self._waiters.append(waiter)

    def close(self) -> None:
        """Write what is pending, sync, close. Blocks until the disk has it."""
        self._write()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._sync_timer is not None:
            self._sync_timer.cancel()
            self._sync_timer = None
        self._disk.finish()
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.sync_job()()
        except OSError as error:
            self._syncs = self._failed("accesslog.sync_failed", error)
        file.close()

    # --- write

    def _end_turn(self) -> None:
        self._ends_turn = False
        self._write()
        self._sync_later()

    def _end_patience(self) -> None:
        """The timer stays where its records have gone out with others: one is enough for all that come until it is over."""
        self._patience = None
        self._end_turn()

    def _write(self) -> None:
        lines, waiters = self._lines, self._waiters
        if not lines:
            return
        self._lines, self._waiters = [], []
        ok = self._written(lines)
        for waiter in waiters:
            if waiter is None:
                continue
            try:
                waiter.recorded(ok)
            except Exception:  # the others of this turn still have to be told
                log.exception("accesslog.waiter_failed")

    def _written(self, lines: list[bytes]) -> bool:
        data = b"\n".join([*lines, b""])
        try:
            self._file_for(len(data)).append(data)
        except OSError as error:
            self.lost += len(lines)
            self._writes = self._failed("accesslog.write_failed", error)
            self._leave_file()
            return False
        self.records += len(lines)
        self._unsynced = True
        if not self._writes:
            self._writes = True
            log.warning("accesslog.writes_again", count=self.lost)
        return True

    def _file_for(self, size: int) -> RecordFile:
        file = self._file
        if file is not None and file.size > 0 and file.size + size > self._most_bytes:
            self._rotate(file)
            file = None
        if file is None:
            file = self._file = self._open_file(self._path())
        return file

    def _path(self) -> Path:
        if not self._stem:
            started = self._clock().strftime("%Y%m%dT%H%M%S.%fZ")
            self._stem = f"{self._name}-{started}-{os.getpid()}"
        part = f".{self._rotations}" if self._rotations else ""
        return self._folder / f"{self._stem}{part}.jsonl"

    def _rotate(self, file: RecordFile) -> None:
        self._disk.sync(file)
        self._leave_file()
        self._rotations += 1

    def _leave_file(self) -> None:
        """The next write opens it, or its successor."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _failed(self, event: str, error: OSError) -> bool:
        if self.healthy:
            log.error(event, exc_info=error)
        return False

    # --- sync

    def _sync_later(self) -> None:
        if self._unsynced and self._sync_timer is None and not self._disk.busy:
            self._sync_timer = asyncio.get_running_loop().call_later(self._sync_every, self._sync)

    def _sync(self) -> None:
        self._sync_timer = None
        self._unsynced = False
        if self._file is None:
            return
        try:
            self._disk.sync(self._file)
        except OSError as error:
            self._synced(error)

    def _synced(self, error: OSError | None) -> None:
        if error is None:
            self._syncs = True
        else:
            self._syncs = self._failed("accesslog.sync_failed", error)
            # The kernel forgets what it could not write: a later sync of this file would succeed and mean nothing.
            self._leave_file()
            self._rotations += 1
        self._sync_later()


class _Disk:
    """Syncs files in a thread of its own, one after another, so that a slow disk delays nobody."""

    def __init__(self, done: Callable[[OSError | None], None]) -> None:
        self._done = done
        self._worker: ThreadPoolExecutor | None = None
        self.busy = 0

    def sync(self, file: RecordFile) -> None:
        """Tells `done` in the event loop, some time. The file may be closed right after. Raises OSError."""
        job = file.sync_job()
        self._worker = self._worker or ThreadPoolExecutor(1, thread_name_prefix="accesslog")
        self.busy += 1
        future = asyncio.get_running_loop().run_in_executor(self._worker, job)
        future.add_done_callback(self._ended)

    def finish(self) -> None:
        """Blocks until everything asked for is done."""
        if self._worker is not None:
            self._worker.shutdown()
            self._worker = None

    def _ended(self, future: asyncio.Future[None]) -> None:
        self.busy -= 1
        error = future.exception()
        if error is not None and not isinstance(error, OSError):
            raise error
        self._done(error)
