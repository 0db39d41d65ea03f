"""Fuzzed bytes against a real gateway: it must answer or close in time, and forward nothing but what was plainly asked."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.corpus.case import HOST, TOKEN
from benchmarks.corpus.line import Answer, Line, Unreadable, read_answer
from benchmarks.corpus.mutate import Mutations
from benchmarks.corpus.strict import Seen, h11_agrees, read_all
from benchmarks.corpus.under_test import UnderTest, User
from benchmarks.corpus.upstream import Upstream, user_of

LONGEST_SECONDS = 10.0
_OWN_5XX = frozenset({501, 505})
_LAST = b"GET /healthz HTTP/1.1\r\nHost: <host>\r\nX-Correlation-ID: the-last-one\r\nConnection: close\r\n\r\n"


@dataclass(kw_only=True)
class Barrage:
    """What came of it."""

    payloads: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    own_5xx: int = 0
    hung: int = 0
    silent: int = 0
    slowest: float = 0.0
    forwarded: int = 0
    disagreements: int = 0
    examples: list[bytes] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def blame(self, reason: str, payload: bytes) -> None:
        self.disagreements += 1
        self.keep(reason, payload)

    def keep(self, reason: str, payload: bytes) -> None:
        self.reasons.append(reason)
        self.examples.append(payload)


async def fire(
    gateway: UnderTest, upstream: Upstream, users: Sequence[User], *, payloads: int, seed: int
) -> Barrage:
    """Each payload on a connection of its own, by the user whose place it takes, so that what arrives can be told apart.

    Behind each payload comes one last request that ends the connection: whatever the payload was, the connection must end.
    """
    barrage = Barrage()
    mutations = Mutations(seed)
    left = iter(range(payloads))
    async with asyncio.TaskGroup() as group:
        for by in users:
            group.create_task(_place(gateway, upstream, by, mutations, left, barrage))
    return barrage


async def _place(
    gateway: UnderTest,
    upstream: Upstream,
    by: User,
    mutations: Mutations,
    left: Iterator[int],
    barrage: Barrage,
) -> None:
    for _ in left:
        payload = mutations.payload()
        data = (payload + _LAST).replace(TOKEN, by.token).replace(HOST, gateway.authority)
        await _one(gateway, upstream, by, data, barrage)


async def _one(
    gateway: UnderTest, upstream: Upstream, by: User, data: bytes, barrage: Barrage
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    line = await Line.open(gateway.host, gateway.port)
    await line.send(data)
    ended = await line.until(lambda: line.ended, within=LONGEST_SECONDS)
    line.close()
    barrage.payloads += 1
    barrage.slowest = max(barrage.slowest, loop.time() - began)
    if not ended:
        barrage.hung += 1
        barrage.keep("hung", data)
    asked = read_all(data)
    answers = _read(bytes(line.received), asked, data, barrage)
    barrage.silent += not answers
    arrived = _take(upstream, by)
    barrage.forwarded += len(arrived)
    _compare(asked, arrived, answers, data, barrage)


def _take(upstream: Upstream, by: User) -> list[Seen]:
    """What arrived of this user; nobody else uses the token meanwhile."""
    mine = [seen for seen in upstream.seen if user_of(seen) == by.sub]
    if mine:
        upstream.seen[:] = [seen for seen in upstream.seen if user_of(seen) != by.sub]
    return mine


def _read(data: bytes, asked: Sequence[Seen], payload: bytes, barrage: Barrage) -> list[Answer]:
    """Every answer. Which of them belongs to a HEAD is told by the strict reading of the payload."""
    answers: list[Answer] = []
    while data:
        number = len(answers)
        head = number < len(asked) and asked[number].method == "HEAD"
        try:
            found = read_answer(data, head=head)
            if head and found is not None and _refused(found[0]):
                # Of a head that was refused its method may not have been read: then a body may follow, and the end.
                found = read_answer(data) or found
            if found is None and b"HEAD " in payload:
                # The other way round: of a head that we cannot read the gateway may have read the method.
                bare = read_answer(data, head=True)
                found = bare if bare is not None and _refused(bare[0]) else None
        except Unreadable as error:
            barrage.blame(f"unreadable answer: {error}", payload)
            return answers
        if found is None:
            barrage.blame("half an answer", payload)
            return answers
        answer, end = found
        data = data[end:]
        if answer.status < 200:
            continue
        answers.append(answer)
        barrage.answers[answer.status] += 1
        if answer.status >= 500 and answer.status not in _OWN_5XX:
            barrage.own_5xx += 1
            barrage.keep(f"answered {answer.status}", payload)
    return answers


def _refused(answer: Answer) -> bool:
    return answer.status >= 400 and answer.header(b"connection") == b"close"


def _compare(
    asked: Sequence[Seen],
    arrived: Sequence[Seen],
    answers: Sequence[Answer],
    payload: bytes,
    barrage: Barrage,
) -> None:
    """What arrived was plainly asked, in that order, and the gateway has said so for each."""
    plain = iter(asked)
    for seen in arrived:
        if not h11_agrees(seen):
            barrage.blame("h11 reads what arrived otherwise", payload)
        if not any(_same(one, seen) for one in plain):
            barrage.blame(f"arrived unasked: {seen.method} {seen.target!r}", payload)
    by_id = {answer.header(b"x-correlation-id"): answer for answer in answers}
    accepted = {
        id_
        for id_, answer in by_id.items()
        if b'"correlation_id":"' in answer.body and answer.status == 200
    }
    ids = [seen.header(b"x-correlation-id") for seen in arrived]
    missing = [id_ for id_ in ids if id_ not in by_id]
    if missing and len(answers) >= len(asked):
        barrage.blame("arrived without an answer", payload)
    if not accepted <= set(ids):
        barrage.blame("answered without having arrived", payload)


def _same(asked: Seen, seen: Seen) -> bool:
    """The gateway turns HEAD into GET, takes the host off an absolute target, and drops bodies of reads."""
    target = asked.target
    if not target.startswith(b"/"):
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    return (
        asked.method in ("GET", "HEAD")
        and seen.method in ("GET", "HEAD")
        and target.removesuffix(b"?") == seen.target.removesuffix(b"?")
        and seen.body == b""
    )
