"""Failpoints: where a test lets a process die, named by the crash points of data-rules section 8.

`FAILPOINT=O2:hit=2:action=kill9` in the environment of one process: when it reaches O2 for the second time, it is killed. Call sites
say `reach("O2")`, which is one comparison while nothing is armed. The production profile refuses to start with one.

FailpointReached   action=raise
"""

import errno
import os
import signal
from dataclasses import dataclass
from enum import StrEnum

import structlog

from runtime.logs import flush

log = structlog.get_logger("failpoint")


class Action(StrEnum):
    KILL9 = "kill9"
    EXIT = "exit"
    RAISE = "raise"
    HANG = "hang"
    """The process stands still, sockets open, until somebody kills it."""
    ENOSPC = "enospc"


class FailpointReached(Exception):
    """As a mistake of ours would look."""


@dataclass(frozen=True, kw_only=True)
class Failpoint:
    name: str
    hit: int
    action: Action


def read_failpoint(text: str) -> Failpoint:
    """Raises ValueError with the form it should have."""
    name, *rest = text.split(":")
    words = dict(part.partition("=")[::2] for part in rest)
    try:
        if not name.isalnum() or words.keys() - {"hit", "action"}:
            raise ValueError
        return Failpoint(
            name=name,
            hit=int(words.get("hit", "1")),
            action=Action(words.get("action", Action.KILL9)),
        )
    except ValueError:
        actions = "|".join(Action)
        raise ValueError(f"expected NAME[:hit=N][:action={actions}]") from None


def arm(text: str | None) -> None:
    """For this process, from now on; None: nothing."""
    global _armed, _hits
    _armed, _hits = read_failpoint(text) if text else None, 0


def reach(name: str) -> None:
    """Returns, unless this is the moment."""
    if _armed is not None and _armed.name == name:
        _hit(_armed)


def _hit(armed: Failpoint) -> None:
    global _hits
    _hits += 1
    if _hits != armed.hit:
        return
    log.warning("failpoint.reached", task=armed.name, reason=armed.action)
    match armed.action:
        case Action.KILL9:
            flush()
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.EXIT:
            flush()
            os._exit(1)
        case Action.RAISE:
            raise FailpointReached
        case Action.HANG:
            flush()
            while True:
                signal.pause()
        case Action.ENOSPC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


_armed: Failpoint | None = None
_hits = 0
