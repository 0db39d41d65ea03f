"""`RecordFile`: an append-only file of lines that never ends in half a line because of us."""

import os
from collections.abc import Callable
from pathlib import Path


class RecordFile:
    """One file, made with mode 0600 (its folder with 0700) or continued. One writer per file. Raises OSError."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, 0o600)
        self.size = os.fstat(self._fd).st_size
        self._torn = self.size > 0 and not _ends_a_line(path, self.size)

    def append(self, lines: bytes) -> None:
        """Whole lines, each with its newline, in one write. Raises OSError; then none of them counts as written.

        What a full disk took of them is cut off again. Where even that fails, the rest of a line stays, and the next
        append begins with a newline, so that it spoils no other line.
        """
        data = b"\n" + lines if self._torn else lines
        try:
            written = os.write(self._fd, data)
        except OSError:
            self._cut()
            raise
        if written < len(data):
            self._cut()
            raise OSError(f"the disk took {written} of {len(data)} bytes")
        self.size += written
        self._torn = False

    def sync_job(self) -> Callable[[], None]:
        """What a thread may call, once, to have everything written so far on the disk, even if the file is closed meanwhile.

        Raises OSError, as the call itself may.
        """
        fd = os.dup(self._fd)

        def sync() -> None:
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)

        return sync

    def close(self) -> None:
        os.close(self._fd)

    def _cut(self) -> None:
        if os.fstat(self._fd).st_size == self.size:
            return
        try:
            os.ftruncate(self._fd, self.size)
        except OSError:
            self._torn = True
            self.size = os.fstat(self._fd).st_size


def _ends_a_line(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"
