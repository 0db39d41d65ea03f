"""Ordinary reads at a steady rate, each timed from its sending."""

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.corpus.line import Answer, Line, Unreadable, read_answer
from benchmarks.corpus.under_test import UnderTest, User

_PATIENCE_SECONDS = 10.0
_numbers = itertools.count()


@dataclass(kw_only=True)
class Steady:
    """`seconds`: one per answer; status 0 stands for no answer."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def ask(
    line: Line, gateway: UnderTest, user: User, target: bytes = b"/v2/lab-orders"
) -> Answer | None:
    """One read on an open connection; None if it ended or made no sense."""
    await line.send(
        b"GET %b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\nX-Correlation-ID: steady-%09d\r\n\r\n"
        % (target, gateway.authority, user.token, next(_numbers))
    )

    def ready() -> bool:
        return line.ended or read_answer(bytes(line.received)) is not None

    try:
        await line.until(ready, within=_PATIENCE_SECONDS)
        found = read_answer(bytes(line.received))
    except Unreadable:
        return None
    if found is None:
        return None
    del line.received[: found[1]]
    return found[0]


async def steady(
    gateway: UnderTest,
    user: User,
    target: bytes,
    *,
    per_second: float,
    seconds: float,
    connections: int,
) -> Steady:
    """`per_second` reads over `connections` connections, evenly spread; a late answer delays only its connection."""
    result = Steady()
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(
                _one(
                    result,
                    gateway,
                    user,
                    target,
                    first=number / per_second,
                    every=connections / per_second,
                    seconds=seconds,
                )
            )
    return result


async def _one(
    result: Steady,
    gateway: UnderTest,
    user: User,
    target: bytes,
    *,
    first: float,
    every: float,
    seconds: float,
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    due = began + first
    line = await Line.open(gateway.host, gateway.port)
    while due < began + seconds:
        await asyncio.sleep(max(0.0, due - loop.time()))
        if line.ended:
            line = await Line.open(gateway.host, gateway.port)
        sent = loop.time()
        answer = await ask(line, gateway, user, target)
        if answer is None:
            line.close()
            line.ended = True
        result.statuses[0 if answer is None else answer.status] += 1
        if answer is not None:
            result.seconds.append(loop.time() - sent)
            result.without_retry_after += answer.status == 503 and not answer.header(b"retry-after")
        # Time that was lost waiting is not made up for by a burst.
        due = max(due + every, loop.time())
    line.close()
