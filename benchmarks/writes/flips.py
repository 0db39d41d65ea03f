"""Users write, their stage is changed, they read: they find what they have written, however far behind the mirror is."""

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.world import sandbox
from benchmarks.writes.caller import Ask, Caller, client
from benchmarks.writes.edge_world import lease
from benchmarks.writes.kinds import KINDS, Kind, Parents
from benchmarks.writes.ramp import Ramp
from benchmarks.writes.working import numbers
from catalog import assets
from catalog.stage import Stage
from runtime.stack import Stack

TOPIC = "writes"
SEED = 7
_MOVERS = ("mirror", "relay", "sync-backfill")
_LONGEST_DELAY_SECONDS = 5.0
_PATIENCE_SECONDS = 60.0
_EACH = 3
"""Writes of one user to one kind in a round."""
_USERS = {
    "clinician": ("clinician", "clinician-b", "clinician-c"),
    "patient": ("patient", "patient-b", "patient-c", "patient-d"),
    "partner": ("partner", "partner-a2", "partner-b", "partner-c"),
    "compliance": ("compliance",),
    "finance": ("finance",),
}
_NOT_LEGACY, _LIVE = Stage.DUAL_WRITE, Stage.LIVE


async def run(size: Size) -> AsyncIterator[Claim]:
    """Through the sandbox's own gateway, flags changed by the control API as an operator does."""
    with (
        tempfile.TemporaryDirectory(prefix="banyan-bench-") as name,
        sandbox(Path(name), scale=60) as stack,
    ):
        await lease(stack)
        async with client(200) as opened:
            edge = Caller(opened, stack.tokens, stack.urls["gateway"])
            ramp = Ramp(stack, opened, [stack.urls["gateway"]])
            flips = _Flips(Path(name) / "run" / "stack.json", edge, ramp)
            yield await flips.measure(triples=size.of(10_000, 300))


@dataclass(kw_only=True)
class _Written:
    """What a user's read has to show."""

    kind: Kind
    user: str
    path: str
    mark: str


@dataclass(kw_only=True)
class _Seen:
    triples: int = 0
    reads: int = 0
    again: int = 0
    stale: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


class _Flips:
    def __init__(self, file: Path, edge: Caller, ramp: Ramp) -> None:
        self._file = file
        self._edge = edge
        self._ramp = ramp
        self._chance = random.Random(SEED)
        self._numbers = numbers()
        self._seen = _Seen()
        self._rows: dict[tuple[str, str], list[str]] = {}
        """Paths of rows by user and kind: what can be changed."""

    async def measure(self, *, triples: int) -> Claim:
        seen = self._seen
        await self._ramp.everybody(_NOT_LEGACY)
        parents = {user: await self._parents(user) for users in _USERS.values() for user in users}
        stage = _NOT_LEGACY
        while seen.triples < triples:
            delay = self._chance.uniform(0, _LONGEST_DELAY_SECONDS)
            seen.delays.append(delay)
            with self._stopped() as go_on:
                written = await asyncio.gather(
                    *(
                        self._write(kind, user, parents[user])
                        for kind in KINDS
                        for user in _USERS[kind.user]
                        for _ in range(_EACH)
                    )
                )
                behind = asyncio.get_running_loop().call_later(delay, go_on)
                stage = _LIVE if stage is _NOT_LEGACY else _NOT_LEGACY
                await self._ramp.everybody(stage)
                await asyncio.gather(*(self._read(one) for one in written if one is not None))
                behind.cancel()
        return self._claim()

    def _claim(self) -> Claim:
        seen = self._seen
        wrong = [*seen.stale, *seen.refused]
        return Claim(
            topic=TOPIC,
            claim="write, flip of the stage, read: reads that do not show the user's own write",
            value=len(seen.stale),
            unit="reads",
            target="0",
            ok=not wrong,
            n=seen.triples,
            how=(
                f"{seen.triples} writes of {sum(len(u) for u in _USERS.values())} users to {len(KINDS)} entities, each in {_EACH}s, in"
                f" {len(seen.delays)} rounds; in each everybody is moved between {_NOT_LEGACY} and {_LIVE}, and read at once: items, and lists"
                f" for every fifth ({seen.reads} reads, {seen.again} repeated after a 503); the movers are stopped (SIGSTOP) from before the"
                f" writes until {sum(seen.delays) / len(seen.delays):.1f} s behind them on average, at most {_LONGEST_DELAY_SECONDS:g} s (seed {SEED});"
                f" {len(seen.refused)} writes refused{' (first: ' + '; '.join(wrong[:3]) + ')' if wrong else ''}"
            ),
        )

    @contextmanager
    def _stopped(self) -> Iterator[Callable[[], None]]:
        """The movers do nothing until the given function is called, or it is left."""
        processes = Stack.read(self._file).processes
        pids = [process.pid for process in processes if process.name in _MOVERS]

        def go_on() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield go_on
        finally:
            go_on()

    # --- the three

    async def _write(self, kind: Kind, user: str, parents: Parents) -> _Written | None:
        number = next(self._numbers)
        rows = self._rows.setdefault((user, kind.entity), [])
        if kind.change is not None and rows and self._chance.random() < 0.5:
            path = rows.pop(self._chance.randrange(len(rows)))
            ask = Ask(method="PATCH", path=path, user=user, body=kind.change(number))
        else:
            path = kind.path.format(order=parents.order)
            ask = Ask(method="POST", path=path, user=user, body=kind.create(number, parents))
        said = await self._edge.insist(ask, seconds=_PATIENCE_SECONDS)
        if not said.ok:
            self._seen.refused.append(
                f"{kind.entity} {ask.method} {said.response.status_code} {said.response.text[:200]}"
            )
            return None
        where = said.response.headers.get("location", path).removeprefix("/v2")
        return _Written(kind=kind, user=user, path=where, mark=kind.marked(number))

    async def _read(self, one: _Written) -> None:
        self._seen.triples += 1
        if one.kind.mark[0] == "payload" and one.path.endswith("/events"):
            await self._listed(one, f"{one.path}?limit=200&order=-occurred_at")
            return
        if self._chance.random() < 0.2 and "sort" in _sortable(one.kind):
            await self._listed(one, f"{one.kind.path}?limit=200&order=-created_at")
        response = await self._shown(one, one.path)
        if response.status_code != 200 or one.kind.marks_of(response.json()) != one.mark:
            self._seen.stale.append(f"{one.kind.entity} item {response.status_code}")
            return
        if one.kind.change is not None:
            self._rows[one.user, one.kind.entity].append(one.path)

    async def _listed(self, one: _Written, path: str) -> None:
        while True:
            response = await self._shown(one, path)
            said = response.json()
            if response.status_code == 200 and any(
                one.kind.marks_of(row) == one.mark for row in said["items"]
            ):
                return
            if response.status_code != 200 or said["next"] is None:
                self._seen.stale.append(f"{one.kind.entity} list {response.status_code}")
                return
            path = f"{path.partition('&cursor=')[0]}&cursor={said['next']}"

    async def _shown(self, one: _Written, path: str) -> httpx.Response:
        said = await self._edge.insist(
            Ask(method="GET", path=path, user=one.user), seconds=_PATIENCE_SECONDS
        )
        self._seen.reads += said.attempts
        self._seen.again += said.attempts - 1
        return said.response

    # --- the world

    async def _parents(self, user: str) -> Parents:
        patient = user.startswith("patient")
        submission = own = order = ""
        if patient:
            body = {"given_name": "A", "family_name": "B", "birth_date": "1990-01-02"}
            said = await self._edge.insist(
                Ask(method="POST", path="/submissions", user=user, body=body),
                seconds=_PATIENCE_SECONDS,
            )
            own = said.response.json()["id"]
        if user.startswith("clinician"):
            ask = Ask(method="GET", path="/submissions?limit=1", user=user)
            found = await self._edge.insist(ask, seconds=_PATIENCE_SECONDS)
            submission = found.response.json()["items"][0]["id"]
            body = {"submission_id": submission, "test_code": "HBA1C"}
            said = await self._edge.insist(
                Ask(method="POST", path="/lab-orders", user=user, body=body),
                seconds=_PATIENCE_SECONDS,
            )
            order = said.response.json()["id"]
        return Parents(submission=submission, own_submission=own, order=order)


def _sortable(kind: Kind) -> str:
    column = assets()[kind.entity].by_target.get("created_at")
    return "sort" if column is not None and getattr(column, "sort", False) else ""
