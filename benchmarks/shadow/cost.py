"""What a shadow costs the gateway, and what a mirror costs nginx, which compares nothing: the same bodies, load and run."""

import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.cost.bodies import LARGE
from benchmarks.cost.compiled import missing as compiled_missing
from benchmarks.cost.crowd import everybody_compared
from benchmarks.cost.peers import banyan, nginx
from benchmarks.cost.place import Place
from benchmarks.cost.report import text
from benchmarks.cost.rounds import Plan, Row, Setting, measure
from benchmarks.cost.run import rig_missing, tell
from benchmarks.cost.variant import Variant, Work
from benchmarks.shadow.control import control
from benchmarks.size import Size
from sandbox.children import Command

TOPIC = "shadow"
_PACED = Setting(answer=LARGE, connections=32, rest_ms=20)
"""About 1,500 requests a second for everybody: the same load, which none of them fills a core with."""
_FAST = Setting(answer=LARGE, connections=32)
_FULL = Plan(settings=(_PACED, _FAST), rounds=7, seconds=3, slow_seconds=3, warm_up_seconds=4)
_SMALL = Plan(settings=(_PACED,), rounds=1, seconds=1, slow_seconds=1, warm_up_seconds=0)
_MOST_US = 60.0
_LEAST_ASKED = 0.99
_MIRROR_OFF = nginx.VARIANTS[-1]


async def run(size: Size) -> AsyncIterator[Claim]:
    """Needs nginx and wrk, two cores, and a PostgreSQL of its own, to which the gateway writes what it has counted."""
    plan = _FULL if size is Size.FULL else _SMALL
    with tempfile.TemporaryDirectory(prefix="banyan-shadow-cost-") as name:
        folder = Path(name)
        async with control(folder) as settings:
            rig = _Rig(settings)
            rows = [] if rig_missing() else await asyncio.to_thread(rig.measured, plan, folder)
        if rows:
            tell(text(rows, plan.settings))
        for claim in _claims(rows, rig, plan.settings):
            yield claim


class _Rig:
    """`settings`: what a gateway needs to compare."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self.off, self.on = (
            self._variant("banyan, shadow off", 0),
            self._variant("banyan, shadow", 1),
        )
        self.asked = 0.0
        """Of the answers, behind how many the other side was asked."""

    def measured(self, plan: Plan, folder: Path) -> list[Row]:
        """Blocks."""
        places = folder / "places"
        places.mkdir()
        variants = (self.off, self.on, _MIRROR_OFF, nginx.MIRRORING)
        rows = measure(variants, plan, places, tell)
        own, behind = _purposes(places / self.on.slug / "access")
        self.asked = behind / own if own else 0.0
        return rows

    def _variant(self, name: str, share: int) -> Variant:
        return Variant(
            name=name,
            work=Work.FULL,
            missing=compiled_missing,
            command=lambda place: self._command(place, share),
            answered_by_legacy=True,
            asks_behind=bool(share),
            unequal="at stage shadow: legacy answers, and the service is asked behind",
        )

    def _command(self, place: Place, share: int) -> Command:
        flags = everybody_compared(place.crowd.left_behind.sub)
        more: Mapping[str, str] = {**self._settings, "SHADOW_SHARE": str(share)}
        return banyan.gateway(place, {**banyan.settings(place, flags), **more})


def _purposes(folder: Path) -> tuple[int, int]:
    """Access records of callers' own reads, and of what was asked behind them."""
    own = behind = 0
    for path in folder.rglob("*.jsonl"):
        with path.open("rb") as lines:
            for line in lines:
                behind += b'"purpose":"shadow"' in line
                own += b'"purpose":"treatment"' in line
    return own, behind


def _added(rows: Mapping[str, Row], off: Variant, on: Variant, at: Setting) -> list[float]:
    """Microseconds of CPU per request, round by round."""
    pairs = zip(rows[on.name].rounds.get(at, []), rows[off.name].rounds.get(at, []), strict=False)
    return [one.cpu_us - other.cpu_us for one, other in pairs if not (one.void or other.void)]


def _pace(at: Setting) -> str:
    return "at one pace" if at.rest_ms else "as fast as each answers"


def _rates(rows: Sequence[Row], at: Setting) -> str:
    """The least and the most of all variants."""
    loads = [one.load for row in rows for one in row.good(at) if one.load is not None]
    rates = [load.requests / load.seconds for load in loads]
    return f"{min(rates):.0f} to {max(rates):.0f}" if rates else "no"


def _claims(rows: Sequence[Row], rig: _Rig, settings: Sequence[Setting]) -> list[Claim]:
    by_name = {row.variant.name: row for row in rows}
    doubts = [f"{row.variant.name}: {row.not_here}" for row in rows if row.not_here]
    doubts += [
        f"{row.variant.name}: {fault}"
        for row in rows
        for fault in row.faults
        if row.variant
        is not nginx.MIRRORING  # it reads no mirrored answer to its end, and so keeps no connection
    ]
    doubts += [] if rows else ["nothing could be measured here"]
    if rig.asked < _LEAST_ASKED:
        doubts.append(f"behind {rig.asked:.1%} of the answers alone was anybody asked")
    found = []
    for at in settings:
        ours = _added(by_name, rig.off, rig.on, at) if not doubts else []
        theirs = _added(by_name, _MIRROR_OFF, nginx.MIRRORING, at) if not doubts else []
        mine = statistics.median(ours) if ours else 0.0
        other = statistics.median(theirs) if theirs else 0.0
        means = "; ".join(
            f"{row.variant.name} {mean:.1f} us"
            for row in rows
            if (mean := row.mean_us(at)) is not None
        )
        how = (
            f"equal bodies of {at.name}, {_rates(rows, at)} requests a second; CPU of the process tree, comparator included, median of"
            f" the differences within {len(ours)} interleaved rounds; asked behind {rig.asked:.2%} of the answers; {means}"
        )
        how = "; ".join([how, *doubts])
        found += [
            Claim(
                topic=TOPIC, claim=f"cost: a shadow behind every read, {_pace(at)}", value=round(mine, 1),
                unit="us of CPU per request", target=f"<= {_MOST_US:g}", ok=bool(ours) and mine <= _MOST_US, n=len(ours), how=how,
            ),
            Claim(
                topic=TOPIC, claim=f"cost: a shadow, as many times what a mirror costs nginx, {_pace(at)}",
                value=round(mine / other, 3) if other else 0.0, unit="times", target="< 1",
                ok=bool(theirs) and 0 < mine < other, n=len(theirs), how=how,
            ),
        ]  # fmt: skip
    return found
