"""Writes: nothing that was acknowledged is lost, doubled, or overwritten by something older, on either side."""

from collections.abc import AsyncIterator, Mapping

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.topics import Run
from benchmarks.writes import (
    bookings,
    failures,
    flips,
    kills,
    lag,
    price,
    redelivery,
    simulator,
    skew,
)

TOPIC = "writes"

PARTS: Mapping[str, Run] = {
    "redelivery": redelivery.run,
    "skew": skew.run,
    "bookings": bookings.run,
    "failures": failures.run,
    "kills": kills.run,
    "flips": flips.run,
    "lag": lag.run,
    "price": price.run,
    "simulator": simulator.run,
}
"""What `--part` can name, in the order in which `run` goes."""


async def run(size: Size) -> AsyncIterator[Claim]:
    """Every part. Needs nothing that runs: each brings its own."""
    for part in PARTS.values():
        async for claim in part(size):
            yield claim
