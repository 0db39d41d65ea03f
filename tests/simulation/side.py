"""`WorldSide`: one side's database: rows under locks, commits that take their time, a clock of its own, a write mode, an epoch.

A statement takes its stamp when it runs, and is seen when it commits. Rows and rules are `tests.fakes.memory_store`'s, which the
suite of the real stores holds; here is what happens in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from catalog.asset import Asset
from catalog.stage import Side
from migration.guard import Verdict
from migration.store import Answer, Change
from migration.version import Version
from routes.etag import etag
from routes.key import Key
from tests.fakes.memory_store import MemoryStore, Row
from tests.simulation.dice import Dice
from tests.simulation.history import History, Op, Written

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
BARRIER_SECONDS = 0.5
LOCK_SECONDS = 1.0
SLOWEST_COMMIT_SECONDS = 2.4
STATEMENT_SECONDS = BARRIER_SECONDS + LOCK_SECONDS + SLOWEST_COMMIT_SECONDS + 0.1
"""Longest that a statement runs."""
_LOCK_TIMEOUT = "55P03"


class Aborted(Exception):
    """Rolled back: a lock was not to be had in time, or the engine gave up. Nobody but the engine knows."""


class Closed(Exception):
    """25006 or BY001: this side takes no such write now."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A user's insert, update or delete of one row. `expects`: the version that it is meant for; empty: whichever is there."""

    op: Op
    correlation_id: str
    epoch: int | None = None
    expects: str = ""


class WorldSide(MemoryStore):
    """`log` is told each key that the side's log names: of a user's write, and in legacy of an apply, too."""

    def __init__(
        self,
        side: Side,
        asset: Asset,
        *,
        dice: Dice,
        history: History,
        skew: float,
        tick: float,
        late_commit: float,
        log: Callable[[Key, Version], None],
    ) -> None:
        super().__init__(side, clock=self._clock_reading)
        self.asset = asset
        self.mode = "read_write"
        self.shut = False
        """Control believes that no user's write is accepted here any more."""
        self.late_commit = late_commit
        self._dice = dice
        self._history = history
        self._skew = skew
        self._tick = tick
        self._log = log
        self._stamp: datetime | None = None
        self._locks: dict[Key, asyncio.Lock] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._running = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    # --- time

    def now(self) -> datetime:
        seconds = asyncio.get_running_loop().time() + self._skew
        if self._tick:
            seconds -= seconds % self._tick
        return BEGAN + timedelta(seconds=seconds)

    def _clock_reading(self) -> datetime:
        """Of the statement that is about to commit, it is what it was when the statement ran."""
        return self._stamp or self.now()

    # --- what is there

    def row(self, key: Key) -> tuple[Version, Row] | None:
        return self._content.rows.get((self.asset.entity, key))

    def tombstone(self, key: Key) -> Version | None:
        return self._content.tombstones.get((self.asset.entity, key))

    def top(self, key: Key) -> Version | None:
        """The key's version: the greater of row and tombstone."""
        row, grave = self.row(key), self.tombstone(key)
        if row is None or (grave is not None and grave.pair >= row[0].pair):
            return grave
        return row[0]

    def all_keys(self) -> Sequence[Key]:
        places = {*self._content.rows, *self._content.tombstones}
        return sorted(key for _, key in places)

    def seed(self, key: Key, version: Version, row: Row) -> None:
        self._content.rows[self.asset.entity, key] = (version, row)

    # --- users

    async def write(self, statement: Statement) -> Written | None:  # type: ignore[override]
        """The version that was committed; None: no row was hit, or for an insert, one was in the way. Raises Closed, Aborted."""
        async with self._admitted(statement), self._locked(statement.op.key):
            op, row = statement.op, self.row(statement.op.key)
            if (op.kind == "create") is (row is not None):
                return None
            if statement.expects and row is not None and statement.expects != tag_of(row[0]):
                return None
            stamp = self.now()
            await asyncio.sleep(self._commit_seconds())
            if self._dice.chance(self.late_commit * 0.1):
                raise Aborted
            return self._commit(statement, stamp)

    def _commit(self, statement: Statement, stamp: datetime) -> Written:
        op, deleted = statement.op, statement.op.kind == "delete"
        old, grave = self.row(op.key), self.tombstone(op.key)
        bases = [b for b in (old[0] if old else None, grave) if b is not None]
        content = None if deleted else content_of(op)
        self._stamp = stamp
        try:
            version = super().write(self.asset, op.key, content, statement.correlation_id)
        finally:
            self._stamp = None
        written = self._history.committed(op, self.side, version, bases, deleted=deleted)
        if self.shut:
            self._history.violated("two_authorities", f"{self.side} took {written}")
        if statement.epoch is not None and statement.epoch < self.epochs[self.asset.entity]:
            self._history.violated("stale_epoch", f"{self.side} took {written}")
        self._log(op.key, version)
        return written

    def _commit_seconds(self) -> float:
        if self._dice.chance(self.late_commit):
            return self._dice.between(0.5, SLOWEST_COMMIT_SECONDS)
        return self._dice.delay(0.02, 0.3)

    @asynccontextmanager
    async def _admitted(self, statement: Statement) -> AsyncIterator[None]:
        """First the table's lock, then mode and epoch: no switch falls in between."""
        await self._pass_barrier()
        self.admit(statement.epoch)
        self._running += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._quiet.set()

    def admit(self, epoch: int | None) -> None:
        if epoch is not None and epoch < self.epochs[self.asset.entity]:
            raise Closed
        if self.mode != "read_write":
            raise Closed

    async def _pass_barrier(self) -> None:
        if not self._open.is_set():
            try:
                async with asyncio.timeout(BARRIER_SECONDS):
                    await self._open.wait()
            except TimeoutError:
                raise Aborted from None

    @asynccontextmanager
    async def _locked(self, key: Key) -> AsyncIterator[None]:
        lock = self._locks.setdefault(key, asyncio.Lock())
        if lock.locked():
            try:
                async with asyncio.timeout(LOCK_SECONDS):
                    await lock.acquire()
            except TimeoutError:
                raise Aborted from None
        else:
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @property
    def busy(self) -> bool:
        return self._running > 0

    # --- movers

    async def apply(
        self, asset: Asset, changes: Sequence[Change], *, epoch: int | None, together: bool = False
    ) -> Sequence[Answer]:
        answers: list[Answer] = []
        for change in changes:
            try:
                await self._pass_barrier()
                async with self._locked(change.key):
                    answers.append(self._applied(asset, change, epoch))
            except Aborted:
                answers.append(Answer(verdict=Verdict.ERROR, code=_LOCK_TIMEOUT))
        return answers

    def _applied(self, asset: Asset, change: Change, epoch: int | None) -> Answer:
        before = self.top(change.key)
        answer = self._alone(asset, change, epoch)
        after = self.top(change.key)
        if answer.verdict is not Verdict.APPLIED:
            return answer
        shown = self._history.of(change.version)
        self._history.note(self.side.value, f"takes {shown}{' +conflict' * answer.conflict}")
        if before is not None and (after is None or after.pair < before.pair):
            was = self._history.of(before)
            self._history.violated("older_over_newer", f"{self.side}: {shown} over {was}")
        place = (self.side, str(change.version.correlation_id))
        times = self._history.brought[place] = self._history.brought.get(place, 0) + 1
        if times > 1:
            self._history.violated("echo", f"{self.side}: {shown} applied {times} times")
        if self.side is Side.LEGACY:
            self._log(change.key, change.version)
        return answer

    # --- the switch

    async def set_mode(self, mode: str, epoch: int) -> None:
        """Waits for every writer that has begun, and holds new ones back."""
        self._open.clear()
        try:
            await self._quiet.wait()
            self.mode = mode
            self.epochs[self.asset.entity] = epoch
        finally:
            self._open.set()


def tag_of(version: Version) -> str:
    return etag(version.updated_at.isoformat(), version.origin)


def content_of(op: Op) -> Row:
    partner, site, sku = op.key
    return {
        "partner_id": partner,
        "site_code": site,
        "sku": sku,
        "on_hand": op.number,
        "reserved": 0,
        "reorder_point": None,
        "counted_at": None,
        "created_at": "2026-01-01T00:00:00+00:00",
        "updated_at": "2026-01-01T00:00:00+00:00",
    }
