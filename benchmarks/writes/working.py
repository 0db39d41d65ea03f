"""`Working`: clients who make, change and remove rows of every resource, one after another each, and know what they were told."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

import httpx

from benchmarks.writes.caller import Ask, Caller, Unanswered
from benchmarks.writes.kinds import KINDS, Kind, Parents
from catalog.stage import Side

_PATIENCE_SECONDS = 120.0
_MOST_ROWS = 12
"""Of one client and kind, before it prefers to change them."""


@dataclass(kw_only=True)
class Row:
    """`mark` and `correlation_id` are those of the last write that was acknowledged, of which there were `writes`."""

    kind: Kind
    side: Side
    path: str
    etag: str
    mark: str
    correlation_id: str
    writes: int = 1
    gone: bool = False


@dataclass(kw_only=True)
class Told:
    """What all clients together were told."""

    rows: list[Row] = field(default_factory=list)
    acknowledged: int = 0
    sent: int = 0
    unanswered: list[str] = field(default_factory=list)
    """Entities of writes that nobody answered within two minutes: they may be there, or not."""
    odd: list[str] = field(default_factory=list)
    """Answers that no client should get: entity, method, status."""
    stale: int = 0
    """Reads of a row that did not show its last write."""
    reads: int = 0


class Working:
    """One client of one side, as these users by role: all of its rows are its own. `numbers` are shared by all, so that no two marks are alike."""

    def __init__(
        self,
        edge: Caller,
        side: Side,
        users: Mapping[str, str],
        parents: Parents,
        told: Told,
        numbers: "count[int]",
        chance: random.Random,
    ) -> None:
        self._edge = edge
        self._side = side
        self._users = users
        self._parents = parents
        self._told = told
        self._numbers = numbers
        self._chance = chance
        self._mine: dict[str, list[Row]] = {kind.entity: [] for kind in KINDS}

    async def run(self, enough: asyncio.Event) -> None:
        """Until there is enough; then what was begun is finished."""
        while not enough.is_set():
            await self.step()

    async def step(self) -> None:
        """One write, and sometimes a look at what it left."""
        kind = self._chance.choice(KINDS)
        rows = self._mine[kind.entity]
        more = self._chance.random() < (0.5 if len(rows) < _MOST_ROWS else 0.1)
        if kind.change is None or not rows or more:
            await self._create(kind)
            return
        # Nobody else takes it as long as this step has it: several steps of one client may run at once.
        row = rows.pop(self._chance.randrange(len(rows)))
        if kind.removes and self._chance.random() < 0.15:
            await self._remove(row)
            return
        number = next(self._numbers)
        if not await self._changed(row, kind.change(number), kind.marked(number)):
            self._told.rows.remove(row)
            return
        if self._chance.random() < 0.3:
            await self._look(row)
        rows.append(row)

    async def _create(self, kind: Kind) -> None:
        number = next(self._numbers)
        path = kind.path.format(order=self._parents.order)
        ask = Ask(
            method="POST",
            path=path,
            user=self._users[kind.user],
            body=kind.create(number, self._parents),
        )
        response = await self._answered(kind, ask, ok=(201,))
        if response is None:
            return
        where = response.headers.get("location", "").removeprefix("/v2")
        row = Row(
            kind=kind,
            side=self._side,
            path=where,
            etag=response.headers.get("etag", ""),
            mark=kind.marked(number),
            correlation_id=ask.correlation_id,
        )
        self._told.rows.append(row)
        if kind.change is not None:
            self._mine[kind.entity].append(row)

    async def _changed(self, row: Row, body: Mapping[str, object], mark: str) -> bool:
        """Whether the row now stands as it was written."""
        ask = Ask(
            method="PATCH",
            path=row.path,
            user=self._users[row.kind.user],
            body=body,
            if_match=row.etag,
        )
        response = await self._answered(row.kind, ask, ok=(200, 412))
        if response is not None and response.status_code == 412:
            # An attempt whose answer was lost has changed the version: the row tells.
            response = await self._answered(
                row.kind,
                Ask(method="GET", path=row.path, user=self._users[row.kind.user]),
                ok=(200,),
                writes=True,
            )
            if response is not None and row.kind.marks_of(response.json()) != mark:
                self._told.odd.append(
                    f"{row.kind.entity} PATCH 412, and the row is not this write's"
                )
                response = None
        if response is None:
            return False
        row.etag, row.mark, row.correlation_id = response.headers["etag"], mark, ask.correlation_id
        row.writes += 1
        return True

    async def _remove(self, row: Row) -> None:
        ask = Ask(method="DELETE", path=row.path, user=self._users[row.kind.user])
        if await self._answered(row.kind, ask, ok=(204, 404)) is None:
            self._told.rows.remove(row)
        else:
            row.gone = True

    async def _look(self, row: Row) -> None:
        try:
            response = await self._edge.send(
                Ask(method="GET", path=row.path, user=self._users[row.kind.user])
            )
        except httpx.TransportError:
            return
        if response.status_code >= 500:
            return
        self._told.reads += 1
        self._told.stale += (
            response.status_code != 200 or row.kind.marks_of(response.json()) != row.mark
        )

    async def _answered(
        self, kind: Kind, ask: Ask, *, ok: tuple[int, ...], writes: bool = False
    ) -> httpx.Response | None:
        """The final answer of a write, if it is one of `ok`. None: it is not known what became of it, or it is odd."""
        try:
            said = await self._edge.insist(ask, seconds=_PATIENCE_SECONDS)
        except Unanswered:
            self._told.unanswered.append(f"{kind.entity} {ask.method}")
            return None
        self._told.sent += said.attempts
        status = said.response.status_code
        # What is said of a version, or of a row that is not there, is right for a repeat only.
        if status not in ok or (status in (404, 412) and said.attempts == 1):
            self._told.odd.append(f"{kind.entity} {ask.method} {status} {said.response.text[:300]}")
            return None
        self._told.acknowledged += (ask.method != "GET" and status != 412) or writes
        return said.response


def numbers() -> "count[int]":
    return count(1)
