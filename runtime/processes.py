"""Several processes of one program on one port, and the parent that keeps them there.

The parent opens one listening socket per process (SO_REUSEPORT: the kernel deals connections out among them) before
it starts anybody, and keeps them open. So a connection that waits on the socket of a process that died is taken by
its replacement instead of being reset. Processes are started anew (`exec`), not forked from a loop.

- SIGTERM, SIGINT: the listeners close, each process finishes what it has; then the parent ends.
- SIGHUP: one after the other is replaced; the new one is ready before the old one is asked to go.
- A process that dies is replaced, with growing pauses if it keeps dying; before a long one its listener closes, so
  that new connections go to the others.
- The parent dies: the kernel sends each process SIGTERM (Linux).

The first process starts alone: if that one cannot start, none can, and the parent ends with its exit code.
"""

import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from runtime.inherited import Inherited

log = structlog.get_logger("processes")

BACKLOG = 2048
_GRACE_SECONDS = 5.0
"""What a process gets beyond its time to drain, before it is killed."""
_START_SECONDS = 60.0
"""Who is not ready by then is killed."""
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_LONG_PAUSE_SECONDS = 2.0
"""Longer than this no connection waits for a process that keeps dying."""
_STEADY_SECONDS = 60.0
"""Who lived as long begins with the shortest pause again."""
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def listeners(count: int, host: str, port: int) -> list[socket.socket]:
    """`count` listening sockets on one port; port 0 takes a free one. Raises OSError, also if the port is in use.

    SO_REUSEPORT alone would silently join a port that another group of the same user serves, so it is tried first
    without.
    """
    family, kind, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)
    opened: list[socket.socket] = []
    with ExitStack() as undo:
        for _ in range(count):
            opened.append(undo.enter_context(_listener(family, address)))
            address = opened[0].getsockname()
        undo.pop_all()
    return opened


def _listener(family: int, address: Any) -> socket.socket:
    with ExitStack() as undo:
        listener = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.setblocking(False)
        listener.listen(BACKLOG)
        undo.pop_all()
    return listener


def run(
    sockets: list[socket.socket],
    argv: list[str],
    *,
    drain_seconds: float,
    folder: Path | None,
    ended: Callable[[Path, int], None],
) -> int:
    """Keeps one process per socket until told to stop. Answers the exit code: 0 if each ended with 0.

    `argv` starts one process; `--child` and four words are added to it. `folder`: where the group's own folder is
    made, the system's temporary one if None. `ended` is told the group's folder and the process id of each process
    that is gone.
    """
    group_folder = Path(tempfile.mkdtemp(prefix="banyan-group-", dir=folder))
    try:
        return _Parent(sockets, argv, drain_seconds, group_folder, ended).run()
    finally:
        shutil.rmtree(group_folder, ignore_errors=True)


@dataclass(kw_only=True, eq=False)
class _Child:
    process: "subprocess.Popen[bytes]"
    ready_pipe: int
    """-1 once it has been heard or has ended."""
    started_at: float
    kill_at: float | None
    ready: bool = False
    asked: bool = False

    def ask_to_stop(self, patience: float) -> None:
        if not self.asked:
            self.asked = True
            self.kill_at = time.monotonic() + patience
            self.process.send_signal(signal.SIGTERM)


@dataclass(kw_only=True)
class _Slot:
    """A listening socket and who serves it: during a replacement two."""

    listener: socket.socket
    family: int
    address: Any
    child: _Child | None = None
    successor: _Child | None = None
    deaths: int = 0
    start_at: float = 0.0

    def open(self) -> None:
        """After a long pause. Raises OSError."""
        if self.listener.fileno() < 0:
            self.listener = _listener(self.family, self.address)

    @property
    def children(self) -> list[_Child]:
        return [child for child in (self.child, self.successor) if child is not None]


class _Parent:
    def __init__(
        self,
        sockets: list[socket.socket],
        argv: list[str],
        drain_seconds: float,
        folder: Path,
        ended: Callable[[Path, int], None],
    ) -> None:
        self._slots = [
            _Slot(listener=one, family=one.family, address=one.getsockname()) for one in sockets
        ]
        self._argv, self._folder, self._ended = argv, folder, ended
        self._patience = drain_seconds + _GRACE_SECONDS
        self._selector = selectors.DefaultSelector()
        self._proven = False
        self._stopping = False
        self._to_replace: list[_Slot] = []
        self._code = 0

    def run(self) -> int:
        with ExitStack() as stack:
            stack.callback(self._selector.close)
            signals = stack.enter_context(_caught(_SIGNALS))
            self._selector.register(signals, selectors.EVENT_READ)
            while True:
                self._start_due()
                self._replace_next()
                if self._stopping and not any(slot.children for slot in self._slots):
                    return self._code
                for key, _ in self._selector.select(self._pause()):
                    if key.fileobj is signals:
                        for number in signals.recv(4096):
                            self._signalled(number)
                    else:
                        self._heard(key.fd, key.data)
                self._reap()
                self._kill_late()

    # --- starting

    def _start_due(self) -> None:
        """The first alone; when it is ready, all others."""
        if self._stopping:
            return
        for slot in self._slots if self._proven else self._slots[:1]:
            if slot.child is None and time.monotonic() >= slot.start_at:
                slot.child = self._start(slot)
                if slot.child is None:
                    self._start_later(slot, lived=0.0)

    def _start(self, slot: _Slot) -> _Child | None:
        """None if the machine has no room for one more."""
        ready, tells = os.pipe()
        try:
            slot.open()
            inherited = Inherited(
                parent=os.getpid(),
                listener=slot.listener.fileno(),
                ready=tells,
                folder=self._folder,
            )
            process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [*self._argv, "--child", *inherited.words()],
                stdin=subprocess.DEVNULL,
                pass_fds=(inherited.listener, tells),
            )
        except OSError:
            os.close(ready)
            log.exception("process.not_started")
            return None
        finally:
            os.close(tells)
        now = time.monotonic()
        child = _Child(
            process=process, ready_pipe=ready, started_at=now, kill_at=now + _START_SECONDS
        )
        self._selector.register(ready, selectors.EVENT_READ, child)
        log.info("process.started", pid=process.pid)
        return child

    def _heard(self, pipe: int, child: _Child) -> None:
        """It is ready; or it ended before, which `_reap` sees."""
        child.ready = os.read(pipe, 1) == b"+"
        self._forget_pipe(child)
        if child.ready:
            self._proven = True
            if not child.asked:
                child.kill_at = None
            for slot in self._slots:
                if slot.successor is child and slot.child is not None:
                    slot.child.ask_to_stop(self._patience)

    def _forget_pipe(self, child: _Child) -> None:
        if child.ready_pipe >= 0:
            self._selector.unregister(child.ready_pipe)
            os.close(child.ready_pipe)
            child.ready_pipe = -1

    # --- replacing

    def _replace_next(self) -> None:
        """One slot at a time, and only while every slot is served."""
        settled = all(
            slot.child is not None and slot.child.ready and slot.successor is None
            for slot in self._slots
        )
        if self._to_replace and settled and not self._stopping:
            slot = self._to_replace.pop(0)
            slot.successor = self._start(slot)
            if slot.successor is None:
                self._to_replace.clear()

    # --- signals

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and not self._stopping:
            log.info("processes.replacing", count=len(self._slots))
            self._to_replace = list(self._slots)

    def _stop(self) -> None:
        """Always SIGTERM: at Ctrl-C the terminal has sent SIGINT to each already, and a second one means at once."""
        if self._stopping:
            return
        self._stopping = True
        log.info("processes.stopping")
        for slot in self._slots:
            slot.listener.close()
            for child in slot.children:
                child.ask_to_stop(self._patience)

    # --- ends

    def _reap(self) -> None:
        for slot in self._slots:
            for child in slot.children:
                code = child.process.poll()
                if code is not None:
                    self._forget_pipe(child)
                    self._tell(child, code)
                    self._gone(slot, child, code)

    def _tell(self, child: _Child, code: int) -> None:
        (log.info if child.asked and code == 0 else log.error)(
            "process.ended",
            pid=child.process.pid,
            code=code,
            cause="asked" if child.asked else "died",
        )
        try:
            self._ended(self._folder, child.process.pid)
        except OSError:
            log.exception("process.not_folded", pid=child.process.pid)

    def _gone(self, slot: _Slot, child: _Child, code: int) -> None:
        if child is slot.successor:
            slot.successor = None
            if self._stopping:
                return
            self._to_replace.clear()  # what is there still serves; a release that cannot start replaces nobody
            log.error("processes.not_replaced", code=code)
            return
        slot.child, slot.successor = slot.successor, None
        if self._stopping:  # one that is still starting has no handler yet
            self._code = self._code or int(code not in (0, -signal.SIGTERM))
        elif not self._proven:
            self._stopping, self._code = True, code if code > 0 else 1
        elif not child.asked:
            self._start_later(slot, lived=time.monotonic() - child.started_at)

    def _start_later(self, slot: _Slot, *, lived: float) -> None:
        slot.deaths = 1 if lived >= _STEADY_SECONDS else slot.deaths + 1
        pause = _PAUSES[min(slot.deaths, len(_PAUSES)) - 1]
        slot.start_at = time.monotonic() + pause
        if pause > _LONG_PAUSE_SECONDS:
            slot.listener.close()
        log.warning("process.restarts", seconds=pause, attempt=slot.deaths)

    def _kill_late(self) -> None:
        for slot in self._slots:
            for child in slot.children:
                if child.kill_at is not None and time.monotonic() >= child.kill_at:
                    log.error("process.late", pid=child.process.pid)
                    child.process.kill()
                    child.kill_at = None

    def _pause(self) -> float | None:
        """Seconds until something is due; None: only an event can be next."""
        dues = [child.kill_at for slot in self._slots for child in slot.children if child.kill_at]
        if not self._stopping:
            waiting = self._slots if self._proven else self._slots[:1]
            dues += [slot.start_at for slot in waiting if slot.child is None]
        return max(0.0, min(dues) - time.monotonic()) if dues else None


@contextmanager
def _caught(numbers: Iterable[signal.Signals]) -> Iterator[socket.socket]:
    """A socket from which the numbers of these signals are read, one byte each."""
    reads, writes = socket.socketpair()
    with reads, writes:
        reads.setblocking(False)
        writes.setblocking(False)
        before = {number: signal.signal(number, _noted) for number in numbers}
        fd = signal.set_wakeup_fd(writes.fileno())
        try:
            yield reads
        finally:
            signal.set_wakeup_fd(fd)
            for number, handler in before.items():
                signal.signal(number, handler)


def _noted(number: int, frame: object) -> None:
    """Without a handler of Python's a signal writes no byte."""
