"""What the code takes from elsewhere by itself, and what a world gives it instead: ids, intervals, topics, the ear for dead tasks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gateway.announcer
import gateway.pinfeed
import gateway.write
import migration.sync_backfill
import runtime.tasks
from runtime.serviceevent import topic_of
from tests.simulation.dice import Dice
from tests.simulation.history import History

_REPLAY_SECONDS = 1.5
_WAIT_SECONDS = 5.0
"""In place of the code's own: looks at nothing cost a world most of its time."""


@contextmanager
def from_the_seed(dice: Dice, history: History, entity: str) -> Iterator[None]:
    """`entity`: the only one of the world, so that nobody listens to the topics of twelve."""

    class Deaths:
        def error(self, event: str, **facts: Any) -> None:
            history.violated("died", f"{facts['task']}: {facts['exc_info']!r}")

    async def topics(_: Any) -> Sequence[str]:
        return [topic_of(entity)]

    replaced = [
        (gateway.write, "ordered_uuid7", dice.uuid),
        (migration.sync_backfill, "create_topics", topics),
        (runtime.tasks, "log", Deaths()),
        (gateway.announcer, "REPLAY_SECONDS", _REPLAY_SECONDS),
        (gateway.pinfeed, "_WAIT_SECONDS", _WAIT_SECONDS),
    ]
    were = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in were:
            setattr(module, name, value)
