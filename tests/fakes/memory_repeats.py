"""The gateway's records of repeats in memory, with the promises of `gateway.repeat_store`; time is the caller's."""

from collections.abc import Callable
from dataclasses import dataclass

from catalog.stage import Side
from gateway.repeat_store import Earlier, Held, Kept
from routes.refused import IdempotencyInFlight, IdempotencyMismatch
from runtime.repeats import Place, Repeatable


@dataclass(kw_only=True)
class _Record:
    fingerprint: bytes
    authority: Side
    correlation_id: str
    attempt: int
    lease_until: float
    earlier_ids: tuple[str, ...] = ()
    answer: Kept | None = None


class MemoryRepeats:
    """Shared by all gateways of a world, as the control database is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._records: dict[tuple[str, str], _Record] = {}

    async def begin(
        self, request: Repeatable, authority: Side, correlation_id: str, *, lease_seconds: float
    ) -> Held | Kept:
        scope, key = f"{request.sub} {request.route}", request.key
        place = Place(scope=scope, key=key, fingerprint=request.fingerprint.hex())
        until = self._clock() + lease_seconds
        record = self._records.get((scope, key))
        if record is None:
            self._records[scope, key] = _Record(
                fingerprint=request.fingerprint,
                authority=authority,
                correlation_id=correlation_id,
                attempt=1,
                lease_until=until,
            )
            return Held(place=place, attempt=1, earlier=None)
        if record.fingerprint != request.fingerprint:
            raise IdempotencyMismatch
        if record.answer is not None:
            return record.answer
        if record.lease_until > self._clock():
            raise IdempotencyInFlight
        if record.correlation_id not in record.earlier_ids:
            record.earlier_ids += (record.correlation_id,)
        earlier = Earlier(authority=record.authority, correlation_ids=record.earlier_ids)
        record.attempt += 1
        record.correlation_id, record.lease_until = correlation_id, until
        return Held(place=place, attempt=record.attempt, earlier=earlier)

    async def move(self, held: Held, authority: Side) -> None:
        if (record := self._mine(held)) is not None:
            record.authority = authority

    async def finish(self, held: Held, answer: Kept) -> None:
        if (record := self._mine(held)) is not None:
            record.answer = answer

    async def drop(self, held: Held) -> None:
        if self._mine(held) is not None:
            del self._records[held.place.scope, held.place.key]

    async def release(self, held: Held, *, after_seconds: float) -> None:
        if (record := self._mine(held)) is not None:
            record.lease_until = self._clock() + after_seconds

    def _mine(self, held: Held) -> _Record | None:
        record = self._records.get((held.place.scope, held.place.key))
        if record is None or record.answer is not None or record.attempt != held.attempt:
            return None
        return record
