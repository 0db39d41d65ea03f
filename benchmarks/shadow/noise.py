"""Legacy against itself: what says the same is no noise, what really differs is counted apart and taken off, and hides nothing."""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.claim import Claim
from benchmarks.shadow.asking import Asked, Question, ask, questions, reported, shadowing, shown
from benchmarks.shadow.unsteady import Noise, Unsteady
from benchmarks.size import Size
from benchmarks.world import sandbox
from routes import resources
from runtime.stack import Stack
from shadow.report import exposed
from shadow.verdict import READ_PARITY, Counts, Outcome, judged

TOPIC = "shadow"
_ENTITY = "lab_orders"
_ROUTES = ("/v2/lab-orders", "/v2/lab-orders/{key}")
_NOISY, _WRONG = "vendor_status", "test_name"
_CHANGE = "update diagnostics.lab_order set test_name = coalesce(test_name, '') || ', or nearly'"
_MARK = "set local banyan.apply = 'on'"

Routes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One gateway's traffic: what was asked, what legacy said, and what the report says of it."""

    name: str
    asked: Asked
    legacy: Unsteady
    routes: Routes

    def made_noisy(self, route: str) -> tuple[int, int]:
        """Requests to which the first, and either, of legacy's answers was made noisy."""
        marks = [
            marks for id_, marks in self.legacy.noisy.items() if self.asked.routes.get(id_) == route
        ]
        return sum(one[0] for one in marks), sum(any(one[:2]) for one in marks)


async def run(size: Size) -> AsyncIterator[Claim]:
    """Brings a sandbox, and gateways whose legacy is the sandbox's behind a stand-in that spells it otherwise."""
    share, about_orders = size.of(0.02, 0.2), size.of(4_000, 200)
    with (
        tempfile.TemporaryDirectory(prefix="banyan-noise-") as name,
        sandbox(Path(name), scale=size.of(200, 60)) as stack,
    ):
        world = _World(stack=stack, folder=Path(name))
        everything = await questions(stack, _users(stack), items=size.of(5, 2))
        yield _respelt(*await _respelt_phase(world, everything, rounds=size.of(4, 1)))
        orders = [one for one in everything if one.route in _ROUTES]
        some = list(islice(cycle(orders), about_orders))
        noise = Noise(entity=_ENTITY, column=_NOISY, share=share)
        noisy = await world.phase("noisy", some, noise)
        for claim in _noisy(noisy, noise, shown(world.run, "--route", _ENTITY)):
            yield claim
        await _change(stack)
        yield _really_wrong(await world.phase("wrong", some, noise), noise)


@dataclass(frozen=True, kw_only=True)
class _World:
    stack: Stack
    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    async def phase(self, name: str, asked: Sequence[Question], noise: Noise | None) -> Phase:
        legacy = Unsteady(legacy=self.stack.urls["legacy"], seed=name, noise=noise)
        async with legacy.serving():
            with shadowing(
                self.stack,
                self.folder,
                name=name,
                SHADOW_NOISE_SHARE="1",
                LEGACY_REST_URL=legacy.url,
            ) as started:
                found = await ask(self.stack, started, asked, name=name)
        return Phase(name=name, asked=found, legacy=legacy, routes=reported(self.run, name))


async def _respelt_phase(
    world: _World, everything: Sequence[Question], *, rounds: int
) -> tuple[Phase, int]:
    return await world.phase("respelt", list(everything) * rounds, None), rounds


def _users(stack: Stack) -> list[str]:
    return [user.name for user in stack.users if not user.name.startswith("operator-")]


async def _change(stack: Stack) -> None:
    """The service's rows, with their stamps as they are: old enough to be no matter of lag."""
    database = await asyncpg.connect(stack.databases["services"])
    try:
        async with database.transaction():
            await database.execute(_MARK)
            await database.execute(_CHANGE)
    finally:
        await database.close()


# --- claims


def _how(phase: Phase) -> str:
    asked, legacy = sum(phase.asked.statuses.values()), phase.legacy
    return (
        f"a gateway at stage shadow with SHADOW_NOISE_SHARE=1, {asked} reads as the sample users; before the sandbox's legacy a stand-in that"
        " writes each answer anew: members and sets shuffled, instants with other offsets and fractions, numbers with other zeros, identifiers in"
        f" either case, other blanks and escapes; {legacy.rewritten} of its {legacy.answers} answers were other bytes than legacy's"
    )


def _respelt(phase: Phase, rounds: int) -> Claim:
    routes = phase.routes
    noise = sum(one["noise"]["mismatches"] for one in routes.values())
    wrong = sum(one["mismatches"] for one in routes.values())
    undecided = sum(sum(one["inconclusive"].values()) for one in routes.values())
    pairs = sum(one["pairs"] + one["noise"]["pairs"] for one in routes.values())
    lost = 2 * sum(phase.asked.statuses.values()) - pairs - undecided
    without = [one.route for one in exposed() if not routes[one.route]["noise"]["pairs"]]
    enough = phase.legacy.rewritten > phase.legacy.answers / 4
    return Claim(
        topic=TOPIC,
        claim="noise: legacy against itself and the service against it, in other spellings, that are no match",
        value=noise + wrong + undecided + lost,
        unit="pairs",
        target="0",
        ok=not (noise or wrong or undecided or lost or without) and enough and pairs > 0,
        n=pairs,
        how=f"{noise} as noise, {wrong} as mismatches, {undecided} inconclusive, {lost} not compared; lists and items of all {len(resources())} resources, {rounds} times;"
        f" routes without a pair: {', '.join(without) or 'none'}; {_how(phase)}",
    )


def _noisy(phase: Phase, noise: Noise, told: str) -> list[Claim]:
    how = f"{_ENTITY}.{_NOISY} of one row was another in {noise.share:.0%} of legacy's answers; {_how(phase)}"
    off, made, counts = 0, 0, []
    for route in _ROUTES:
        first, either = phase.made_noisy(route)
        column = phase.routes[route]["fields"][_NOISY]
        off += abs(column["noise"]["wrong"] - either) + abs(column["wrong"] - first)
        made += either
        counts.append(_counts(column))
    shown_lines = [line for line in told.splitlines() if line.split()[:1] == [_NOISY]]
    shown_noise = sum("noise value" in line for line in shown_lines)
    failed = [
        f"{route} {name or 'route'}"
        for route in _ROUTES
        for name, outcome in _outcomes(phase.routes[route])
        if outcome == Outcome.FAIL
    ]
    blind = [judged(_without_noise(one), READ_PARITY).outcome for one in counts]
    return [
        Claim(
            topic=TOPIC, claim="noise: pairs of legacy with itself that were made to differ and are not counted as noise of their column",
            value=off, unit="pairs", target="0", ok=not off and made > 0 and shown_noise == len(_ROUTES), n=made,
            how=f"what the stand-in made noisy, by correlation id, against the noise tally and the service's; `banyan shadow report --route` shows it"
            f" in {shown_noise} of {len(_ROUTES)} lines of the column; {how}",
        ),
        Claim(
            topic=TOPIC, claim="noise: columns and routes of a service that is right, failed for legacy's noise", value=len(failed),
            unit="verdicts", target="0", ok=not failed and set(blind) == {Outcome.FAIL},
            n=sum(1 + len(phase.routes[route]["fields"]) for route in _ROUTES),
            how=f"{', '.join(failed) or 'none'}; {_rates(counts)}; with the noise left in, its verdicts were {', '.join(blind)}; {how}",
        ),
    ]  # fmt: skip


def _really_wrong(phase: Phase, noise: Noise) -> Claim:
    missed, others = [], []
    for route in _ROUTES:
        for name, outcome in _outcomes(phase.routes[route]):
            fails = outcome == Outcome.FAIL
            if name in ("", _WRONG) and not fails:
                missed.append(f"{route} {name or 'route'}")
            elif name not in ("", _WRONG) and fails:
                others.append(f"{route} {name}")
    counts = [_counts(phase.routes[route]["fields"][_WRONG]) for route in _ROUTES]
    return Claim(
        topic=TOPIC, claim="noise: a column that is really wrong, beside the noisy one, that does not fail", value=len(missed) + len(others),
        unit="verdicts", target="0", ok=not (missed or others), n=2 * len(_ROUTES),
        how=f"{_ENTITY}.{_WRONG} of every row changed in the service's database; {_rates(counts)}; not failed: {', '.join(missed) or 'none'};"
        f" other columns failed: {', '.join(others) or 'none'}; {_ENTITY}.{_NOISY} as noisy as before; {_how(phase)}",
    )  # fmt: skip


def _outcomes(route: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of the route, under an empty name, and of its columns."""
    fields = [(name, one["outcome"]) for name, one in route["fields"].items()]
    return [("", route["outcome"]), *fields]


def _counts(column: Mapping[str, Any]) -> Counts:
    return Counts(
        pairs=column["pairs"],
        wrong=column["wrong"],
        noise_pairs=column["noise"]["pairs"],
        noise_wrong=column["noise"]["wrong"],
    )


def _without_noise(counts: Counts) -> Counts:
    return Counts(pairs=counts.pairs, wrong=counts.wrong)


def _rates(counts: Sequence[Counts]) -> str:
    words = (
        f"wrong {one.wrong}/{one.pairs}, noise {one.noise_wrong}/{one.noise_pairs}"
        for one in counts
    )
    return f"lists and items: {'; '.join(words)}"
