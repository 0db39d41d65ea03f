"""python -m tests.simulation [--seeds N] [--first K] [--set NAME|all] [--sabotage NAME|all] [--trace SEED] [--shrink SEED] [--json]

Exit code 1 if a world broke a promise, or if a sabotage was not found.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

import structlog

from tests.simulation.history import Violation
from tests.simulation.run import Outcome, run
from tests.simulation.sabotage import SABOTAGES, Sabotage
from tests.simulation.setting import SETTINGS, Setting
from tests.simulation.shrink import shrunk

_AT_ONCE = 25
_EVERY_SECONDS = 10.0


@dataclass(kw_only=True)
class Tally:
    """Of many worlds of one kind."""

    name: str
    worlds: int = 0
    written: int = 0
    acked: int = 0
    conflicts: int = 0
    reads: int = 0
    seconds: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    """How many worlds broke which promise."""
    first: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The smallest seed of each, and what happened there."""

    def add(self, outcome: Outcome) -> None:
        self.worlds += 1
        self.written += outcome.written
        self.acked += outcome.acked
        self.conflicts += outcome.conflicts
        self.reads += outcome.reads
        for kind, one in _first_of_kind(outcome.violations).items():
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            self.first.setdefault(kind, (outcome.seed, one.detail))


def _first_of_kind(violations: Sequence[Violation]) -> dict[str, Violation]:
    found: dict[str, Violation] = {}
    for one in violations:
        found.setdefault(one.kind, one)
    return found


def main(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    if asked.trace is not None or asked.shrink is not None:
        return _one(asked)
    if asked.sabotage:
        return _sabotages(asked)
    names = list(SETTINGS) if asked.set == "all" else [asked.set]
    tallies = [_many(name, SETTINGS[name], asked) for name in names]
    return 1 if any(tally.kinds for tally in tallies) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--set", default="plain", choices=[*SETTINGS, "all"])
    parser.add_argument("--sabotage", choices=[*SABOTAGES, "all"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--trace", type=int, metavar="SEED", help="one world, line by line")
    parser.add_argument("--shrink", type=int, metavar="SEED", help="the smallest world like it")
    parser.add_argument("--json", action="store_true")
    return parser


def _many(name: str, setting: Setting, asked: argparse.Namespace) -> Tally:
    tally, began = Tally(name=name), time.monotonic()
    told = began
    for outcome in _outcomes(setting, range(asked.first, asked.first + asked.seeds), asked):
        tally.add(outcome)
        if time.monotonic() - told > _EVERY_SECONDS and not asked.json:
            told = time.monotonic()
            print(f"{name}: {tally.worlds} worlds, {tally.kinds or 'none broken'}", flush=True)
    tally.seconds = time.monotonic() - began
    _tell(tally, asked)
    return tally


def _outcomes(
    setting: Setting, seeds: range, asked: argparse.Namespace, sabotage: str = ""
) -> Iterator[Outcome]:
    """In the order of the seeds."""
    work = partial(_run, setting, sabotage)
    if asked.processes == 1:
        yield from map(work, seeds)
        return
    with get_context("fork").Pool(asked.processes) as pool:
        yield from pool.imap(work, seeds, _AT_ONCE)


def _run(setting: Setting, sabotage: str, seed: int) -> Outcome:
    silence()
    if not sabotage:
        return run(seed, setting)
    with SABOTAGES[sabotage].applied():
        return run(seed, setting)


def silence() -> None:
    """What the code logs of lost answers and dead engines is no news here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def _tell(tally: Tally, asked: argparse.Namespace) -> None:
    if asked.json:
        print(json.dumps(vars(tally)), flush=True)
        return
    each = tally.seconds * 1000 * asked.processes / max(tally.worlds, 1)
    print(
        f"{tally.name}: {tally.worlds} worlds, {tally.written} versions, {tally.acked} acknowledged, {tally.conflicts} conflicts,"
        f" {tally.reads} reads, {each:.1f} ms each: {'broken' if tally.kinds else 'all promises kept'}",
        flush=True,
    )
    for kind, (seed, detail) in tally.first.items():
        print(f"    {kind} in {tally.kinds[kind]}, first at seed {seed}: {detail}", flush=True)


def _sabotages(asked: argparse.Namespace) -> int:
    names = list(SABOTAGES) if asked.sabotage == "all" else [asked.sabotage]
    missed = [name for name in names if not _found(SABOTAGES[name], asked)]
    return 1 if missed else 0


def _found(sabotage: Sabotage, asked: argparse.Namespace) -> bool:
    """Does some world break a promise that the sabotage takes the protection of?"""
    seeds = range(asked.first, asked.first + asked.seeds)
    for outcome in _outcomes(sabotage.setting, seeds, asked, sabotage.name):
        for one in outcome.violations:
            if one.kind in sabotage.breaks:
                _say(asked, sabotage.name, outcome.seed, one)
                return True
    _say(asked, sabotage.name, None, None)
    return False


def _say(
    asked: argparse.Namespace, name: str, seed: int | None, violation: Violation | None
) -> None:
    if asked.json:
        kind = violation.kind if violation else None
        print(json.dumps({"sabotage": name, "seed": seed, "kind": kind}), flush=True)
    elif violation is None:
        print(f"{name}: NOT FOUND", flush=True)
    else:
        print(f"{name}: seed {seed}: {violation.kind}: {violation.detail}", flush=True)


def _one(asked: argparse.Namespace) -> int:
    silence()
    seed = asked.trace if asked.trace is not None else asked.shrink
    sabotage = SABOTAGES.get(asked.sabotage or "")
    setting = sabotage.setting if sabotage else SETTINGS[asked.set]

    def world(seed: int, setting: Setting) -> Outcome:
        if sabotage is None:
            return run(seed, setting, trace=True)
        with sabotage.applied():
            return run(seed, setting, trace=True)

    if asked.shrink is not None:
        setting, outcome = shrunk(setting, world(seed, setting), world)
        print(setting)
    else:
        outcome = world(seed, setting)
    print(f"seed {outcome.seed}")
    print("\n".join(outcome.lines))
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
