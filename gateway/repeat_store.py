"""`RepeatStore`: repeats of writes, as the gateway knows them (data-rules section 4), in the control database.

A record says which side the latest attempt went to before that side is called, so a repeat goes there, too, whatever the
user's stage is by then. It is finished by the answer; a side that was never reached leaves no record.

StoreUnavailable   the control database did not answer: nothing was sent to any side
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import asyncpg
import msgspec

from catalog.stage import Side
from routes.refused import IdempotencyInFlight, IdempotencyMismatch
from runtime.postgres import Connection
from runtime.repeats import Place, Repeatable, Repeats
from runtime.sealed import Sealer

T = TypeVar("T")

_ENTITY = "idempotency"


class StoreUnavailable(Exception):
    """Nothing was sent."""


class Kept(msgspec.Struct, frozen=True):
    """The answer of a finished write."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """Attempts whose outcome nobody has heard: where the latest went, and under which correlation ids they all did."""

    authority: Side
    correlation_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Held:
    """This attempt's hold on the key. `earlier` is None for the first one."""

    place: Place
    attempt: int
    earlier: Earlier | None


class RepeatStore(Protocol):
    """The promises; `ControlRepeats` keeps them in the control database. Everything may raise StoreUnavailable."""

    async def begin(
        self, request: Repeatable, authority: Side, correlation_id: str, *, lease_seconds: float
    ) -> Held | Kept:
        """Hold the key, or get what the finished first one got.

        `authority` is where a first attempt goes. Raises IdempotencyInFlight, IdempotencyMismatch.
        """
        ...

    async def move(self, held: Held, authority: Side) -> None:
        """The latest attempt goes to another side than the one before."""
        ...

    async def finish(self, held: Held, answer: Kept) -> None:
        """The answer of this attempt is the answer of all repeats."""
        ...

    async def drop(self, held: Held) -> None:
        """Nothing was applied: the next repeat is a first attempt."""
        ...

    async def release(self, held: Held, *, after_seconds: float) -> None:
        """Nobody has heard the outcome: a repeat may look for it then."""
        ...


class ControlRepeats:
    """Of one process."""

    def __init__(self, pool: Callable[[], asyncpg.Pool], repeats: Repeats, sealer: Sealer) -> None:
        self._pool = pool
        self._repeats = repeats
        self._sealer = sealer

    async def begin(
        self, request: Repeatable, authority: Side, correlation_id: str, *, lease_seconds: float
    ) -> Held | Kept:
        async def ask(connection: Connection) -> Held | Kept:
            places = self._repeats.places(request)
            older = places[1:]
            while True:
                inserted = await connection.fetchval(
                    _INSERT,
                    places[0].scope,
                    places[0].key,
                    places[0].fingerprint,
                    authority.value,
                    correlation_id,
                    lease_seconds,
                    [place.scope for place in older],
                    [place.key for place in older],
                )
                if inserted:
                    return Held(place=places[0], attempt=1, earlier=None)
                found = await self._find(connection, places)
                # None: it was dropped in between.
                if found is not None:
                    return await self._again(connection, found, correlation_id, lease_seconds)

        return await self._run(ask)

    async def move(self, held: Held, authority: Side) -> None:
        async def ask(connection: Connection) -> None:
            await connection.execute(_MOVE, *_held(held), authority.value)

        await self._run(ask)

    async def finish(self, held: Held, answer: Kept) -> None:
        place = held.place
        plain = msgspec.msgpack.encode(answer)
        sealed = self._sealer.seal(plain, entity=_ENTITY, key=place.scope, version=place.key)

        async def ask(connection: Connection) -> None:
            await connection.execute(_FINISH, *_held(held), answer.status, sealed)

        await self._run(ask)

    async def drop(self, held: Held) -> None:
        async def ask(connection: Connection) -> None:
            await connection.execute(_DROP, *_held(held))

        await self._run(ask)

    async def release(self, held: Held, *, after_seconds: float) -> None:
        async def ask(connection: Connection) -> None:
            await connection.execute(_RELEASE, *_held(held), after_seconds)

        await self._run(ask)

    # --- steps

    async def _find(self, connection: Connection, places: Sequence[Place]) -> "_Found | None":
        by_place = {(place.scope, place.key): place for place in places}
        record = await connection.fetchrow(
            _FIND, [place.scope for place in places], [place.key for place in places]
        )
        if record is None:
            return None
        place = by_place[record["scope"], record["key"]]
        if record["fingerprint"] != place.fingerprint:
            raise IdempotencyMismatch
        return _Found(place=place, record=record)

    async def _again(
        self,
        connection: Connection,
        found: "_Found",
        correlation_id: str,
        lease_seconds: float,
    ) -> Held | Kept:
        record, place = found.record, found.place
        if record["answer"] is not None:
            plain = self._sealer.open(
                record["answer"], entity=_ENTITY, key=place.scope, version=place.key
            )
            return msgspec.msgpack.decode(plain, type=Kept)
        taken = await connection.fetchrow(
            _TAKE_OVER,
            place.scope,
            place.key,
            record["attempt"],
            correlation_id,
            lease_seconds,
        )
        if taken is None:
            raise IdempotencyInFlight
        earlier = Earlier(
            authority=Side(record["authority"]), correlation_ids=tuple(taken["earlier_ids"])
        )
        return Held(place=place, attempt=taken["attempt"], earlier=earlier)

    async def _run(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            async with self._pool().acquire(timeout=_WAIT_SECONDS) as connection:
                return await ask(connection)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            # A timeout is an OSError, too.
            raise StoreUnavailable from None


@dataclass(frozen=True, kw_only=True)
class _Found:
    place: Place
    record: asyncpg.Record


def _held(held: Held) -> tuple[str, str, int]:
    return held.place.scope, held.place.key, held.attempt


_WAIT_SECONDS = 1.0
# One look into the index for each place, however many records there are.
_FIND = """
select i.scope, i.key, i.fingerprint, i.authority, i.correlation_id, i.attempt, i.answer
from unnest($1::text[], $2::text[]) p(scope, key)
cross join lateral (select * from control.idempotency r where r.scope = p.scope and r.key = p.key limit 1) i limit 1
"""
_INSERT = """
insert into control.idempotency (scope, key, fingerprint, authority, correlation_id, lease_until)
select $1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6)
where not exists (select from unnest($7::text[], $8::text[]) p(scope, key)
    cross join lateral (select from control.idempotency r where r.scope = p.scope and r.key = p.key limit 1) i)
on conflict do nothing returning true
"""
_TAKE_OVER = """
update control.idempotency set attempt = attempt + 1, correlation_id = $4,
  earlier_ids = case when correlation_id = any(earlier_ids) then earlier_ids else earlier_ids || correlation_id end,
  lease_until = clock_timestamp() + make_interval(secs => $5)
where scope = $1 and key = $2 and attempt = $3 and answer is null and lease_until <= clock_timestamp()
returning attempt, earlier_ids
"""
_MINE = "where scope = $1 and key = $2 and attempt = $3 and answer is null"
_MOVE = f"update control.idempotency set authority = $4 {_MINE}"  # noqa: S608 - a constant
_FINISH = f"""
update control.idempotency set status = $4, answer = $5, finished_at = clock_timestamp() {_MINE}
"""  # noqa: S608 - a constant
_DROP = f"delete from control.idempotency {_MINE}"  # noqa: S608 - a constant
_RELEASE = f"""
update control.idempotency set lease_until = clock_timestamp() + make_interval(secs => $4) {_MINE}
"""  # noqa: S608 - a constant
