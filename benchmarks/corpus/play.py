"""Playing a request case: what went over the wire, against what the case allows."""

import asyncio
import itertools
import json
from dataclasses import dataclass, field

from typing_extensions import override

from benchmarks.corpus.case import CANARY, HOST, TOKEN, Case, Pause, View
from benchmarks.corpus.line import Answer, Line, Unreadable, read_answer
from benchmarks.corpus.strict import Seen, h11_agrees
from benchmarks.corpus.under_test import UnderTest, User
from benchmarks.corpus.upstream import Upstream
from routes.problem import MEDIA_TYPE, PROBLEMS

_QUIET_SECONDS = 0.05
_FENCE = b"fence---"
_NEVER_FORWARDED = frozenset(
    b"x-user-id x-http-method-override x-http-method x-method-override cookie upgrade http2-settings te trailer expect "
    b"keep-alive proxy-authorization proxy-connection forwarded x-real-ip transfer-encoding content-length range".split()
)
_numbers = itertools.count()


@dataclass(kw_only=True)
class Outcome:
    """What a case did, and what of it should not have been."""

    case: Case
    answers: list[Answer] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    closed: bool = False
    seen: list[Seen] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @override
    def __str__(self) -> str:
        got = ", ".join(str(answer.status) for answer in self.answers) or "no answer"
        end = "closed" if self.closed else "open"
        return f"{self.case.name}: {'; '.join(self.problems)} ({got}, {end}, {len(self.seen)} forwarded)"


async def play(case: Case, gateway: UnderTest, upstream: Upstream, by: User) -> Outcome:
    """One case against a gateway that nobody else uses. Behind it an ordinary request must be answered in order."""
    outcome = Outcome(case=case)
    del upstream.seen[:], upstream.violations[:]
    line = await Line.open(gateway.host, gateway.port)
    try:
        await _converse(case, line, outcome, gateway, by)
        if not outcome.closed and not outcome.problems:
            await _still_good(line, outcome, gateway, by)
    finally:
        line.close()
    await _fence(outcome, gateway, by)
    outcome.seen = [
        seen for seen in upstream.seen if not seen.header(b"x-correlation-id").startswith(_FENCE)
    ]
    _judge_answers(outcome)
    _judge_forwarded(outcome, upstream)
    return outcome


async def _converse(case: Case, line: Line, outcome: Outcome, gateway: UnderTest, by: User) -> None:
    for part in case.sent:
        if isinstance(part, Pause):
            await asyncio.sleep(part.seconds)
        else:
            await line.send(part.replace(TOKEN, by.token).replace(HOST, gateway.authority))

    def enough() -> bool:
        _take(line, outcome)
        return (
            line.ended
            or bool(outcome.problems)
            or (case.closes is not True and len(outcome.answers) >= len(case.answers))
        )

    in_time = await line.until(enough, within=case.within)
    if not line.ended and not outcome.problems:
        # What is not to come would come now.
        await line.until(lambda: line.ended, within=_QUIET_SECONDS)
    _take(line, outcome)
    outcome.closed = line.ended
    if line.received:
        outcome.problems.append(f"{len(line.received)} bytes behind the answers")
    if not in_time and not outcome.problems:
        outcome.problems.append(f"nothing more within {case.within:g} s")


def _take(line: Line, outcome: Outcome) -> None:
    """Move whole answers from the line to the outcome."""
    while line.received:
        head = len(outcome.answers) in outcome.case.heads
        try:
            found = read_answer(bytes(line.received), head=head)
        except Unreadable as error:
            outcome.problems.append(f"unreadable answer: {error}")
            return
        if found is None:
            return
        answer, end = found
        del line.received[:end]
        if answer.status < 200:
            outcome.interim.append(answer.status)
        else:
            outcome.answers.append(answer)


async def _still_good(line: Line, outcome: Outcome, gateway: UnderTest, by: User) -> None:
    """A connection that stays open is still in step."""
    await _ask(line, outcome, gateway, by, "on the same connection")


async def _fence(outcome: Outcome, gateway: UnderTest, by: User) -> None:
    line = await Line.open(gateway.host, gateway.port)
    try:
        await _ask(line, outcome, gateway, by, "on another connection")
    finally:
        line.close()


async def _ask(line: Line, outcome: Outcome, gateway: UnderTest, by: User, where: str) -> None:
    id_ = _FENCE + b"%d" % next(_numbers)
    await line.send(
        b"GET /v2/lab-orders?limit=9 HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\nX-Correlation-ID: %b\r\n\r\n"
        % (gateway.authority, by.token, id_)
    )
    await line.until(lambda: line.ended or _complete(line), within=5)
    try:
        found = read_answer(bytes(line.received))
    except Unreadable as error:
        outcome.problems.append(f"the next request {where}: unreadable answer: {error}")
        return
    if found is None or found[0].status != 200 or id_ not in found[0].body:
        got = "no answer" if found is None else f"{found[0].status}"
        outcome.problems.append(f"the next request {where} was not answered rightly: {got}")


def _complete(line: Line) -> bool:
    try:
        return read_answer(bytes(line.received)) is not None
    except Unreadable:
        return True


# --- judging


def _judge_answers(outcome: Outcome) -> None:
    case, got = outcome.case, [answer.status for answer in outcome.answers]
    wanted = case.answers[:-1] if case.silent and len(got) < len(case.answers) else case.answers
    if len(got) != len(wanted) or any(s not in w for s, w in zip(got, wanted, strict=False)):
        allowed = [sorted(statuses) for statuses in case.answers]
        outcome.problems.append(f"answers {got}, allowed {allowed}")
        return
    if case.closes is not None and outcome.closed is not case.closes:
        outcome.problems.append("stays open" if case.closes else "closed")
    if case.interim is not None and tuple(outcome.interim) != case.interim:
        outcome.problems.append(f"interim {outcome.interim}, allowed {list(case.interim)}")
    for number, answer in enumerate(outcome.answers):
        outcome.problems += answer_problems(answer, head=number in case.heads)
    if got and len(got) == len(case.answers):
        _judge_last(outcome, outcome.answers[-1])


def _judge_last(outcome: Outcome, answer: Answer) -> None:
    case = outcome.case
    if case.code and code_of(answer) != case.code:
        outcome.problems.append(f"code {code_of(answer)!r}, not {case.code!r}")
    if case.refused and answer.header(b"connection").lower() != b"close":
        outcome.problems.append("does not say that it closes")
    for name, value in case.has.items():
        if answer.header(name) != value:
            outcome.problems.append(f"{name.decode()} is {answer.header(name)!r}")


def answer_problems(answer: Answer, *, head: bool = False) -> list[str]:
    """What every answer of the gateway must be."""
    found = []
    if len(answer.all(b"x-correlation-id")) != 1:
        found.append(f"{answer.status} with {len(answer.all(b'x-correlation-id'))} correlation ids")
    found += [
        f"{answer.status} with {name.decode()}"
        for name in (b"server", b"set-cookie", b"x-powered-by")
        if answer.all(name)
    ]
    if CANARY in answer.body:
        found.append(f"{answer.status} shows what was sent")
    if answer.header(b"content-type") == MEDIA_TYPE and not head:
        code = code_of(answer)
        if code not in PROBLEMS or PROBLEMS[code].status != answer.status:
            found.append(f"{answer.status} with problem code {code!r}")
    return found


def code_of(answer: Answer) -> str:
    """The problem code in an answer, if it is a problem document."""
    if answer.header(b"content-type") != MEDIA_TYPE:
        return ""
    try:
        return str(json.loads(answer.body).get("code", ""))
    except ValueError:
        return "unreadable"


def _judge_forwarded(outcome: Outcome, upstream: Upstream) -> None:
    case = outcome.case
    outcome.problems += [f"the upstream could not read: {v.reason}" for v in upstream.violations]
    if len(outcome.seen) != len(case.views):
        outcome.problems.append(f"{len(outcome.seen)} forwarded, not {len(case.views)}")
        return
    for seen, view in zip(outcome.seen, case.views, strict=True):
        outcome.problems += _differences(seen, view)
        outcome.problems += seen_problems(seen)


def _differences(seen: Seen, view: View) -> list[str]:
    found = []
    methods = ("GET", "HEAD") if view.method == "GET" else (view.method,)
    if seen.method not in methods or seen.target != view.target or seen.body != view.body:
        found.append(f"forwarded as {seen.method} {seen.target!r} with {len(seen.body)} bytes")
    for name, value in view.headers.items():
        got = [v for n, v in seen.headers if n == name]
        if got != ([] if value is None else [value]):
            found.append(f"forwarded with {name.decode()}: {got!r}")
    return found


def seen_problems(seen: Seen) -> list[str]:
    """What no request to an upstream may hold, whoever caused it."""
    names = [name for name, _ in seen.headers]
    found = [f"forwarded with {name.decode()}" for name in sorted(_NEVER_FORWARDED & set(names))]
    found += [f"forwarded with two {n.decode()}" for n in set(names) if names.count(n) > 1]
    if any(b"_" in name for name in names):
        found.append("forwarded with an underscore in a name")
    if CANARY in seen.raw:
        found.append("forwarded what must not go on")
    if not h11_agrees(seen):
        found.append("h11 reads another request")
    return found
