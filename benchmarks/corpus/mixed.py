"""Many requests of several users over shared connections: each must get its own answer, or an honest failure."""

import asyncio
import itertools
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.corpus.hostile import Hostile
from benchmarks.corpus.line import Answer, Line, Unreadable, read_answer
from benchmarks.corpus.play import answer_problems
from benchmarks.corpus.under_test import UnderTest, User
from routes.problem import MEDIA_TYPE

_SUB = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_ITEM = b"/v2/lab-orders/10000000-0000-7000-8000-000000000001"
_PATIENCE_SECONDS = 8.0
_MOST_IN_A_ROW = 4


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request on its way."""

    id: bytes
    user: User
    head: bool
    conditional: bool


@dataclass(kw_only=True)
class Mixture:
    """What came of it. `foreign_bytes`: bytes of answers that held another user's id."""

    requests: int = 0
    foreign_bytes: int = 0
    wrong: int = 0
    hung: int = 0
    cut: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def blame(self, what: str) -> None:
        self.wrong += 1
        self.examples.append(what)


async def mix(
    gateway: UnderTest,
    hostile: Hostile,
    users: Sequence[User],
    *,
    requests: int,
    connections: int = 16,
    seed: int = 1,
) -> Mixture:
    """`requests` over `connections` keep-alive connections, each request of a random user, up to four in one segment."""
    mixture = Mixture()
    numbers = itertools.count()
    share = requests // connections
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            client = _Client(gateway, hostile, users, mixture, numbers, seed=seed * 1000 + number)
            group.create_task(client.ask(share))
    return mixture


class _Client:
    def __init__(
        self,
        gateway: UnderTest,
        hostile: Hostile,
        users: Sequence[User],
        mixture: Mixture,
        numbers: "itertools.count[int]",
        *,
        seed: int,
    ) -> None:
        self._gateway = gateway
        self._hostile = hostile
        self._users = users
        self._mixture = mixture
        self._numbers = numbers
        self._draw = random.Random(seed)
        self._line: Line | None = None

    async def ask(self, requests: int) -> None:
        asked = 0
        while asked < requests:
            batch = [self._next() for _ in range(self._draw.randint(1, _MOST_IN_A_ROW))]
            asked += len(batch)
            await self._exchange(batch)
        if self._line is not None:
            self._line.close()

    def _next(self) -> Asked:
        kind = self._draw.random()
        return Asked(
            id=b"mixed-%09d" % next(self._numbers),
            user=self._draw.choice(self._users),
            head=kind < 0.2,
            conditional=0.2 <= kind < 0.4,
        )

    async def _exchange(self, batch: Sequence[Asked]) -> None:
        line = self._line
        if line is None or line.ended:
            line = self._line = await Line.open(self._gateway.host, self._gateway.port)
        self._mixture.requests += len(batch)
        await line.send(b"".join(map(self._bytes, batch)))
        for number, asked in enumerate(batch):
            answer = await self._answer(line, asked)
            if answer is None:
                self._mixture.cut += len(batch) - number
                line.close()
                line.ended = True
                break
            self._judge(asked, answer)
            self._hostile.due.pop(asked.id, None)
        else:
            if line.received:
                self._mixture.blame(f"{len(line.received)} bytes behind the answers")
                line.received.clear()

    def _bytes(self, asked: Asked) -> bytes:
        return (
            b"%b %b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\nX-Correlation-ID: %b\r\n%b\r\n"
            % (
                b"HEAD" if asked.head else b"GET",
                _ITEM if asked.conditional else b"/v2/lab-orders",
                self._gateway.authority,
                asked.user.token,
                asked.id,
                b'If-None-Match: "1.s"\r\n' if asked.conditional else b"",
            )
        )

    async def _answer(self, line: Line, asked: Asked) -> Answer | None:
        """The next answer; None when the connection ended, hung, or made no sense."""

        def ready() -> bool:
            return line.ended or read_answer(bytes(line.received), head=asked.head) is not None

        try:
            if not await line.until(ready, within=_PATIENCE_SECONDS):
                self._mixture.hung += 1
                self._mixture.examples.append("no answer in time")
                return None
            found = read_answer(bytes(line.received), head=asked.head)
        except Unreadable as error:
            self._mixture.blame(f"unreadable: {error}")
            return None
        if found is None:
            self._foreign(asked, bytes(line.received))
            return None
        answer, end = found
        self._foreign(asked, bytes(line.received[:end]))
        del line.received[:end]
        return answer

    def _foreign(self, asked: Asked, raw: bytes) -> None:
        if any(sub != asked.user.sub.encode() for sub in _SUB.findall(raw)):
            self._mixture.foreign_bytes += len(raw)
            self._mixture.examples.append(f"{asked.id.decode()} got another user's bytes")

    def _judge(self, asked: Asked, answer: Answer) -> None:
        self._mixture.statuses[answer.status] += 1
        if answer.header(b"x-correlation-id") != asked.id:
            self._mixture.blame(f"{asked.id.decode()} got another id")
        elif answer_problems(answer, head=asked.head):
            self._mixture.blame("; ".join(answer_problems(answer, head=asked.head)))
        elif not self._right(asked, answer):
            self._mixture.blame(f"{asked.id.decode()} got a wrong {answer.status}")

    def _right(self, asked: Asked, answer: Answer) -> bool:
        match answer.status:
            case 200:
                due = self._hostile.due.get(asked.id)
                # A head is whole before its body can go wrong.
                return due is not None and (asked.head or answer.body in due)
            case 304:
                return asked.conditional
            case 503:
                return _problem(answer, asked) and bool(answer.header(b"retry-after"))
            case 502 | 504:
                return _problem(answer, asked)
            case _:
                return False


def _problem(answer: Answer, asked: Asked) -> bool:
    return asked.head or answer.header(b"content-type") == MEDIA_TYPE
