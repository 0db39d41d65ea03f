"""What it costs the gateway to have a write mirrored: processor time and waiting of the same write, announced and not."""

import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.cost.processor import spent
from benchmarks.size import Size
from benchmarks.world import GatewayProcess, everybody_at, gateway, sandbox
from benchmarks.writes.caller import Ask, Caller, client
from benchmarks.writes.edge_world import lease
from catalog.stage import Side, Stage
from runtime.stack import Stack

TOPIC = "writes"
_PAIRS = {
    Side.LEGACY: (Stage.LEGACY, Stage.DUAL_WRITE),
    Side.SERVICE: (Stage.COMPLETE, Stage.LIVE),
}
"""The same authority, without a mirror and with it."""
_AT_ONCE = 4
_SECONDS = 30.0


@dataclass(kw_only=True)
class _Bill:
    """Per write, of each round."""

    processor_us: list[float] = field(default_factory=list)
    waited_ms: list[float] = field(default_factory=list)


async def run(size: Size) -> AsyncIterator[Claim]:
    """Reported as ratios of one interleaved run; nothing is demanded of them."""
    rounds, writes = size.of(12, 2), size.of(200, 20)
    with (
        tempfile.TemporaryDirectory(prefix="banyan-bench-") as name,
        sandbox(Path(name), scale=60, durable=True) as stack,
    ):
        await lease(stack)
        for side, stages in _PAIRS.items():
            bills = {stage: _Bill() for stage in stages}
            with ExitStack() as running:
                gateways = {
                    stage: running.enter_context(
                        gateway(
                            stack,
                            Path(name),
                            name=f"price-{stage}",
                            flags=everybody_at(stage, backfilled=True),
                            redis_number=number,
                        )
                    )
                    for number, stage in enumerate(stages, 5)
                }
                for number in range(rounds + 1):
                    for stage in stages if number % 2 else reversed(stages):
                        await _round(stack, gateways[stage], bills[stage], writes=writes)
                    if number == 0:  # warm
                        bills = {stage: _Bill() for stage in stages}
            yield _claim(side, bills[stages[0]], bills[stages[1]], writes=writes)


async def _round(stack: Stack, one: GatewayProcess, bill: _Bill, *, writes: int) -> None:
    loop = asyncio.get_running_loop()
    waited: list[float] = []
    async with client(_AT_ONCE) as opened:
        edge = Caller(opened, stack.tokens, one.url)

        async def some() -> None:
            for _ in range(writes // _AT_ONCE):
                body = {"site_code": "S", "sku": "K", "quantity": 1}
                ask = Ask(method="POST", path="/partner/checkins", user="partner", body=body)
                began = loop.time()
                said = await edge.insist(ask, seconds=_SECONDS)
                waited.append(loop.time() - began)
                said.response.raise_for_status()

        before = spent(one.process.pid)
        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
        used = spent(one.process.pid).since(before)
    bill.processor_us.append(used.nanoseconds / 1000 / len(waited))
    bill.waited_ms.append(1000 * statistics.median(waited))


def _claim(side: Side, plain: _Bill, mirrored: _Bill, *, writes: int) -> Claim:
    pairs = list(zip(mirrored.processor_us, plain.processor_us, strict=True))
    ratio = statistics.median(m / p for m, p in pairs)
    waits = zip(mirrored.waited_ms, plain.waited_ms, strict=True)
    return Claim(
        topic=TOPIC,
        claim=f"processor time of the gateway for a mirrored write to {side}, over the same write that is not",
        value=round(ratio, 2),
        unit="ratio",
        target="reported",
        ok=ratio > 0,
        n=writes * len(pairs),
        how=(
            f"{len(pairs)} interleaved rounds of {writes} new check-ins by {_AT_ONCE} clients; medians: {statistics.median(mirrored.processor_us):.0f} us"
            f" against {statistics.median(plain.processor_us):.0f} us; a write takes {statistics.median(m / p for m, p in waits):.2f} times as long"
            f" ({statistics.median(mirrored.waited_ms):.1f} ms against {statistics.median(plain.waited_ms):.1f} ms), its intent being on the disk before"
            f" it is sent; ratios {min(m / p for m, p in pairs):.2f} to {max(m / p for m, p in pairs):.2f}"
        ),
    )
