"""Worlds of one seed each: the write path and the mirror keep every promise; what breaks a promise is found."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.world import ROOT

TOPIC = "writes"
_WITHIN_SEEDS = 1000
_SETTINGS = 14
"""So many named settings share the worlds."""


class SimulatorFailed(Exception):
    """It ended without saying anything; its exit code."""


async def run(size: Size) -> AsyncIterator[Claim]:
    """docs/simulation.md says what runs in a world, and what does not."""
    yield await _promises(size.of(-(-100_000 // _SETTINGS), 5))
    yield await _sabotages(size.of(_WITHIN_SEEDS, 60))


async def _promises(seeds: int) -> Claim:
    said = await _said("--set", "all", "--seeds", str(seeds))
    worlds = sum(one["worlds"] for one in said)
    broken = [
        f"{one['name']} {kind} {first}" for one in said for kind, first in one["first"].items()
    ]
    return Claim(
        topic=TOPIC,
        claim="simulated worlds in which a promise is broken",
        value=sum(sum(one["kinds"].values()) for one in said),
        unit="worlds",
        target="0",
        ok=not broken and worlds >= seeds * len(said) > 0,
        n=worlds,
        how=(
            f"{seeds} seeds of each of {len(said)} settings ({', '.join(one['name'] for one in said)}); {sum(one['acked'] for one in said)} acknowledged"
            f" writes, {sum(one['conflicts'] for one in said)} conflicts, {sum(one['reads'] for one in said)} reads; python -m tests.simulation"
            f"{'; first: ' + '; '.join(broken[:3]) if broken else ''}"
        ),
    )


async def _sabotages(seeds: int) -> Claim:
    said = await _said("--sabotage", "all", "--seeds", str(seeds))
    missed = [one["sabotage"] for one in said if one["seed"] is None]
    rarest = max((one["seed"] for one in said if one["seed"] is not None), default=0)
    return Claim(
        topic=TOPIC,
        claim=f"protections whose loss no world of {seeds} seeds shows",
        value=len(missed),
        unit="sabotages",
        target=f"0 within {_WITHIN_SEEDS} seeds",
        ok=not missed and len(said) > 0,
        n=len(said),
        how=(
            f"each protection is taken away by itself, and the seeds run until a promise is broken; the rarest needed seed {rarest}"
            f"{'; missed: ' + ', '.join(missed) if missed else ''}"
        ),
    )


async def _said(*arguments: str) -> Sequence[dict[str, Any]]:
    """A process of its own: a world replaces clocks and ids of the code that it runs."""
    processes = str(len(os.sched_getaffinity(0)))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.simulation", *arguments, "--processes", processes, "--json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    if child.returncode not in (0, 1) or not out:
        raise SimulatorFailed(child.returncode)
    return [json.loads(line) for line in out.splitlines()]
