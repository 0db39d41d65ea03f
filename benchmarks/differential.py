"""Other proxies' readings of the corpus: nginx and HAProxy in front of the gateway, and behind it."""

import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.corpus.case import Case
from benchmarks.corpus.differ import Passage, pass_through
from benchmarks.corpus.fronts import FRONTS, Front, NotHere, find, front, install
from benchmarks.corpus.play import Outcome
from benchmarks.corpus.requests import REQUESTS
from benchmarks.corpus.tap import Tap
from benchmarks.corpus.under_test import UnderTest, under_test, user
from benchmarks.corpus.upstream import Upstream
from benchmarks.security import play_all
from benchmarks.size import Size

TOPIC = "gateway"


async def run(size: Size) -> AsyncIterator[Claim]:
    """Both proxies on both sides. Installs them from Debian where it may (full size only)."""
    if size is Size.FULL:
        install()
    for name in FRONTS:
        async for claim in with_front(name, size):
            yield claim


async def with_front(name: str, size: Size) -> AsyncIterator[Claim]:
    """One proxy on both sides."""
    try:
        find(name)
    except NotHere as missing:
        for where in ("in front of", "behind"):
            yield _claim(f"differential: {name} {where} the gateway", None, 0, str(missing))
        return
    before = await in_front(name, _chosen(size))
    wrong = [passage for passage in before if passage.disagreements]
    earlier = sum(not passage.sent_on for passage in before)
    yield _claim(
        f"differential: cases that {name} in front of the gateway reads otherwise",
        len(wrong),
        len(before),
        (
            f"what it put on the wire (tapped) against the gateway's answers and the upstream's view: count, method, target, body;"
            f" of {sum(p.sent_on for p in before)} requests that it passed on the gateway accepted {sum(p.accepted for p in before)};"
            f" {earlier} cases it refused itself{_named(wrong)}"
        ),
    )
    accepted = [case for case in _chosen(size) if case.views]
    after = await behind(name, accepted)
    odd = [outcome for outcome in after if outcome.problems]
    yield _claim(
        f"differential: cases that the gateway accepts and {name} behind it reads otherwise",
        len(odd),
        len(after),
        f"statuses, and method, target and body at an upstream behind {name}, as without it{_named(odd)}",
    )


def _chosen(size: Size) -> list[Case]:
    """At the small size: all that is accepted, and every sixth of the rest; without those that wait for seconds."""
    if size is Size.FULL:
        return list(REQUESTS.values())
    quick = [case for case in REQUESTS.values() if "slow" not in case.vector]
    refused = [case for case in quick if not case.views]
    return [case for case in quick if case.views] + refused[::6]


async def in_front(name: str, cases: Iterable[Case]) -> list[Passage]:
    """client -> front -> tap -> gateway -> upstream."""
    async with _Rig() as rig:
        gateway = rig.gateway(rig.upstream.url)
        tap = await rig.tap(gateway.port)
        proxy = rig.front(name, tap.port)
        by = user(1)
        return [await pass_through(case, proxy, tap, rig.upstream, by) for case in cases]


async def behind(name: str, cases: Sequence[Case]) -> list[Outcome]:
    """client -> gateway -> front -> upstream."""
    async with _Rig() as rig:
        proxy = rig.front(name, rig.upstream.port)
        gateway = rig.gateway(f"http://127.0.0.1:{proxy.port}")
        return await play_all(cases, gateway, rig.upstream)


class _Rig:
    """A folder and an upstream, and what is put between; all of it ends with the block."""

    def __init__(self) -> None:
        self._running = AsyncExitStack()
        self.upstream = Upstream()

    async def __aenter__(self) -> "_Rig":
        name = self._running.enter_context(tempfile.TemporaryDirectory(prefix="banyan-bench-"))
        self._folder = Path(name)
        await self._running.enter_async_context(self.upstream.serving())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._running.aclose()

    def gateway(self, service_url: str) -> UnderTest:
        return self._running.enter_context(under_test(self._folder, service_url))

    async def tap(self, port: int) -> Tap:
        return await self._running.enter_async_context(Tap(port).tapping())

    def front(self, name: str, port: int) -> Front:
        return self._running.enter_context(front(name, self._folder / name, port))


def _named(found: Sequence[Passage] | Sequence[Outcome]) -> str:
    if not found:
        return ""
    return "; " + ", ".join(one.case.name for one in found)


def _claim(claim: str, value: int | None, n: int, how: str) -> Claim:
    """`value` None: the proxy is not here, so nothing is shown."""
    return Claim(
        topic=TOPIC,
        claim=claim,
        value=value or 0,
        unit="cases",
        target="0",
        ok=value == 0,
        n=n,
        how=how,
    )
