"""What callers notice of a candidate that does harm: their times with and without a shadow, in turns, in one run."""

import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.claim import Claim
from benchmarks.corpus.steady import Steady, steady
from benchmarks.corpus.under_test import UnderTest, under_test, user
from benchmarks.corpus.upstream import Exchange, Step, Upstream
from benchmarks.cost.bodies import LARGE
from benchmarks.cost.place import ROOT
from benchmarks.shadow.candidate import SAYS, Trouble
from benchmarks.shadow.control import control
from benchmarks.size import Size
from catalog.stage import Stage
from runtime.settings import inherited_environment

TOPIC = "shadow"
PER_SECOND = 200
_CONNECTIONS = 40
_TARGET = LARGE.target.encode()
_MOST_RATIO = 1.05
_MOST_MORE_MS = 2.0
_MOST_GROWTH_MB = 50
_MOST_PAIRS = 256
_LOOK_SECONDS = 0.25
_SETTLED_SECONDS = 60.0
_WORD = re.compile('(?:reason|result)="([a-z_]+)"')
_PROC = Path("/proc")


@dataclass(kw_only=True)
class Seen:
    """Of one trouble: what callers saw with the shadow off and on, turn by turn, and what the gateway held meanwhile."""

    off: list[Steady] = field(default_factory=list)
    on: list[Steady] = field(default_factory=list)
    pairs: float = 0.0
    growth_mb: float = 0.0

    def more_ms(self, share: float) -> float:
        """Median over the turns of what the shadow adds to this percentile."""
        return statistics.median(1000 * more for more, _ in self._turns(share))

    def ratio(self, share: float) -> float:
        return statistics.median(ratio for _, ratio in self._turns(share))

    def _turns(self, share: float) -> Iterator[tuple[float, float]]:
        for off, on in zip(self.off, self.on, strict=True):
            one, other = off.percentile(share), on.percentile(share)
            yield other - one, other / one

    @property
    def failed(self) -> int:
        return sum(one.requests - one.statuses[200] for one in (*self.off, *self.on))


async def run(size: Size) -> AsyncIterator[Claim]:
    """Brings its gateways, the upstreams and a PostgreSQL of its own."""
    legacy = Upstream(_legacy)
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        folder = Path(name)
        async with control(folder) as settings, legacy.serving():
            with _candidate() as candidate:
                both = {**settings, "LEGACY_REST_URL": legacy.url, "READ_DEADLINE_SECONDS": "5"}
                off = {**both, "SHADOW_SHARE": "0"}
                with (
                    under_test(
                        folder, candidate, settings=off, name="off", stage=Stage.SHADOW
                    ) as without,
                    under_test(
                        folder, candidate, settings=both, name="on", stage=Stage.SHADOW
                    ) as with_,
                ):
                    for claim in await _measured(size, candidate, without, with_):
                        yield claim


async def _measured(
    size: Size, candidate: str, without: UnderTest, with_: UnderTest
) -> list[Claim]:
    seconds, turns = size.of(5.0, 1.0), size.of(6, 1)
    await _be(candidate, Trouble.NONE)
    for gateway in (without, with_):
        await _press(gateway, size.of(5.0, 0.5))
    before = await _settled(with_)
    base = _resident_mb(with_.pid)
    found = {}
    for trouble in SAYS:
        await _be(candidate, trouble)
        seen = found[trouble] = Seen()
        async with _watched(with_, base, seen):
            for turn in range(turns):
                order = (without, with_) if turn % 2 else (with_, without)
                for gateway in order:
                    kept = seen.off if gateway is without else seen.on
                    kept.append(await _press(gateway, seconds))
    return [*_claims(found, before, await _settled(with_))]


async def _press(gateway: UnderTest, seconds: float) -> Steady:
    return await steady(
        gateway, user(1), _TARGET, per_second=PER_SECOND, seconds=seconds, connections=_CONNECTIONS
    )


def _legacy(exchange: Exchange) -> Sequence[Step]:
    return (_LEGACY,)


_ROWS = LARGE.legacy.encode()
_LEGACY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_ROWS),
    _ROWS,
)


@contextmanager
def _candidate() -> Iterator[str]:
    """Its URL. It has a process of its own, or its floods would delay those who measure."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.shadow.candidate"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=inherited_environment(),
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def _be(candidate: str, trouble: Trouble) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"{candidate}/be/{trouble}")).raise_for_status()


class _Watch:
    """Looks at the gateway several times a second: an `async with` of what is to be watched."""

    def __init__(self, gateway: UnderTest, base_mb: float, seen: Seen) -> None:
        self._gateway, self._base, self._seen = gateway, base_mb, seen
        self._task: asyncio.Task[None] | None = None
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> None:
        await self._group.__aenter__()
        self._task = self._group.create_task(self._look())

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await self._group.__aexit__(None, None, None)

    async def _look(self) -> None:
        while True:
            counts = await _metrics(self._gateway)
            self._seen.pairs = max(self._seen.pairs, counts["banyan_shadow_in_flight"])
            growth = _resident_mb(self._gateway.pid) - self._base
            self._seen.growth_mb = max(self._seen.growth_mb, growth)
            await asyncio.sleep(_LOOK_SECONDS)


_watched = _Watch


async def _settled(gateway: UnderTest) -> dict[str, float]:
    """The numbers once nothing is compared any more."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLED_SECONDS
    while True:
        counts = await _metrics(gateway)
        busy = sum(counts[f"banyan_shadow_{name}"] for name in ("in_flight", "second_readings"))
        if not busy or loop.time() > deadline:
            return counts
        await asyncio.sleep(_LOOK_SECONDS)


async def _metrics(gateway: UnderTest) -> dict[str, float]:
    """The numbers of /metrics, all lines of a family added up, and those of pairs by result or reason as well."""
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(f"http://{gateway.authority.decode()}/metrics")).text
    found: dict[str, float] = {}
    for line in page.splitlines():
        if line.startswith("banyan_shadow"):
            name, _, value = line.rpartition(" ")
            family = name.partition("{")[0]
            found[family] = found.get(family, 0.0) + float(value)
            word = _WORD.search(name)
            if word and 'candidate="noise"' not in name:
                found[word[1]] = found.get(word[1], 0.0) + float(value)
    return found


def _resident_mb(pid: int) -> float:
    """Of the process and its comparator."""
    children = (_PROC / str(pid) / "task" / str(pid) / "children").read_text().split()
    pages = sum(
        int((_PROC / one / "statm").read_text().split()[1]) for one in (str(pid), *children)
    )
    return pages * 4096 / 1024 / 1024


def _claims(
    found: Mapping[Trouble, Seen], before: Mapping[str, float], after: Mapping[str, float]
) -> Iterator[Claim]:
    compared = before.get("match", 0.0)
    became = {
        word: after[word] - before.get(word, 0.0)
        for word in sorted(after)
        if not word.startswith("banyan") and after[word] > before.get(word, 0.0)
    }
    what = ", ".join(f"{word} {count:.0f}" for word, count in became.items())
    for trouble, seen in found.items():
        how = (
            f"{PER_SECOND} reads a second of 20 KB, two gateways in turns, {len(seen.on)} turns each, shadow behind all reads and behind none;"
            f" p50 {seen.more_ms(0.5):+.2f} ms ({seen.ratio(0.5):.3f} times), p99 {seen.more_ms(0.99):+.2f} ms ({seen.ratio(0.99):.3f} times);"
            f" {compared:.0f} pairs were compared before, with a candidate that is well"
        )
        worst = max(seen.more_ms(0.5), seen.more_ms(0.99))
        close = all(
            seen.ratio(share) <= _MOST_RATIO or seen.more_ms(share) <= _MOST_MORE_MS
            for share in (0.5, 0.99)
        )
        yield Claim(
            topic=TOPIC, claim=f"isolation: what callers wait longer while the candidate {SAYS[trouble]}", value=round(worst, 2),
            unit="ms at p50 or p99, whichever is more", target=f"<= {_MOST_MORE_MS:g}, or <= 5 %", ok=close and compared > 0,
            n=sum(one.requests for one in seen.on), how=how,
        )  # fmt: skip
    failed = sum(seen.failed for seen in found.values())
    requests = sum(one.requests for seen in found.values() for one in (*seen.off, *seen.on))
    pairs = max(seen.pairs for seen in found.values())
    growth = {trouble: seen.growth_mb for trouble, seen in found.items()}
    everything = f"over all {len(found)} troubles; {what}"
    yield Claim(
        topic=TOPIC, claim="isolation: reads that fail", value=failed, unit="reads", target="0", ok=failed == 0, n=requests, how=everything,
    )  # fmt: skip
    asked = sum(one.requests for seen in found.values() for one in seen.on)
    lost = asked - sum(became.values())
    yield Claim(
        topic=TOPIC, claim="isolation: reads of which nobody can say what became of their pair", value=abs(lost), unit="reads", target="0",
        ok=lost == 0 and became.get("mismatch", 0) > 0, n=asked, how=f"compared, inconclusive or shed, each counted once, {everything}",
    )  # fmt: skip
    yield Claim(
        topic=TOPIC, claim="isolation: shadow reads in flight", value=pairs, unit="at most, as seen four times a second",
        target=f"<= {_MOST_PAIRS}", ok=0 < pairs <= _MOST_PAIRS, n=requests, how=everything,
    )  # fmt: skip
    yield Claim(
        topic=TOPIC, claim="isolation: memory that the gateway and its comparator grow by", value=round(max(growth.values()), 1), unit="MB",
        target=f"< {_MOST_GROWTH_MB}", ok=max(growth.values()) < _MOST_GROWTH_MB, n=len(growth),
        how="; ".join([everything, *(f"{trouble} {grown:.1f}" for trouble, grown in growth.items())]),
    )  # fmt: skip
