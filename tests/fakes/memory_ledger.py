"""The ledger in memory: the same promises as `PostgresLedger`, held to them by the same suite, by the caller's clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from catalog.stage import Side
from migration.divergence import CLAIM_SECONDS, OVERDUE, Claimed, Failure, Hold, State
from routes.key import Key


@dataclass(frozen=True, kw_only=True)
class Incident:
    entity: str
    key: Key
    side: Side
    state: State
    reason: str
    attempts: int
    first_seen: float
    last_seen: float
    next_at: float
    correlation_id: str | None
    follows: int | None
    redriven_at: float | None = None


class MemoryLedger:
    """`clock` in seconds. `incidents`: in the order of their beginnings; `follows` is a place in it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.incidents: list[Incident] = []

    @property
    def unsolved(self) -> int:
        return sum(one.state is not State.SOLVED for one in self.incidents)

    def _find(self, entity: str, side: Side, key: Key, *, solved: bool = False) -> int | None:
        for n, one in reversed(list(enumerate(self.incidents))):
            same = (one.entity, one.side, one.key) == (entity, side, key)
            if same and (one.state is State.SOLVED) is solved:
                return n
        return None

    async def holds(self, entity: str, side: Side, keys: Sequence[Key]) -> Mapping[Key, Hold]:
        found = {}
        for key in keys:
            n = self._find(entity, side, key)
            if n is not None:
                one = self.incidents[n] = replace(self.incidents[n], last_seen=self._clock())
                found[key] = Hold(attempts=one.attempts, seconds=one.next_at - self._clock())
        return found

    async def book(self, entity: str, side: Side, failures: Mapping[Key, Failure]) -> None:
        for key, failure in failures.items():
            n = self._find(entity, side, key)
            if n is None:
                self.incidents.append(self._new(entity, side, key, failure))
            else:
                self.incidents[n] = self._again(self.incidents[n], failure)

    def _new(self, entity: str, side: Side, key: Key, failure: Failure) -> Incident:
        now = self._clock()
        return Incident(
            entity=entity,
            key=key,
            side=side,
            state=failure.state,
            reason=failure.reason,
            attempts=1,
            first_seen=now,
            last_seen=now,
            next_at=now + failure.seconds,
            correlation_id=failure.correlation_id,
            follows=self._find(entity, side, key, solved=True),
        )

    def _again(self, old: Incident, failure: Failure) -> Incident:
        new = replace(
            old,
            attempts=old.attempts + 1,
            reason=failure.reason,
            last_seen=self._clock(),
            correlation_id=failure.correlation_id or old.correlation_id,
        )
        if old.state is State.QUARANTINED:
            return new
        return replace(new, state=failure.state, next_at=self._clock() + failure.seconds)

    async def solve(self, entity: str, side: Side, keys: Sequence[Key]) -> None:
        for key in keys:
            n = self._find(entity, side, key)
            if n is not None:
                self.incidents[n] = replace(self.incidents[n], state=State.SOLVED)

    async def claim(self, most: int) -> Sequence[Claimed]:
        claimed: list[Claimed] = []
        for n, one in enumerate(self.incidents):
            tried = one.state not in (State.SOLVED, State.QUARANTINED)
            if tried and one.next_at <= self._clock() and len(claimed) < most:
                self.incidents[n] = replace(one, next_at=self._clock() + CLAIM_SECONDS)
                claimed.append(
                    Claimed(entity=one.entity, key=one.key, side=one.side, attempts=one.attempts)
                )
        return claimed

    async def expire(self) -> int:
        limit, count = self._clock() - OVERDUE.total_seconds(), 0
        for n, one in enumerate(self.incidents):
            since = one.first_seen if one.redriven_at is None else one.redriven_at
            if one.state not in (State.SOLVED, State.QUARANTINED) and since <= limit:
                self.incidents[n] = replace(one, state=State.QUARANTINED, next_at=float("inf"))
                count += 1
        return count

    async def redrive(self, entity: str | None, keys: Sequence[Key] | None) -> int:
        now, count = self._clock(), 0
        for n, one in enumerate(self.incidents):
            meant = entity in (None, one.entity) and (keys is None or one.key in keys)
            if meant and one.state is State.QUARANTINED:
                self.incidents[n] = replace(
                    one, state=State.RETRYING, attempts=0, next_at=now, redriven_at=now
                )
                count += 1
        return count
