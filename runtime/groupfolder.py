"""Counts that the processes of one group show as one: a folder with a file per process.

Each process writes its own file, whole and by rename. A reader adds up its own numbers and everybody else's, so any
process can answer for the group. Sums never go backwards while the group lives, by three rules:

- who shows numbers has written them before: what was shown once is in a file, whoever is asked next;
- the group's parent moves the counts of a process that ended into one file (`fold`) and names it there, and only
  then removes its file;
- a reader reads the processes' files first and the ended ones' last, and leaves out files that are named there.

What a process counted after its last write is lost if it is killed: at most the writer's period.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import msgspec
import structlog

log = structlog.get_logger("groupfolder")

Counts = dict[str, dict[tuple[str, ...], list[float]]]
"""Family -> label values -> numbers that only grow. All numbers of one family are of one length."""

Gauges = dict[str, dict[tuple[str, ...], float]]
"""Name -> label values -> what holds now; a process that ended has none."""

_ENDED = "ended.counts"
_SUFFIX = ".state"
_REMEMBERED = 1_000
"""Names of folded files that are kept, for readers that listed the folder before the fold."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has counted since its start, and its gauges."""

    counts: Counts
    gauges: Gauges


class _Ended(msgspec.Struct, frozen=True, kw_only=True):
    counts: Counts
    folded: list[str]


_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()
_states = msgspec.msgpack.Decoder(State)
_ended = msgspec.msgpack.Decoder(_Ended)


def add(into: Counts, more: Counts) -> None:
    """Adds `more` to `into`, in place. Where lengths differ (a release with other buckets), `into` stays."""
    for family, rows in more.items():
        mine = into.setdefault(family, {})
        for labels, numbers in rows.items():
            have = mine.get(labels)
            if have is None:
                mine[labels] = list(numbers)
            elif len(have) == len(numbers):
                mine[labels] = [a + b for a, b in zip(have, numbers, strict=True)]


class GroupFolder:
    """One process's view of its group's folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._own = folder / f"{name}{_SUFFIX}"

    @classmethod
    def of_this_process(cls, folder: Path) -> Self:
        """The start's time is in the name because process ids come again."""
        return cls(folder, f"{os.getpid()}.{time.time_ns()}")

    def write(self, state: State) -> None:
        """Replaces the own file. Raises OSError."""
        _replace(self._own, _encoder.encode(state))

    def others(self) -> list[State]:
        """All that the others have written, those that ended included. Raises OSError if the folder is not there."""
        found: dict[str, State] = {}
        for path in self._folder.iterdir():
            if path.suffix == _SUFFIX and path != self._own:
                state = _read(path, _states)
                if state is not None:
                    found[path.name] = state
        ended = _read(self._folder / _ENDED, _ended)
        if ended is None:
            return list(found.values())
        for name in ended.folded:
            found.pop(name, None)
        return [*found.values(), State(counts=ended.counts, gauges={})]


def fold(folder: Path, pid: int) -> None:
    """Keeps the counts of a process that has ended; for the one parent of the group. Raises OSError."""
    left = list(folder.glob(f"{pid}.*"))
    states = {path.name: _read(path, _states) for path in left if path.suffix == _SUFFIX}
    before = _read(folder / _ENDED, _ended) or _Ended(counts={}, folded=[])
    counts: Counts = {}
    add(counts, before.counts)
    for state in states.values():
        if state is not None:
            add(counts, state.counts)
    ended = _Ended(counts=counts, folded=[*before.folded, *states][-_REMEMBERED:])
    _replace(folder / _ENDED, _encoder.encode(ended))
    _unlink(left)


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            path.unlink()


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(content)
    beside.replace(path)


def _read(path: Path, decoder: "msgspec.msgpack.Decoder[_T]") -> "_T | None":
    """None if it is gone (folded meanwhile) or of a release that writes something else."""
    try:
        return decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        log.warning("groupfolder.unreadable", file=path.name, exc_info=error)
        return None
