"""A repeat of a write meets its first attempt: it gets the same answer, is told to come back, or is refused.

The record commits with the write. Until then its transaction holds an advisory lock on the key: whoever finds it taken
is told to come back, and when the owner dies, its lock dies with it.
"""

import msgspec

from routes.refused import IdempotencyInFlight, IdempotencyMismatch
from runtime.repeats import Repeatable, Repeats
from runtime.sealed import Sealer
from services.transaction import Transaction

_ENTITY = "idempotency"


class Answer(msgspec.Struct, frozen=True):
    """What the first attempt got, and its repeats get."""

    status: int
    body: bytes
    headers: dict[str, str]


class Idempotency:
    """The records of one service."""

    def __init__(self, repeats: Repeats, sealer: Sealer) -> None:
        self._repeats = repeats
        self._sealer = sealer

    async def earlier(self, transaction: Transaction, request: Repeatable) -> Answer | None:
        """What an earlier attempt got; None if this is the first, which now holds the key until its transaction ends.

        Raises IdempotencyInFlight while another attempt holds it, IdempotencyMismatch if that was another request.
        """
        connection = transaction.connection
        if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", request.lock):
            raise IdempotencyInFlight
        places = {(place.scope, place.key): place for place in self._repeats.places(request)}
        found = await connection.fetchrow(
            "select i.scope, i.key, i.fingerprint, i.answer from unnest($1::text[], $2::text[]) p(scope, key)"  # noqa: S608 - a name of ours
            f" cross join lateral (select * from {transaction.service}.idempotency r"
            " where r.scope = p.scope and r.key = p.key limit 1) i limit 1",
            [scope for scope, _ in places],
            [key for _, key in places],
        )
        if found is None:
            return None
        if found["fingerprint"] != places[found["scope"], found["key"]].fingerprint:
            raise IdempotencyMismatch
        plain = self._sealer.open(
            found["answer"], entity=_ENTITY, key=found["scope"], version=found["key"]
        )
        return msgspec.msgpack.decode(plain, type=Answer)

    async def remember(self, transaction: Transaction, request: Repeatable, answer: Answer) -> None:
        """In the write's own transaction."""
        place = self._repeats.places(request)[0]
        plain = msgspec.msgpack.encode(answer)
        await transaction.connection.execute(
            f"insert into {transaction.service}.idempotency (scope, key, fingerprint, status, answer)"  # noqa: S608 - a name of ours
            " values ($1, $2, $3, $4, $5)",
            place.scope,
            place.key,
            place.fingerprint,
            answer.status,
            self._sealer.seal(plain, entity=_ENTITY, key=place.scope, version=place.key),
        )
