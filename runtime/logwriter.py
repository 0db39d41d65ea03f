"""`LogWriter`: log lines reach their file descriptor from a thread, so that whoever logs never waits for a slow reader.

What does not fit into the buffer is dropped and counted, never waited for: the application log may lose lines, the PHI
access record (runtime.accesslog) may not (decisions.md 34).
"""

import os
import select
import threading
from collections.abc import Callable

MOST_BYTES = 1024 * 1024
FLUSH_SECONDS = 1.0
_LINE_END = ord("\n")


class LogWriter:
    """Writes lines to `fd`: at once after a pause, in a burst every `every` seconds. None: there is nowhere to write to.

    The descriptor is the writer's own from now on. `lost` renders the line that says how many were dropped; it comes
    before the next line that gets through. A reader that has gone is no error of ours: everything is dropped then.
    """

    def __init__(
        self,
        fd: int | None,
        lost: Callable[[int], bytes],
        *,
        every: float = 0.05,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._fd = fd
        self._lost = lost
        self._every = every
        self._most_bytes = most_bytes
        self._torn = False
        self.dropped = 0
        """Lines that did not get through, since the start."""
        self._begin()
        self._thread: threading.Thread | None = self._start()
        os.register_at_fork(after_in_child=self._in_child)

    def write(self, line: bytes) -> None:
        """One line without its newline. Never waits for the reader, never raises."""
        with self._changed:
            if self._fd is None or self._bytes + len(line) >= self._most_bytes:
                self._drop(1)
                return
            self._lines.append(line)
            self._bytes += len(line) + 1
            if self._thread is None:
                self._thread = self._start()
            if len(self._lines) == 1:
                self._changed.notify_all()

    def flush(self, within: float = FLUSH_SECONDS) -> bool:
        """Wait until everything written so far is out, `within` seconds at most; whether it is."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(self._is_idle, within)
            finally:
                self._hurried -= 1

    def close(self, within: float = FLUSH_SECONDS) -> None:
        """Flush and end; further lines are dropped. A reader that blocks keeps the thread, which ends when it can."""
        self.flush(within)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(within)

    # --- state, under the lock

    def _begin(self) -> None:
        # Reentrant: a signal handler may log or flush in the middle of a call of the thread that it interrupts.
        self._changed = threading.Condition(threading.RLock())
        self._lines: list[bytes] = []
        self._bytes = 0
        """Buffered and in writing."""
        self._untold = 0
        self._writing = False
        self._hurried = 0
        self._closing = False

    def _in_child(self) -> None:
        """After a fork: the thread is not here, the lock may be held by it, and its lines are the parent's to write."""
        self._begin()
        self._thread = None

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._untold += count

    def _is_idle(self) -> bool:
        return not self._lines and not self._writing

    # --- the thread

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="logwriter", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        while batch := self._take():
            lines, untold = batch
            data = b"\n".join([*([self._lost(untold)] if untold else ()), *lines, b""])
            left = self._write_all(data)
            with self._changed:
                if left:
                    # Those that are left are the last ones; the line about the lost ones is the first.
                    self._drop(min(left, len(lines)))
                    self._untold += untold if left > len(lines) else 0
                self._bytes = sum(len(line) + 1 for line in self._lines)
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._hurried or self._closing, self._every)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _take(self) -> tuple[list[bytes], int] | None:
        """Lines to write, and how many were dropped before them; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing)
            if not self._lines:
                return None
            lines, self._lines = self._lines, []
            untold, self._untold = self._untold, 0
            self._writing = True
            return lines, untold

    def _write_all(self, data: bytes) -> int:
        """Waits for the reader as long as it takes. Answers how many lines did not get out."""
        if self._fd is None:
            return data.count(b"\n")
        whole = b"\n" + data if self._torn else data
        left = memoryview(whole)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # whoever shares the descriptor made it non-blocking
                _wait_until_writable(self._fd)
            except BrokenPipeError:
                os.close(self._fd)
                self._fd = None
                break
            except (
                OSError
            ):  # a full disk, a terminal that hung up: the next lines may have more luck
                break
        written = len(whole) - len(left)
        if written:
            self._torn = whole[written - 1] != _LINE_END
        return data[max(0, written - len(whole) + len(data)) :].count(b"\n")


def _wait_until_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()
