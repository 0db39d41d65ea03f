"""One world from its beginning to its end: the same seed and setting give the same one, to the last line of its trace."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulation.clock import Stuck
from tests.simulation.clock import run as run_virtually
from tests.simulation.dice import Dice
from tests.simulation.history import History, Violation
from tests.simulation.seeded import from_the_seed
from tests.simulation.setting import Setting
from tests.simulation.world import ENTITY, World


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one world."""

    seed: int
    violations: Sequence[Violation]
    lines: Sequence[str]
    seconds: float
    """Of virtual time."""
    written: int
    acked: int
    conflicts: int
    reads: int


def run(seed: int, setting: Setting, *, trace: bool = False) -> Outcome:
    dice = Dice(seed, slow=setting.slow)
    history = History(lines=[] if trace else None)

    async def whole() -> float:
        history.clock = asyncio.get_running_loop().time
        world = World(setting, dice, history)
        await world.live()
        return asyncio.get_running_loop().time()

    with from_the_seed(dice, history, ENTITY):
        try:
            seconds = run_virtually(whole())
        except Stuck as error:
            history.violated("no_rest", str(error))
            seconds = history.now
    return Outcome(
        seed=seed,
        violations=history.violations,
        lines=history.lines or [],
        seconds=seconds,
        written=len(history.written),
        acked=len(history.acked),
        conflicts=history.conflicts,
        reads=history.reads,
    )
