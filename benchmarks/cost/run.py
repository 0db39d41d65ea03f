"""The whole measurement: install, start, check, measure in turns, report."""

import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.cost.claims import AT_8, AT_32, NAIVE, OURS, SETTINGS, claims
from benchmarks.cost.install import install
from benchmarks.cost.load import load_missing
from benchmarks.cost.peers import banyan, direct, envoy, fastify, haproxy, naive, nginx
from benchmarks.cost.report import text, write_page
from benchmarks.cost.rounds import Plan, Row, Setting, measure
from benchmarks.cost.variant import Variant
from benchmarks.size import Size

VARIANTS = (
    *direct.VARIANTS,
    *banyan.VARIANTS,
    *nginx.VARIANTS,
    *haproxy.VARIANTS,
    *envoy.VARIANTS,
    *fastify.VARIANTS,
    *naive.VARIANTS,
)
FULL = Plan(settings=SETTINGS, rounds=5, seconds=3, slow_seconds=9, warm_up_seconds=4)
SMALL = Plan(settings=(AT_8, AT_32), rounds=1, seconds=1, slow_seconds=1, warm_up_seconds=0)


async def run(size: Size) -> AsyncIterator[Claim]:
    """The seven claims. The table goes to standard error, and in full size to docs/benchmarks-gateway.md."""
    plan = FULL if size is Size.FULL else SMALL
    if size is Size.FULL:
        install(tell)
    rows = measured(plan, wanted=_in_full if size is Size.FULL else _in_small)
    found = list(claims(rows))
    if size is Size.FULL:
        write_page(rows, found, plan)
    for claim in found:
        yield claim


def measured(
    plan: Plan,
    variants: Sequence[Variant] = VARIANTS,
    wanted: Callable[[Variant, Setting], bool] = lambda variant, setting: True,
) -> list[Row]:
    """A row per variant, its table told. Without nginx and wrk there is no upstream and no load: every row says so."""
    if rig_missing():
        rows = [Row(variant=variant, not_here=missing(variant)) for variant in variants]
        tell(text(rows, plan.settings))
        return rows
    with tempfile.TemporaryDirectory(prefix="banyan-cost-") as name:
        rows = measure(variants, plan, Path(name), tell, wanted)
    tell(text(rows, plan.settings))
    return rows


def missing(variant: Variant) -> str:
    """Why it cannot be measured here, or nothing."""
    return rig_missing() or variant.missing()


def rig_missing() -> str:
    """Why nothing can be measured here, or nothing: nginx is the upstream, wrk the load."""
    return load_missing() or nginx.VARIANTS[-1].missing()


def tell(line: str) -> None:
    """Standard output is for claims."""
    print(line, file=sys.stderr, flush=True)


def _in_full(variant: Variant, setting: Setting) -> bool:
    """The slower of the two naive ones decides nothing: one setting of it is enough."""
    return setting == AT_32 or variant is not naive.VARIANTS[1]


def _in_small(variant: Variant, setting: Setting) -> bool:
    return setting == AT_32 or variant in (NAIVE, OURS)
