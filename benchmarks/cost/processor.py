"""What a tree of processes costs the processor, and how busy a core was: from /proc, so Linux only."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


class TreeChanged(Exception):
    """A process of the tree came or went while it was measured, so its time is not known."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a tree has used since it was started. Differences of two are what counts."""

    pids: frozenset[int]
    nanoseconds: int
    """Run time of all threads (schedstat): exact, not sampled."""
    user_seconds: float
    kernel_seconds: float
    """By the clock's ticks, so good for a share over seconds and nothing else."""
    waits: int
    """Times that a thread gave the core away by itself, to wait."""

    def since(self, before: "Spent") -> "Spent":
        """Raises TreeChanged."""
        if self.pids != before.pids:
            raise TreeChanged
        return Spent(
            pids=self.pids,
            nanoseconds=self.nanoseconds - before.nanoseconds,
            user_seconds=self.user_seconds - before.user_seconds,
            kernel_seconds=self.kernel_seconds - before.kernel_seconds,
            waits=self.waits - before.waits,
        )


def spent(pid: int) -> Spent:
    """Of `pid` and all that descends from it. Raises TreeChanged when one ends meanwhile."""
    pids = frozenset(_tree(pid))
    try:
        threads = [thread for one in pids for thread in (_PROC / str(one) / "task").iterdir()]
        times = [_times(one) for one in pids]
        return Spent(
            pids=pids,
            nanoseconds=sum(int((t / "schedstat").read_text().split()[0]) for t in threads),
            user_seconds=sum(user for user, _ in times),
            kernel_seconds=sum(kernel for _, kernel in times),
            waits=sum(_waits(thread) for thread in threads),
        )
    except (FileNotFoundError, ProcessLookupError):
        raise TreeChanged from None


def _tree(root: int) -> set[int]:
    parents = dict(_parents())
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return tree


def _parents() -> Iterator[tuple[int, int]]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                yield int(entry.name), int(_stat(int(entry.name))[1])


def _stat(pid: int) -> list[str]:
    """Fields from the state on: the command's name before it may hold blanks and brackets."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _times(pid: int) -> tuple[float, float]:
    fields = _stat(pid)
    return int(fields[11]) * _TICK_SECONDS, int(fields[12]) * _TICK_SECONDS


def _waits(thread: Path) -> int:
    lines = (thread / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


@dataclass(frozen=True, kw_only=True)
class CoreTime:
    """Seconds of one core since the machine started."""

    busy: float
    idle: float

    def load_since(self, before: "CoreTime") -> float:
        """Share of the time in which it did something, 0 to 1."""
        busy, idle = self.busy - before.busy, self.idle - before.idle
        return busy / (busy + idle) if busy + idle else 0.0


def core_time(core: int) -> CoreTime:
    for line in (_PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            ticks = [int(field) for field in fields[:8]]
            idle = ticks[3] + ticks[4]
            return CoreTime(busy=sum(ticks) - idle, idle=idle)
    raise ValueError(f"there is no core {core}")


@dataclass(frozen=True, kw_only=True)
class Cores:
    """Who runs where: the gateway alone on one core, upstream and load generator together on the other."""

    gateway: int
    rest: int

    @classmethod
    def here(cls) -> "Cores":
        """The first two cores that we may use; both are the same on a machine with one."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(gateway=usable[0], rest=usable[min(1, len(usable) - 1)])


def pinned(core: int, *argv: str) -> tuple[str, ...]:
    """The command, on that core with all that it starts."""
    return ("taskset", "--cpu-list", str(core), *argv)
