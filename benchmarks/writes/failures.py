"""Every failure of a write has its clear error, on both sides."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.world import sandbox
from benchmarks.writes.edge_world import edge_world, lease
from benchmarks.writes.refusals import refusals
from benchmarks.writes.troubles import troubles
from catalog.stage import Side

_REDIS_NUMBERS = {Side.LEGACY: 5, Side.SERVICE: 6}
_SETTINGS = {"WRITE_DEADLINE_SECONDS": "2"}


async def run(size: Size) -> AsyncIterator[Claim]:
    """The same at every size."""
    with (
        tempfile.TemporaryDirectory(prefix="banyan-bench-") as name,
        sandbox(Path(name), scale=60) as stack,
    ):
        await lease(stack)
        for side in Side:
            number = _REDIS_NUMBERS[side]
            async with edge_world(
                stack, Path(name), side, redis_number=number, settings=_SETTINGS
            ) as world:
                yield await troubles(world)
                yield await refusals(world)
