"""The measurement: all variants started once, then measured in turns, A B C, A B C."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cost import upstream
from benchmarks.cost.bodies import Answer
from benchmarks.cost.conduct import faults
from benchmarks.cost.crowd import Crowd
from benchmarks.cost.load import Load, press
from benchmarks.cost.place import Place, Tell, free_port
from benchmarks.cost.processor import Cores, TreeChanged, core_time, spent
from benchmarks.cost.upstream import READY_SECONDS
from benchmarks.cost.variant import Variant
from catalog.stage import Side
from sandbox.children import Child, ChildDied, ChildSilent, last_lines, start


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is asked for, and by how many at once."""

    answer: Answer
    connections: int
    rest_ms: int = 0
    """That each connection rests between an answer and its next request; 0: as fast as it is answered."""

    @property
    def name(self) -> str:
        pace = f" that rest for {self.rest_ms} ms" if self.rest_ms else ""
        return f"{self.answer.name}, {self.connections} connections{pace}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured."""

    settings: Sequence[Setting]
    rounds: int
    seconds: int
    slow_seconds: int
    """For variants so slow that too few requests would be counted."""
    warm_up_seconds: int
    """Once per variant, for compilers and caches; a third of it again before each setting."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One variant, once. `void` says why the figures count for nothing; empty if they count."""

    load: Load | None = None
    cpu_us: float = 0.0
    """CPU per request of the variant's whole process tree, microseconds."""
    kernel_share: float = 0.0
    waits: float = 0.0
    """Times per request that it gave its core away to wait."""
    own_load: float = 0.0
    """How much of its core it used, 0 to 1."""
    foreign_load: float = 0.0
    """How much of that core others took from it."""
    rest_core: float = 0.0
    """Load of the other core, by whomever."""
    void: str = ""


@dataclass(kw_only=True)
class Row:
    """One variant: why it was not measured, or what it did wrong, and its rounds by setting."""

    variant: Variant
    not_here: str = ""
    faults: list[str] = field(default_factory=list)
    rounds: dict[Setting, list[Round]] = field(default_factory=dict)

    def good(self, setting: Setting) -> list[Round]:
        return [one for one in self.rounds.get(setting, []) if not one.void]

    def mean_us(self, setting: Setting) -> float | None:
        good = self.good(setting)
        return statistics.fmean(one.cpu_us for one in good) if good else None


def ratio(of: Row, to: Row, setting: Setting) -> tuple[float, int] | None:
    """How many times as much `of` costs as `to`: median over the rounds of the ratio within a round; and how many rounds."""
    pairs = zip(of.rounds.get(setting, []), to.rounds.get(setting, []), strict=False)
    ratios = [a.cpu_us / b.cpu_us for a, b in pairs if not (a.void or b.void) and b.cpu_us]
    return (statistics.median(ratios), len(ratios)) if ratios else None


def measure(
    variants: Sequence[Variant],
    plan: Plan,
    folder: Path,
    tell: Tell,
    wanted: Callable[[Variant, Setting], bool] = lambda variant, setting: True,
) -> list[Row]:
    """A row per variant, whatever becomes of it. Blocks until all is measured."""
    cores, crowd = Cores.here(), Crowd()
    tokens = folder / "tokens"
    tokens.write_text("".join(f"{user.token}\n" for user in crowd.users))
    with upstream.running(folder / "upstream", cores) as side, ExitStack() as running:
        rows, started = [], []
        for variant in variants:
            port = side.port(Side.SERVICE) if variant.command is None else free_port()
            place = Place(
                folder=folder / variant.slug, port=port, cores=cores, upstream=side, crowd=crowd
            )
            row = Row(variant=variant, not_here=variant.missing())
            rows.append(row)
            if not row.not_here:
                try:
                    child = running.enter_context(_started(variant, place))
                except (ChildDied, ChildSilent) as error:
                    row.not_here = f"{type(error).__name__} at its start"
                    tell("\n".join(last_lines(error.command.log)))
                else:
                    row.faults = faults(variant, place)
                    started.append(_Running(row=row, place=place, child=child, tokens=tokens))
            tell(f"{variant.name}: {row.not_here or '; '.join(row.faults) or 'ready'}")
        if plan.warm_up_seconds:
            for one in started:
                one.press(plan.settings[-1], plan.warm_up_seconds)
        for setting in plan.settings:
            here = [one for one in started if wanted(one.row.variant, setting)]
            _setting(setting, here, plan, tell)
    return rows


def _setting(setting: Setting, here: "Sequence[_Running]", plan: Plan, tell: Tell) -> None:
    if plan.warm_up_seconds:
        for one in here:
            one.press(setting, max(1, plan.warm_up_seconds // 3))
    for number in range(plan.rounds):
        for one in here:
            slow = one.row.variant.slow
            measured = one.round(setting, plan.slow_seconds if slow else plan.seconds)
            one.row.rounds.setdefault(setting, []).append(measured)
            tell(f"{setting.name}, round {number + 1}: {one.row.variant.name}: {_figure(measured)}")


def _figure(measured: Round) -> str:
    if measured.void or measured.load is None:
        return f"void: {measured.void}"
    requests = f"{measured.load.requests} requests"
    return f"{measured.cpu_us:.1f} us, {requests}" if measured.cpu_us else requests


@contextmanager
def _started(variant: Variant, place: Place) -> Iterator[Child | None]:
    if variant.command is None:
        yield None
        return
    place.folder.mkdir()
    child = start(variant.command(place))
    try:
        child.wait(lambda: upstream.answers(place.port), within=READY_SECONDS)
        yield child
    finally:
        child.stop()


@dataclass(frozen=True, kw_only=True)
class _Running:
    row: Row
    place: Place
    child: Child | None
    tokens: Path

    def press(self, setting: Setting, seconds: int) -> Load:
        return press(
            self.place.port,
            setting.answer.target,
            tokens=self.tokens,
            connections=setting.connections,
            seconds=seconds,
            core=self.place.cores.rest,
            rest_ms=setting.rest_ms,
        )

    def round(self, setting: Setting, seconds: int) -> Round:
        cores = self.place.cores
        gateway, rest = core_time(cores.gateway), core_time(cores.rest)
        try:
            before = spent(self.child.pid) if self.child else None
            load = self.press(setting, seconds)
            used = spent(self.child.pid).since(before) if self.child and before else None
        except TreeChanged:
            return Round(void="a process of it came or went")
        gateway_core = core_time(cores.gateway).load_since(gateway)
        rest_core = core_time(cores.rest).load_since(rest)
        own_load = used.nanoseconds / 1e9 / load.seconds if used else 0.0
        void = _void(load)
        if used is None or not load.requests:
            return Round(load=load, rest_core=rest_core, foreign_load=gateway_core, void=void)
        ticks = used.user_seconds + used.kernel_seconds
        return Round(
            load=load,
            cpu_us=used.nanoseconds / load.requests / 1000,
            kernel_share=used.kernel_seconds / ticks if ticks else 0.0,
            waits=used.waits / load.requests,
            own_load=own_load,
            foreign_load=max(0.0, gateway_core - own_load),
            rest_core=rest_core,
            void=void,
        )


def _void(load: Load) -> str:
    if not load.requests:
        return "no request was answered"
    if load.not_2xx:
        return f"{load.not_2xx} of {load.requests} answers were not 2xx"
    if load.broken:
        return f"{load.broken} connections broke or timed out"
    return ""
