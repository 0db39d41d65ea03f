"""The gateway between scripts, with what it asks behind its answers; the comparison runs in this process."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx
import pytest

from catalog.service import Service
from gateway.legacy_side import LegacySide
from gateway.read import Reader
from gateway.service_side import ServiceSide, owners
from gateway.shadowing.counts import Counts
from gateway.shadowing.judge import Judge
from gateway.shadowing.keeping import Keeping
from gateway.shadowing.reads import ShadowReads
from gateway.shadowing.room import Room
from gateway.shadowing.second import SecondReadings
from gateway.shadowing.sides import Sides
from runtime.flagstore import StoreUnavailable
from runtime.internal_token import InternalTokens
from runtime.ratelimit import Budget
from runtime.shadowstore import Count, Example
from runtime.upstream.upstream import Upstream
from tests.fakes.direct_comparator import DirectComparator
from tests.fakes.scripted import Play, Script, Trouble, scripted
from tests.flow.gateway_world import KEY, World, status
from tests.until import until_async

WINDOW = 0.2
"""Of lag, seconds."""


class MemoryShadows:
    """What was stored last: counts by slot and route, examples in turn; `works` is whether anything can be."""

    def __init__(self) -> None:
        self.works = True
        self.takes_examples = True
        self.counts: dict[tuple[Any, ...], Count] = {}
        self.examples: list[Example] = []
        self.rung: list[str] = []

    async def ring(self, entity: str) -> None:
        self.rung.append(entity)

    async def put(self, counts: Sequence[Count], examples: Sequence[Example]) -> None:
        if not self.works or (examples and not self.takes_examples):
            raise StoreUnavailable("postgresql")
        self.counts |= {(c.slot, c.writer, c.route, c.candidate, c.noise): c for c in counts}
        self.examples += examples


@dataclass
class Shadowed:
    """`asked`: what was asked behind answers, by side. `share` and so on stand in `reads`."""

    world: World
    reads: ShadowReads
    room: Room
    counts: Counts
    second: SecondReadings
    comparator: DirectComparator
    keeping: Keeping
    store: MemoryShadows
    scripts: dict[str, Script]
    asked: dict[str, list[httpx.Request]] = field(default_factory=dict)

    async def settle(self) -> None:
        """Until nothing is compared any more, and it is stored."""

        async def quiet() -> bool:
            return not (self.room.pairs or self.second.waiting or self.reads.waiting)

        await until_async(quiet)
        await self.keeping.store()

    def counted(self, *, noise: bool = False) -> dict[str, Any]:
        """What is stored of all routes together: pairs, mismatches, reasons."""
        found: dict[str, Any] = {"pairs": 0, "mismatches": 0, "visibility": 0}
        for one in self.store.counts.values():
            if one.noise is noise:
                tally = one.document["tally"]
                for name in ("pairs", "mismatches", "visibility"):
                    found[name] += tally[name]
                for reason, count in tally["inconclusive"].items():
                    found[reason] = found.get(reason, 0) + count
        return found

    def metric(self, name: str) -> dict[str, float]:
        """The lines of one family of /metrics that are not zero, by their labels."""
        lines = self.world.app.deps.metrics.exposition().decode().splitlines()
        found = (line.rpartition(" ") for line in lines if line.startswith(name))
        return {
            labels.removeprefix(name): float(count) for labels, _, count in found if float(count)
        }


@pytest.fixture
async def shadowed(world: World) -> AsyncIterator[Shadowed]:
    """Everything is compared; noise is not sampled until a test says so."""
    deps = world.app.deps
    asked: dict[str, list[httpx.Request]] = {"legacy": [], "service": []}
    scripts: dict[str, Script] = {"legacy": status(500), "service": status(500)}

    def upstream(name: str, side: str) -> Upstream:
        def script() -> Script:
            play = scripts[side]
            return play if isinstance(play, Trouble) else partial(noted, play)

        def noted(play: Play, request: httpx.Request) -> httpx.Response:
            asked[side].append(request)
            return play(request)

        return scripted(name, f"http://{name}", script, connections=4, deadline=0.5)

    legacy, compliance = (
        upstream("shadow.legacy", "legacy"),
        upstream("shadow.compliance", "service"),
    )
    owner = owners({Service.COMPLIANCE: compliance})
    reader = Reader(
        LegacySide(
            legacy,
            apikey="sb_publishable_x",
            budget=Budget(per_second=1000, burst=1000),
            unrepresentable=lambda e, c: None,
        ),
        ServiceSide(owner, InternalTokens("k" * 32), KEY),
        KEY,
    )
    sides = Sides(
        reader,
        owner,
        deps.records,
        deps.metrics.shadow_tally,
        cursor_key=KEY,
        deadline=0.5,
        clock=time.monotonic,
    )
    counts, comparator = Counts(deps.metrics, release="r1"), DirectComparator()
    room = Room(8, counts.shed)
    second = SecondReadings(sides, comparator, counts, room, window=WINDOW)
    judge = Judge(sides, comparator, counts, room, second, window=WINDOW)
    reads = ShadowReads(sides, judge, counts, room, deps.overload, share=1.0, noise_share=0.0)
    store = MemoryShadows()
    world.app.deps = replace(deps, shadows=reads)
    found = Shadowed(
        world=world,
        reads=reads,
        room=room,
        counts=counts,
        second=second,
        comparator=comparator,
        keeping=Keeping(counts, store, store.ring),
        store=store,
        scripts=scripts,
        asked=asked,
    )
    yield found
    await reads.stop()
    await second.stop()
    for one in (legacy, compliance):
        await one.close()
