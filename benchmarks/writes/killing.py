"""`Killing`: ends processes of a running world at random moments: SIGKILL, and PostgreSQL's immediate stop."""

import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.world import GatewayProcess
from runtime.stack import Stack

_IMMEDIATE = ("legacy-postgres", "services-postgres")
"""SIGQUIT: no checkpoint, no waiting; the next start recovers from the log."""
_SPARED = ("frontend", "gateway", "control")
"""Take no part in the writes here: they go through gateways of the benchmark's own."""


class Killing:
    """`stack`: the file of a sandbox whose supervisor starts what dies again; `gateways` are started again here."""

    def __init__(
        self, stack: Path, gateways: Sequence[GatewayProcess], chance: random.Random
    ) -> None:
        self._stack = stack
        self._gateways = gateways
        self._chance = chance
        self._pids: dict[str, int] = {}
        self.killed: Counter[str] = Counter()

    def one(self) -> None:
        """Whoever was killed least often; of these one at random. Nobody is killed who has not come back yet."""
        found = {p.name: p.pid for p in Stack.read(self._stack).processes if p.name not in _SPARED}
        standing = [
            name for name, pid in found.items() if self._pids.get(name) != pid and _lives(pid)
        ]
        names = [*standing, *(f"gateway {n}" for n in range(len(self._gateways)))]
        least = min(self.killed[name] for name in names)
        name = self._chance.choice([name for name in names if self.killed[name] == least])
        self.killed[name] += 1
        if name in found:
            self._pids[name] = found[name]
            os.kill(found[name], signal.SIGQUIT if name in _IMMEDIATE else signal.SIGKILL)
            return
        gateway = self._gateways[int(name.removeprefix("gateway "))]
        gateway.kill()
        gateway.start()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
