"""Playing an upstream case: one request whose answer follows the script, and what its caller sees."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from benchmarks.corpus.case import CANARY, UpstreamCase
from benchmarks.corpus.line import Answer, Line, Unreadable, read_answer
from benchmarks.corpus.play import answer_problems, code_of
from benchmarks.corpus.under_test import UnderTest, User
from benchmarks.corpus.upstream import Exchange, Step, good_answer

_SETTLE_SECONDS = 0.06
_numbers = itertools.count()


class Scripted:
    """How an upstream reacts: by the script for requests with its id, well for all others."""

    def __init__(self) -> None:
        self.id = b""
        self.script: Sequence[Step] = ()
        self.asked = 0

    def __call__(self, exchange: Exchange) -> Sequence[Step]:
        if exchange.seen.header(b"x-correlation-id") != self.id:
            return (good_answer(exchange.seen),)
        self.asked += 1
        return self.script


@dataclass(kw_only=True)
class Sight:
    """What the caller saw of one upstream case."""

    case: UpstreamCase
    answer: Answer | None = None
    aborted: bool = False
    asked: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @override
    def __str__(self) -> str:
        got = "aborted" if self.aborted else "nothing"
        if self.answer is not None:
            got = f"{self.answer.status} {code_of(self.answer)}".strip()
        return f"{self.case.name}: {'; '.join(self.problems)} ({got}, asked {self.asked}x, {self.seconds:.2f} s)"


async def provoke(
    case: UpstreamCase, gateway: UnderTest, scripted: Scripted, by: User, other: User
) -> Sight:
    """One case. Behind it others must be answered rightly: on new connections and, if it is open, on the same."""
    sight = Sight(case=case)
    scripted.id = b"script--%d" % next(_numbers)
    scripted.script, scripted.asked = case.script, 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    line = await Line.open(gateway.host, gateway.port)
    try:
        extra = b'If-None-Match: "1.s"\r\n' if case.conditional else b""
        await line.send(_request(case, gateway, by, scripted.id, extra))
        await _listen(case, line, sight)
        sight.seconds = loop.time() - began
        await asyncio.sleep(_SETTLE_SECONDS)
        sight.asked = scripted.asked
        if line.received:
            sight.problems.append(f"{len(line.received)} bytes behind the answer")
        elif not line.ended:
            await _others(line, sight, gateway, other, "the same connection")
    finally:
        line.close()
    for _ in range(3):
        fresh = await Line.open(gateway.host, gateway.port)
        try:
            await _others(fresh, sight, gateway, other, "another connection")
        finally:
            fresh.close()
    _judge(sight)
    return sight


def _request(
    case: UpstreamCase, gateway: UnderTest, by: User, id_: bytes, extra: bytes = b""
) -> bytes:
    target = b"/v2/lab-orders"
    if case.conditional:
        target += b"/00000000-0000-4000-8000-000000000001"
    return (
        b"%b %b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\nX-Correlation-ID: %b\r\n%b\r\n"
        % (case.method.encode(), target, gateway.authority, by.token, id_, extra)
    )


async def _listen(case: UpstreamCase, line: Line, sight: Sight) -> None:
    head = case.method == "HEAD"

    def enough() -> bool:
        _take(line, sight, head=head)
        return line.ended or sight.answer is not None or bool(sight.problems)

    if not await line.until(enough, within=case.within):
        sight.problems.append(f"nothing within {case.within:g} s")
    _take(line, sight, head=head)
    if sight.answer is None and line.ended:
        sight.aborted = True
        line.received.clear()


def _take(line: Line, sight: Sight, *, head: bool) -> None:
    if sight.answer is not None:
        return
    try:
        found = read_answer(bytes(line.received), head=head)
    except Unreadable as error:
        sight.problems.append(f"unreadable answer: {error}")
        return
    if found is not None:
        sight.answer, end = found
        del line.received[:end]


async def _others(line: Line, sight: Sight, gateway: UnderTest, other: User, where: str) -> None:
    """An ordinary request of somebody else gets exactly what belongs to it."""
    id_ = b"other---%d" % next(_numbers)
    await line.send(
        b"GET /v2/lab-orders HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\nX-Correlation-ID: %b\r\n\r\n"
        % (gateway.authority, other.token, id_)
    )

    def answered() -> bool:
        try:
            return line.ended or read_answer(bytes(line.received)) is not None
        except Unreadable:
            return True

    await line.until(answered, within=5)
    try:
        found = read_answer(bytes(line.received))
    except Unreadable as error:
        sight.problems.append(f"the next request on {where}: unreadable answer: {error}")
        return
    if found is None or found[0].status != 200:
        got = "nothing" if found is None else f"{found[0].status} {code_of(found[0])}"
        sight.problems.append(f"the next request on {where} got {got}")
    elif id_ not in found[0].body or other.sub.encode() not in found[0].body:
        sight.problems.append(f"the next request on {where} got another's answer")
    if found is not None:
        del line.received[: found[1]]
    if CANARY in line.received:
        sight.problems.append(f"stray bytes on {where}")


def _judge(sight: Sight) -> None:
    case = sight.case
    if not case.asked[0] <= sight.asked <= case.asked[1]:
        sight.problems.append(f"asked {sight.asked} times")
    if sight.aborted:
        if not case.aborts:
            sight.problems.append("aborted")
        return
    answer = sight.answer
    if answer is None:
        return
    if answer.status not in case.status:
        sight.problems.append(f"status {answer.status}, allowed {sorted(case.status)}")
        return
    sight.problems += answer_problems(answer, head=case.method == "HEAD")
    if answer.status >= 400 and case.code and code_of(answer) != case.code:
        sight.problems.append(f"code {code_of(answer)!r}, not {case.code!r}")
    if answer.status == 503 and not answer.header(b"retry-after"):
        sight.problems.append("503 without Retry-After")
    if answer.status == 200:
        _judge_body(sight, answer)
    sight.problems += [f"passes {n.decode()} on" for n in case.lacks if answer.all(n)]


def _judge_body(sight: Sight, answer: Answer) -> None:
    case = sight.case
    if case.method == "GET" and case.body is not None and answer.body != case.body:
        sight.problems.append(f"another body: {len(answer.body)} bytes")
    for name, value in case.has.items():
        if answer.header(name) != value:
            sight.problems.append(f"{name.decode()} is {answer.header(name)!r}")
