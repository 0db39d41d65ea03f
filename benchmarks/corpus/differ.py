"""A case through another proxy in front of the gateway: do both read the same requests from the same bytes?"""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.corpus.case import HOST, TOKEN, Case, Pause
from benchmarks.corpus.fronts import Front
from benchmarks.corpus.line import Answer, Line, Unreadable, read_answer
from benchmarks.corpus.strict import Seen, read_all
from benchmarks.corpus.tap import Tap
from benchmarks.corpus.under_test import User
from benchmarks.corpus.upstream import Upstream

_MOST_SECONDS = 2.5
_QUIET_SECONDS = 0.03
_FENCE = b"fence---front-"
_FENCE_TARGET = b"limit=198"
_LOGGED = 500
"""Bytes of a target that every log line holds."""
_numbers = itertools.count()
View = tuple[str, bytes, bytes]


@dataclass(kw_only=True)
class Passage:
    """What became of one case: as the front put it on the wire, as the gateway answered, as the upstream saw it."""

    case: Case
    sent_on: int = 0
    accepted: int = 0
    disagreements: list[str] = field(default_factory=list)


async def pass_through(case: Case, front: Front, tap: Tap, upstream: Upstream, by: User) -> Passage:
    """One case against front, tap and gateway that nobody else uses."""
    passage = Passage(case=case)
    del upstream.seen[:], upstream.violations[:]
    marks, logged = tap.marks(), front.log.stat().st_size
    await _converse(case, front, by)
    await _fence(front, by)
    wire = tap.since(marks)
    _judge_wire(passage, wire, upstream)
    _judge_log(passage, wire, front, logged)
    return passage


async def _converse(case: Case, front: Front, by: User) -> None:
    authority = f"127.0.0.1:{front.port}".encode()
    line = await Line.open("127.0.0.1", front.port)
    for part in case.sent:
        if isinstance(part, Pause):
            await asyncio.sleep(part.seconds)
        else:
            await line.send(part.replace(TOKEN, by.token).replace(HOST, authority))
    await line.until(
        lambda: line.ended or _answers(line, case) >= len(case.answers), within=_MOST_SECONDS
    )
    await line.until(lambda: line.ended, within=_QUIET_SECONDS)
    line.close()


def _answers(line: Line, case: Case) -> int:
    data, count = bytes(line.received), 0
    while data:
        try:
            found = read_answer(data, head=count in case.heads)
        except Unreadable:
            return len(case.answers)
        if found is None:
            break
        count += found[0].status >= 200
        data = data[found[1] :]
    return count


async def _fence(front: Front, by: User) -> None:
    """An ordinary request on another connection: behind it all that was forwarded has arrived."""
    line = await Line.open("127.0.0.1", front.port)
    await line.send(
        b"GET /v2/lab-orders?%b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %b\r\nX-Correlation-ID: %b%d\r\n\r\n"
        % (_FENCE_TARGET, front.port, by.token, _FENCE, next(_numbers))
    )
    await line.until(lambda: line.ended or b"\r\n\r\n" in line.received, within=5)
    line.close()


def _fenced(seen: Seen) -> bool:
    return seen.header(b"x-correlation-id").startswith(_FENCE)


def _judge_wire(passage: Passage, wire: Sequence[tuple[bytes, bytes]], upstream: Upstream) -> None:
    """Per connection, the n-th answer belongs to the n-th request, as a strict reader counts them."""
    accepted: list[View] = []
    for up, down in wire:
        requests = read_all(up)
        answers, whole = _read(down, requests)
        if len(answers) > len(requests) + (not _all_read(up, requests)):
            passage.disagreements.append(
                f"{len(requests)} requests from the front, {len(answers)} answers from the gateway"
            )
        if not whole:
            passage.disagreements.append("the gateway's answers cannot be told apart")
        passage.sent_on += sum(not _fenced(request) for request in requests)
        accepted += [
            _view(request)
            for request, answer in zip(requests, answers, strict=False)
            if answer.status in (200, 304) and not _fenced(request) and _is_resource(request)
        ]
    passage.accepted = len(accepted)
    arrived = [_view(seen) for seen in upstream.seen if not _fenced(seen)]
    if sorted(accepted) != sorted(arrived):
        passage.disagreements.append(
            f"the front sent {[v[1] for v in accepted]}, the upstream saw {[v[1] for v in arrived]}"
        )
    passage.disagreements += [
        f"unreadable at the upstream: {v.reason}" for v in upstream.violations
    ]


def _read(data: bytes, requests: Sequence[Seen]) -> tuple[list[Answer], bool]:
    answers: list[Answer] = []
    while data:
        number = len(answers)
        head = number < len(requests) and requests[number].method == "HEAD"
        try:
            found = read_answer(data, head=head)
        except Unreadable:
            return answers, False
        if found is None:
            return answers, False
        if found[0].status >= 200:
            answers.append(found[0])
        data = data[found[1] :]
    return answers, True


def _all_read(data: bytes, requests: Sequence[Seen]) -> bool:
    return sum(len(request.raw) for request in requests) >= len(data.strip(b"\r\n"))


def _view(seen: Seen) -> View:
    """Reads go on as GET and without a body; an absolute target without its host."""
    return ("GET", _origin(seen.target).removesuffix(b"?"), b"")


def _is_resource(seen: Seen) -> bool:
    return seen.method in ("GET", "HEAD") and b"/v2/" in seen.target


def _judge_log(
    passage: Passage, wire: Sequence[tuple[bytes, bytes]], front: Front, logged: int
) -> None:
    """What the front says that it forwarded is what stands on the wire, where a strict reader can tell requests apart."""
    read = [(up, read_all(up)) for up, _ in wire]
    if not all(_all_read(up, requests) for up, requests in read):
        return
    said = [
        (method, _origin(target)[:_LOGGED])
        for method, target in front.forwarded(logged)
        if not target.endswith(_FENCE_TARGET)
    ]
    on_wire = [
        (seen.method, _origin(seen.target)[:_LOGGED])
        for _, requests in read
        for seen in requests
        if not _fenced(seen)
    ]
    if sorted(said) != sorted(on_wire):
        passage.disagreements.append(f"{on_wire} on the wire, the front says {said}")


def _origin(target: bytes) -> bytes:
    """A target without the host of the absolute form."""
    if b"://" not in target.partition(b"?")[0]:
        return b"/" + target if target.startswith(b"?") else target
    rest = target.partition(b"://")[2]
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    return rest[end:] if rest[end : end + 1] == b"/" else b"/" + rest[end:]
