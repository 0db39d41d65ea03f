"""Shadow: every real difference is found, nothing else is reported."""

from collections.abc import AsyncIterator, Mapping

from benchmarks.claim import Claim
from benchmarks.shadow import accuracy, cost, isolation, noise, privacy, verdicts
from benchmarks.size import Size
from benchmarks.topics import Run

TOPIC = "shadow"

PARTS: Mapping[str, Run] = {
    "accuracy": accuracy.run,
    "verdicts": verdicts.run,
    "noise": noise.run,
    "privacy": privacy.run,
    "isolation": isolation.run,
    "cost": cost.run,
}
"""What `--part` can name, in the order in which `run` goes."""


async def run(size: Size) -> AsyncIterator[Claim]:
    """Every part; each brings what it needs."""
    for part in PARTS.values():
        async for claim in part(size):
            yield claim
