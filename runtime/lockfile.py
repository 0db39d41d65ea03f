"""A file that a process keeps locked for as long as it lives: the kernel lets go of it however the process ends."""

import fcntl
from pathlib import Path
from typing import IO


def hold(path: Path) -> IO[bytes] | None:
    """Take the lock and keep it until the answered file is closed or the process ends; None when somebody has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_held(path: Path) -> bool:
    """Whether a live process has the lock."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
