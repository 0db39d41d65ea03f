"""Faults behind the gateway and in front of it: how far one of them reaches."""

import asyncio
import random
import re
import statistics
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx

from benchmarks.claim import Claim
from benchmarks.corpus.case import Close, Pause
from benchmarks.corpus.line import Line
from benchmarks.corpus.steady import Steady, ask, steady
from benchmarks.corpus.under_test import UnderTest, User, under_test, user
from benchmarks.corpus.upstream import Exchange, Step, Upstream, good_answer
from benchmarks.size import Size
from catalog.service import Service

TOPIC = "gateway"
MOST_AMPLIFICATION = 1.2
MOST_RATIO = 1.10
MOST_DIFFERENCE_MS = 2.0
BUSY_SECONDS = 0.25
_SCHEDULING_SECONDS = 0.1
_GONE_WITHIN_SECONDS = 15.0
_LAB_ORDERS = b"/v2/lab-orders"
_APPOINTMENTS = b"/v2/appointments"


async def run(size: Size) -> AsyncIterator[Claim]:
    """Every claim about faults. Brings its own gateways and upstreams."""
    for measured in (amplification, isolation, full_pool, aborts):
        async for claim in measured(size):
            yield claim


# --- an upstream that fails always


async def amplification(size: Size) -> AsyncIterator[Claim]:
    """How many requests reach an upstream that answers none, per request of a client."""
    upstream = Upstream(lambda exchange: (Close(reset=True),))
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with upstream.serving():
            with under_test(Path(name), upstream.url) as gateway:
                seen = await steady(
                    gateway,
                    user(1),
                    _LAB_ORDERS,
                    per_second=200,
                    seconds=size.of(20, 2),
                    connections=20,
                )
    hits, tried = len(upstream.seen), seen.statuses[502]
    yield Claim(
        topic=TOPIC,
        claim="faults: requests that reach an upstream that resets every connection",
        value=round(hits / seen.requests, 3),
        unit="upstream requests per client request",
        target=f"<= {MOST_AMPLIFICATION:g}",
        ok=0 < hits <= MOST_AMPLIFICATION * seen.requests,
        n=seen.requests,
        how=(
            f"{hits} arrived for {seen.requests} at 200 a second; the breaker let {tried} try, which is"
            f" {hits / max(tried, 1):.2f} for each of them ({_statuses(seen)})"
        ),
    )
    odd = seen.requests - seen.statuses[502] - seen.statuses[503] + seen.without_retry_after
    yield Claim(
        topic=TOPIC,
        claim="faults: answers while the upstream fails that are neither 502 nor 503 with Retry-After",
        value=odd,
        unit="answers",
        target="0",
        ok=odd == 0,
        n=seen.requests,
        how="the same requests; 503 is the open breaker",
    )


def _statuses(seen: Steady) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(seen.statuses.items()))


# --- a service that hangs beside one that does not


async def isolation(size: Size) -> AsyncIterator[Claim]:
    """p99 of one service's route, with another service hanging and with it well, in turns."""
    hanging = _Hanging()
    hung, well = Upstream(hanging), Upstream()
    ratios, differences = [], []
    failed = 0
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with hung.serving(), well.serving():
            with under_test(
                Path(name), well.url, services={Service.DIAGNOSTICS: hung.url}
            ) as gateway:
                await _pair_half(gateway, size)  # warm
                for pair in range(size.of(8, 2)):
                    p99 = {}
                    for hangs in (True, False) if pair % 2 else (False, True):
                        hanging.on = hangs
                        seen = await _pair_half(gateway, size)
                        failed += seen.requests - seen.statuses[200]
                        p99[hangs] = seen.percentile(0.99)
                        hanging.on = False
                        await _until_well(gateway)
                    ratios.append(p99[True] / p99[False])
                    differences.append(1000 * (p99[True] - p99[False]))
    ratio, difference = statistics.median(ratios), statistics.median(differences)
    yield Claim(
        topic=TOPIC,
        claim="faults: a service that hangs, seen from another service's route",
        value=round(ratio, 3),
        unit="median ratio of p99",
        target=f"<= {MOST_RATIO:g}, or <= {MOST_DIFFERENCE_MS:g} ms more",
        ok=failed == 0 and (ratio <= MOST_RATIO or difference <= MOST_DIFFERENCE_MS),
        n=len(ratios),
        how=(
            f"interleaved pairs; 300 reads a second of one route, 50 a second of the other, whose service hangs or does not;"
            f" median difference {difference:.2f} ms; ratios {', '.join(f'{one:.2f}' for one in ratios)}; {failed} reads failed"
        ),
    )


class _Hanging:
    """Answers, or while `on` never in time."""

    def __init__(self) -> None:
        self.on = False

    def __call__(self, exchange: Exchange) -> Sequence[Step]:
        if self.on:
            return (Pause(seconds=1.5), Close())
        return (good_answer(exchange.seen),)


async def _pair_half(gateway: UnderTest, size: Size) -> Steady:
    """The measured route, with the other one busy beside it."""
    seconds = size.of(60, 10) / 20
    beside = steady(gateway, user(2), _LAB_ORDERS, per_second=50, seconds=seconds, connections=50)
    measured = steady(
        gateway, user(1), _APPOINTMENTS, per_second=300, seconds=seconds, connections=12
    )
    seen, _ = await asyncio.gather(measured, beside)
    return seen


async def _until_well(gateway: UnderTest) -> None:
    """The breaker of the service that hung lets requests through again."""
    line = await Line.open(gateway.host, gateway.port)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 60
    in_a_row = 0
    while in_a_row < 3:
        if loop.time() > deadline:
            raise TimeoutError("the service is well, and the gateway does not ask it")
        answer = await ask(line, gateway, user(2))
        in_a_row = in_a_row + 1 if answer is not None and answer.status == 200 else 0
        await asyncio.sleep(0.02)
    line.close()


# --- more than the pool holds


async def full_pool(size: Size) -> AsyncIterator[Claim]:
    """How fast a request is told that there is no connection for it."""
    connections, more = 4, size.of(60, 12)
    upstream = Upstream(lambda exchange: (Pause(seconds=0.9), good_answer(exchange.seen)))
    settings = {"UPSTREAM_CONNECTIONS": str(connections)}
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with upstream.serving():
            with under_test(Path(name), upstream.url, settings=settings) as gateway:
                busy = await _told(gateway, connections, more)
    worst = max(seconds for _, seconds in busy)
    refused = sum(good for good, _ in busy)
    limit = BUSY_SECONDS + _SCHEDULING_SECONDS
    yield Claim(
        topic=TOPIC,
        claim="faults: a full pool is said with 503 and Retry-After",
        value=round(worst, 3),
        unit="seconds at p100",
        target=f"<= {BUSY_SECONDS:g} ({_SCHEDULING_SECONDS:g} more for scheduling)",
        ok=worst <= limit and refused == more,
        n=more,
        how=f"{connections} connections that an upstream holds for 0.9 s, then {more} requests at once; {refused} were 503 with Retry-After",
    )


async def _told(gateway: UnderTest, connections: int, more: int) -> list[tuple[bool, float]]:
    """Per surplus request: whether it was refused rightly, and after how long."""
    loop = asyncio.get_running_loop()
    by = user(1)
    async with asyncio.TaskGroup() as group:
        lines = [await Line.open(gateway.host, gateway.port) for _ in range(connections + more)]

        async def one(line: Line) -> tuple[bool, float]:
            began = loop.time()
            answer = await ask(line, gateway, by)
            good = answer is not None and answer.status == 503
            told = good and answer is not None and bool(answer.header(b"retry-after"))
            return told, loop.time() - began

        for line in lines[:connections]:
            group.create_task(one(line))
        await asyncio.sleep(0.1)
        surplus = [group.create_task(one(line)) for line in lines[connections:]]
    for line in lines:
        line.close()
    return [task.result() for task in surplus]


# --- clients that leave


async def aborts(size: Size) -> AsyncIterator[Claim]:
    """What clients that leave at any moment leave behind."""
    count = size.of(1000, 60)
    draw = random.Random(3)
    upstream = Upstream(_Slow(draw))
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with upstream.serving():
            with under_test(Path(name), upstream.url) as gateway:
                await _leave(gateway, draw, 20)
                before = await _settled(gateway, None)
                for _ in range(count // 20):
                    await _leave(gateway, draw, 20)
                after = await _settled(gateway, before)
    for gauge, what in _WATCHED.items():
        leaked = after[gauge] - before[gauge]
        yield Claim(
            topic=TOPIC,
            claim=f"faults: {what} left behind by clients that leave",
            value=leaked,
            unit=what,
            target="0",
            ok=leaked <= 0,
            n=count // 20 * 20,
            how=(
                "20 at a time, by FIN or RST, after nothing, part of a head, a head, part of a body, part of an answer of 2 MB;"
                f" {gauge} went from {before[gauge]:g} to {after[gauge]:g}"
            ),
        )


_WATCHED = {
    "banyan_tasks": "tasks",
    "banyan_client_connections": "client connections",
    "busy": "busy upstream connections",
    "banyan_inflight_requests": "requests in flight",
}


class _Slow:
    """Answers late, or much."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def __call__(self, exchange: Exchange) -> Sequence[Step]:
        if self._draw.random() < 0.5:
            return (Pause(seconds=self._draw.random() * 0.05), good_answer(exchange.seen))
        head, _, _ = good_answer(exchange.seen).partition(b"\r\n\r\n")
        head = re.sub(rb"Content-Length: \d+", b"Content-Length: 2000000", head)
        half = b" " * 1_000_000
        return (head + b"\r\n\r\n" + half, Pause(seconds=self._draw.random() * 0.05), half)


async def _leave(gateway: UnderTest, draw: random.Random, at_once: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(_one_leaves(gateway, draw, user(draw.randrange(8))))


async def _one_leaves(gateway: UnderTest, draw: random.Random, by: User) -> None:
    line = await Line.open(gateway.host, gateway.port)
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n\r\n" % (
        draw.choice((_LAB_ORDERS, _APPOINTMENTS)),
        gateway.authority,
        by.token,
    )
    upload = (
        b"POST /ofrep/v1/evaluate/flags HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\nContent-Length: 100\r\n\r\n{"
        % (gateway.authority, by.token)
    )
    sent = draw.choice((b"", head[: draw.randrange(len(head))], head, head, head * 3, upload))
    await line.send(sent)
    if sent.startswith(head) and draw.random() < 0.3:
        line.transport.pause_reading()  # a client that does not read what it asked for
    await asyncio.sleep(draw.random() * 0.06)
    if draw.random() < 0.5:
        line.reset()
    else:
        line.close()


async def _settled(gateway: UnderTest, level: dict[str, float] | None) -> dict[str, float]:
    """The gauges once they stand no higher than `level` (None: once nothing is busy), or as they are after a while."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _GONE_WITHIN_SECONDS
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            page = (await client.get(f"http://{gateway.authority.decode()}/metrics")).text
            found = _gauges(page)
            quiet = found["busy"] == 0 and found["banyan_inflight_requests"] <= 1
            low = level is None or all(found[name] <= level[name] for name in level)
            if (quiet and low) or loop.time() > deadline:
                return found
            await asyncio.sleep(0.1)


def _gauges(page: str) -> dict[str, float]:
    found = dict.fromkeys(_WATCHED, 0.0)
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if name in found:
            found[name] = float(value)
        elif name.startswith('banyan_upstream_connections{state="busy"'):
            found["busy"] += float(value)
    return found
