"""The PHI access record when the gateway is killed: whoever was answered has a record (decisions.md 34)."""

import asyncio
import itertools
import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from benchmarks.claim import Claim
from benchmarks.corpus.case import Pause
from benchmarks.corpus.line import Line, Unreadable, read_answer
from benchmarks.corpus.under_test import UnderTest, under_test, user
from benchmarks.corpus.upstream import ECHO, Exchange, Step, Upstream, good_answer
from benchmarks.size import Size
from runtime.accessrecord import problems

TOPIC = "gateway"
CONNECTIONS = 32
_PATIENCE_SECONDS = 10.0
_MOST_ANSWERS = 3000
_LATEST_SECONDS = 0.005


async def run(size: Size) -> AsyncIterator[Claim]:
    """Kills gateways of its own under load, each at a moment of its own."""
    kills = size.of(100, 3)
    total = _Kill()
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name:
        async with Upstream(_answer).serving() as upstream:
            for number in range(kills):
                folder = Path(name) / str(number)
                folder.mkdir()
                total.add(await _killed(folder, upstream.url, number))
    how = (
        f"{kills} gateways under {CONNECTIONS} connections (rows, lists, lists that come in pieces, refusals), each killed with"
        f" SIGKILL after 1 to {_MOST_ANSWERS} answers; {total.rows} were 200; {total.records} records, {total.torn} files"
        " end in half a line"
    )
    yield Claim(
        topic=TOPIC,
        claim="records: whole answers without a record, after a kill",
        value=total.missing,
        unit="answers",
        target="0",
        ok=total.missing == 0 and total.rows > total.answered / 2,
        n=total.answered,
        how=how,
    )
    yield Claim(
        topic=TOPIC,
        claim="records: lines that break the schema, or are a second record of one request",
        value=total.bad,
        unit="lines",
        target="0",
        ok=total.bad == 0 and total.records > 0,
        n=total.records,
        how="every line of the same files, against runtime.accessrecord and each other",
    )


@dataclass(kw_only=True)
class _Kill:
    """What one kill left, or all of them."""

    answered: int = 0
    rows: int = 0
    """Of the answered: with status 200."""
    missing: int = 0
    records: int = 0
    bad: int = 0
    torn: int = 0

    def add(self, other: "_Kill") -> None:
        self.answered += other.answered
        self.rows += other.rows
        self.missing += other.missing
        self.records += other.records
        self.bad += other.bad
        self.torn += other.torn


async def _killed(folder: Path, upstream: str, seed: int) -> _Kill:
    with under_test(folder, upstream) as gateway:
        load = _Load(gateway=gateway, seed=seed)
        await load.until_killed()
    found = _Kill(answered=len(load.answered), rows=load.rows)
    ids: Counter[str] = Counter()
    for line in _lines(folder, found):
        found.bad += bool(problems(line))
        ids[orjson.loads(line)["correlation_id"]] += 1
    found.records = ids.total()
    found.bad += ids.total() - len(ids)
    found.missing = len(load.answered - set(ids))
    return found


def _lines(folder: Path, found: _Kill) -> Iterator[bytes]:
    """Every whole line; a last one without its end was never told to anybody as written."""
    for path in folder.glob("*.access/*.jsonl"):
        *lines, rest = path.read_bytes().split(b"\n")
        found.torn += bool(rest)
        yield from lines


# --- the load


@dataclass(kw_only=True)
class _Load:
    """Ids of requests whose answer arrived as a whole, whatever its status."""

    gateway: UnderTest
    seed: int
    answered: set[str] = field(default_factory=set)
    rows: int = 0
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def until_killed(self) -> None:
        chance = random.Random(self.seed)
        self._kill_after = chance.randint(1, _MOST_ANSWERS)
        self._later = chance.uniform(0, _LATEST_SECONDS)
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                group.create_task(self._ask_on(number))

    async def _ask_on(self, number: int) -> None:
        """One connection after the other, until nobody listens any more."""
        token = user(number).token
        while True:
            try:
                line = await Line.open(self.gateway.host, self.gateway.port)
            except OSError:
                return
            while not line.ended:
                id_ = f"records-{self.seed:03}-{next(self._numbers):06}"
                status = await _status(line, self._request(id_, token))
                if status is not None:
                    self._count(id_, status)
            line.close()

    def _request(self, id_: str, token: bytes) -> bytes:
        target, signed_in = _ASKED[int(id_[-6:]) % len(_ASKED)]
        authorization = b"Authorization: Bearer %b\r\n" % token if signed_in else b""
        return b"GET %b HTTP/1.1\r\nHost: %b\r\n%bX-Correlation-ID: %b\r\n\r\n" % (
            target,
            self.gateway.authority,
            authorization,
            id_.encode(),
        )

    def _count(self, id_: str, status: int) -> None:
        self.answered.add(id_)
        self.rows += status == 200
        if len(self.answered) == self._kill_after:
            asyncio.get_running_loop().call_later(
                self._later, os.kill, self.gateway.pid, signal.SIGKILL
            )


_ROW = b"00000005-0000-4000-8000-000000000001"
_ASKED: Sequence[tuple[bytes, bool]] = (
    (b"/v2/lab-orders", True),
    (b"/v2/lab-orders/" + _ROW, True),
    (b"/v2/appointments?limit=7", True),
    (b"/v2/lab-orders", False),
    (b"/v2/action-plans", True),
    (b"/v2/nowhere", True),
)


async def _status(line: Line, request: bytes) -> int | None:
    """The status of the answer, if the whole of it came; else the connection is done with."""
    await line.send(request)

    def ready() -> bool:
        return line.ended or read_answer(bytes(line.received)) is not None

    try:
        await line.until(ready, within=_PATIENCE_SECONDS)
        found = read_answer(bytes(line.received))
    except Unreadable:
        found = None
    if found is None:
        line.ended = True
        return None
    answer, end = found
    del line.received[:end]
    return answer.status


def _answer(exchange: Exchange) -> Sequence[Step]:
    """Whole, or in three pieces with pauses, so that a kill also comes between the first byte and the last."""
    if not exchange.seen.target.startswith(b"/v2/action-plans"):
        return (good_answer(exchange.seen),)
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-correlation-id: "
        + ECHO
        + b"\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    piece = b"%x\r\n%b\r\n" % (4000, b" " * 4000)
    pause = Pause(seconds=0.002)
    return head, piece, pause, piece, pause, b'c\r\n{"items":[]}\r\n0\r\n\r\n'
