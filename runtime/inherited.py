"""What a process of a group has from its parent (runtime/processes.py): a listening socket, and a life tied to it."""

import ctypes
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ORPHANED = 113
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """Four words of its command line: the parent's process id, two file descriptors, the group's folder."""

    parent: int
    listener: int
    ready: int
    folder: Path

    @classmethod
    def parse(cls, words: list[str]) -> Self:
        parent, listener, ready, folder = words
        return cls(
            parent=int(parent), listener=int(listener), ready=int(ready), folder=Path(folder)
        )

    def words(self) -> list[str]:
        return [str(self.parent), str(self.listener), str(self.ready), str(self.folder)]

    def adopt(self) -> socket.socket:
        """The listening socket; from here on this process ends with its parent. Exits with 113 if that has gone."""
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != self.parent:
            sys.exit(ORPHANED)
        for fd in (self.listener, self.ready):
            os.set_inheritable(fd, False)
        return socket.socket(fileno=self.listener)

    def tell_ready(self) -> None:
        with suppress(BrokenPipeError):  # the parent has gone: its signal is on the way
            os.write(self.ready, b"+")
        os.close(self.ready)
