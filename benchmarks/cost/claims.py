"""The sentences about cost, each with the figure that decides it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.claim import Claim
from benchmarks.cost.bodies import LARGE, SMALL
from benchmarks.cost.peers import banyan, envoy, fastify, haproxy, naive, nginx
from benchmarks.cost.rounds import Row, Setting, ratio
from benchmarks.cost.variant import Variant

TOPIC = "gateway"
SETTINGS = tuple(Setting(answer=a, connections=c) for a in (SMALL, LARGE) for c in (8, 32))
AT_8, AT_32 = SETTINGS[:2]

OURS = banyan.FULL
NAIVE = naive.VARIANTS[0]
FASTIFY = fastify.VARIANTS[0]
ENVOY = envoy.VARIANTS[0]
HAPROXY = haproxy.VARIANTS[0]
NGINX = nginx.VARIANTS[0]


@dataclass(frozen=True, kw_only=True)
class Line:
    """`of` costs so many times as much as `to`: at least, or at most, `bound` times."""

    says: str
    of: Variant
    to: Variant
    bound: float
    at_least: bool
    at: Setting = AT_32

    @property
    def target(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"

    def holds(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


LINES = (
    Line(says="than naive Starlette and httpx", of=NAIVE, to=OURS, bound=40, at_least=True),
    Line(
        says="than naive Starlette and httpx",
        of=NAIVE,
        to=OURS,
        bound=20,
        at_least=True,
        at=AT_8,
    ),
    Line(says="than Fastify with cached tokens", of=FASTIFY, to=OURS, bound=3, at_least=True),
    Line(says="than Envoy with cached tokens", of=ENVOY, to=OURS, bound=1.7, at_least=True),
    Line(says="of HAProxy with jwt_verify", of=OURS, to=HAPROXY, bound=2, at_least=False),
    Line(says="of nginx with Lua and cached tokens", of=OURS, to=NGINX, bound=3, at_least=False),
    Line(says="of its own bare proxying", of=OURS, to=banyan.BARE, bound=1.5, at_least=False),
)


def claims(rows: Sequence[Row]) -> Iterator[Claim]:
    """One per line, also for what could not be measured."""
    by_name = {row.variant.name: row for row in rows}
    for line in LINES:
        yield _claim(line, by_name)


def _claim(line: Line, rows: Mapping[str, Row]) -> Claim:
    of, to = rows.get(line.of.name), rows.get(line.to.name)
    measured = ratio(of, to, line.at) if of and to else None
    doubts = [doubt for row in (of, to) if row for doubt in _doubts(row, line.at)]
    value, rounds = measured or (0.0, 0)
    cheaper = "times cheaper" if line.at_least else "times the cost"
    return Claim(
        topic=TOPIC,
        claim=f"cost: full at {line.at.name}: {cheaper} {line.says}",
        value=round(value, 3),
        unit="times",
        target=line.target,
        ok=measured is not None and not doubts and line.holds(value),
        n=rounds,
        how="; ".join([*_figures(line, of, to, rounds), *doubts]),
    )


def _doubts(row: Row, setting: Setting) -> Iterator[str]:
    name = row.variant.name
    if row.not_here:
        yield f"{name}: not here ({row.not_here})"
    if row.faults:
        yield f"{name} does not do the work: {', '.join(row.faults)}"
    rounds = row.rounds.get(setting, [])
    yield from (f"{name}: a void round ({one.void})" for one in rounds if one.void)


def _figures(line: Line, of: Row | None, to: Row | None, rounds: int) -> Iterator[str]:
    yield f"CPU per request of the process tree, median of the ratios within {rounds} interleaved rounds"
    if of is None or to is None:
        yield "not part of this run"
        return
    for row in (of, to):
        mean = row.mean_us(line.at)
        if mean is not None:
            yield f"{row.variant.name} {mean:.1f} us"
    for setting in SETTINGS:
        other = ratio(of, to, setting) if setting != line.at else None
        if other is not None:
            yield f"{setting.name}: {other[0]:.2f}"
