"""Security of the data plane: the corpus case by case, and honest users beside a hostile upstream."""

import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.corpus.answers import ANSWERS
from benchmarks.corpus.case import Case, UpstreamCase
from benchmarks.corpus.hostile import Hostile
from benchmarks.corpus.mixed import Mixture, mix
from benchmarks.corpus.play import Outcome, play
from benchmarks.corpus.provoke import Scripted, Sight, provoke
from benchmarks.corpus.requests import REQUESTS
from benchmarks.corpus.under_test import UnderTest, under_test, user
from benchmarks.corpus.upstream import Upstream
from benchmarks.size import Size

TOPIC = "gateway"
MOST_GROWTH_MB = 5.0
_MIXED_USERS = 8


async def run(size: Size) -> AsyncIterator[Claim]:
    """Every claim of the corpus. Brings its own gateway and upstreams."""
    for measured in (requests, answers, mixed):
        async for claim in measured(size):
            yield claim


# --- requests


async def requests(size: Size) -> AsyncIterator[Claim]:
    """Each request case once."""
    cases = _some(REQUESTS.values(), size)
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with Upstream().serving() as upstream:
            with under_test(Path(name), upstream.url) as gateway:
                outcomes = await play_all(cases, gateway, upstream)
                growth = await _growth(gateway, upstream)
    refused = [outcome for outcome in outcomes if outcome.case.refused]
    forwarded = [outcome for outcome in refused if outcome.seen]
    yield _claim(
        "corpus: requests of refused cases that reached the upstream",
        sum(len(outcome.seen) for outcome in forwarded),
        "requests",
        len(refused),
        f"raw bytes to a real gateway process, whose services are one recording upstream{_names(forwarded)}",
    )
    still_open = [outcome for outcome in refused if not outcome.closed]
    yield _claim(
        "corpus: refused cases whose connection stays open",
        len(still_open),
        "connections",
        len(refused),
        f"each refusal is an answer and then the end of the connection{_names(still_open)}",
    )
    wrong = [outcome for outcome in outcomes if outcome.problems]
    yield _claim(
        "corpus: request cases that do not go as their row says",
        len(wrong),
        "cases",
        len(outcomes),
        "answers, end of the connection, what the upstream saw (own strict reader and h11), the next request in step"
        + _names(wrong),
    )
    yield Claim(
        topic=TOPIC,
        claim="corpus: memory that oversized requests leave behind",
        value=round(growth, 2),
        unit="MB of resident memory",
        target=f"< {MOST_GROWTH_MB:g}",
        ok=growth < MOST_GROWTH_MB,
        n=20,
        how="each case that is over a size, 20 times after a first round",
    )


def _some(cases: Iterable[Case], size: Size) -> list[Case]:
    """At the small size without those that wait for seconds."""
    return [
        case
        for case in cases
        if size is Size.FULL or case.vector != "slow header / slow body / idle"
    ]


async def play_all(cases: Iterable[Case], gateway: UnderTest, upstream: Upstream) -> list[Outcome]:
    """One after the other: what the upstream sees belongs to the case that is played."""
    by = user(1)
    return [await play(case, gateway, upstream, by) for case in cases]


async def _growth(gateway: UnderTest, upstream: Upstream) -> float:
    """MB of resident memory that 20 rounds of oversized cases add."""
    oversized = [case for case in REQUESTS.values() if case.vector.startswith("headers > 16 KB")]
    quick = [
        case for case in oversized if "never" not in case.name and "without-end" not in case.name
    ]
    await play_all(quick, gateway, upstream)
    before = _resident_mb(gateway.pid)
    for _ in range(20):
        await play_all(quick, gateway, upstream)
    return max(0.0, _resident_mb(gateway.pid) - before)


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmRSS")


# --- answers


async def answers(size: Size) -> AsyncIterator[Claim]:
    """Each upstream case once."""
    cases = [
        case for case in ANSWERS.values() if size is Size.FULL or case.vector != "drips or hangs"
    ]
    scripted = Scripted()
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with Upstream(scripted).serving() as upstream:
            with under_test(Path(name), upstream.url) as gateway:
                sights = await provoke_all(cases, gateway, scripted)
    wrong = [sight for sight in sights if sight.problems]
    yield _claim(
        "corpus: misbehaving upstreams of which a client sees anything but its row",
        len(wrong),
        "cases",
        len(sights),
        "status, problem code and body to the byte, times asked, and the next requests of another user"
        + _names(wrong),
    )


async def provoke_all(
    cases: Iterable[UpstreamCase], gateway: UnderTest, scripted: Scripted
) -> list[Sight]:
    """One after the other, by one user; the requests behind each are another's."""
    by, other = user(1), user(2)
    return [await provoke(case, gateway, scripted, by, other) for case in cases]


# --- mixed


async def mixed(size: Size) -> AsyncIterator[Claim]:
    """Honest requests of several users, a hostile upstream."""
    users = [user(number) for number in range(_MIXED_USERS)]
    hostile = Hostile(users, seed=7)
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with Upstream(hostile).serving() as upstream:
            with under_test(Path(name), upstream.url) as gateway:
                mixture = await mix(
                    gateway, hostile, users, requests=size.of(100_000, 1_600), connections=16
                )
    answered = ", ".join(
        f"{count} x {status}" for status, count in sorted(mixture.statuses.items())
    )
    how = (
        f"{_MIXED_USERS} users mixed over 16 keep-alive connections, up to 4 requests in one segment; the upstream adds stray answers of"
        f" other users behind HEAD, 304 and Content-Length and on idle connections, cuts, resets, frames wrongly, hangs;"
        f" {answered}, {mixture.cut} cut off{_examples(mixture)}"
    )
    yield _claim(
        "hostile upstream: bytes of one user's answer seen by another",
        mixture.foreign_bytes,
        "bytes",
        mixture.requests,
        how,
    )
    yield _claim(
        "hostile upstream: answers that are neither right nor an honest 502, 503 or 504",
        mixture.wrong + mixture.hung,
        "answers",
        mixture.requests,
        how,
    )


def _examples(mixture: Mixture) -> str:
    return f"; first: {'; '.join(mixture.examples[:3])}" if mixture.examples else ""


def _claim(claim: str, value: int, unit: str, n: int, how: str) -> Claim:
    return Claim(
        topic=TOPIC, claim=claim, value=value, unit=unit, target="0", ok=value == 0, n=n, how=how
    )


def _names(found: list[Outcome] | list[Sight]) -> str:
    names = [one.case.name for one in found]
    return f"; {', '.join(names)}" if names else ""
