"""Looks for a smaller world that breaks the same promise: fewer users, keys, writes, troubles, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.simulation.run import Outcome
from tests.simulation.setting import Setting, varied

SEEDS = 300
_STEPS: Sequence[Mapping[str, Any]] = (
    {"users": 1},
    {"users": 2},
    {"keys": 1},
    {"ops": 1},
    {"ops": 2},
    {"ops": 3},
    {"direct": False},
    {"switches": 0},
    {"switches": 1},
    {"flips": 0.0},
    {"repairs": 0},
    {"crash": 0.0},
    {"lost": 0.0},
    {"late_commit": 0.0},
    {"twice": 0.0},
    {"log_down": 0.0},
    {"disk_full": 0.0},
    {"gateways": 1},
    {"workers": 1},
    {"partitions": 1},
    {"skew": 0.0},
    {"reads": 0.0},
    {"if_match": 0.0},
    {"backfill": False},
)


def shrunk(
    setting: Setting,
    outcome: Outcome,
    world: Callable[[int, Setting], Outcome],
    *,
    seeds: int = SEEDS,
) -> tuple[Setting, Outcome]:
    """The setting and its world with the shortest trace. One that breaks nothing is answered as it is."""
    if not outcome.violations:
        return setting, outcome
    kind = outcome.violations[0].kind
    for step in _STEPS:
        if all(_is_no_less(getattr(setting, name), value) for name, value in step.items()):
            smaller = varied(setting, **step)
            found = _first(kind, smaller, (outcome.seed, *range(seeds)), world)
            if found is not None:
                setting, outcome = smaller, found
    return setting, outcome


def _is_no_less(now: Any, then: Any) -> bool:
    return bool(now != then and now >= then)


def _first(
    kind: str, setting: Setting, seeds: Sequence[int], world: Callable[[int, Setting], Outcome]
) -> Outcome | None:
    for one in seeds:
        outcome = world(one, setting)
        if any(violation.kind == kind for violation in outcome.violations):
            return outcome
    return None
