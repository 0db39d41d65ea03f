"""What a side does with a write that the gateway sends it, and what it shows: the two ends of a gateway's requests.

Here the words of `gateway.legacy_writes`, `gateway.legacy_side` and of the services are said again in short, over rows instead of
HTTP: which refusal, which outcome, what a repeat meets. Everything else of the gateway is its own code.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from gateway.caller import Caller
from gateway.page import Item
from gateway.repeat_store import Kept
from gateway.rows import Row
from gateway.written_row import WriteFailed, WrittenRow
from migration.version import Version
from routes.key import Key
from routes.problem import FieldError
from routes.refused import (
    Conflict,
    Fenced,
    IdempotencyInFlight,
    IdempotencyMismatch,
    NotFound,
    Refused,
    VersionChanged,
)
from routes.resource import Resource
from runtime.intent import Outcome
from runtime.repeats import Repeatable
from runtime.tasks import spawn
from runtime.upstream.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from runtime.upstream.reply import Reply
from tests.simulation.history import Op, Written
from tests.simulation.process import Process
from tests.simulation.side import Aborted, Closed, Statement, WorldSide, tag_of

P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS = 3
WRITE_SECONDS = 2.0
"""The gateway's deadline of a request to a side."""


class Way:
    """From a gateway to one side. What was sent goes on there when nobody waits for it any more."""

    def __init__(self, process: Process, side: WorldSide, lost: float) -> None:
        self.process = process
        self.side = side
        self._name = side.side.value
        self._lost = lost

    def heal(self) -> None:
        self._lost = 0.0

    async def ask(self, act: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises UpstreamUnreachable (nothing was sent), UpstreamTimeout (nobody knows), and what `act` raises."""
        process, dice = self.process, self.process.dice
        await process.travel()
        if dice.chance(self._lost):
            raise UpstreamUnreachable(self._name)
        task = spawn(_shielded(act(*args, **kwargs)), name=f"{self._name}.request")
        await asyncio.wait([task], timeout=WRITE_SECONDS)
        await process.travel()
        if not task.done() or dice.chance(self._lost):
            raise UpstreamTimeout(self._name)
        answer = task.result()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def _shielded(act: Awaitable[T]) -> T | Exception:
    try:
        return await act
    except (Refused, Aborted, Closed) as error:
        return error


class LegacyTaker:
    """As `LegacyWrites` and `LegacySide`."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._side = way.side

    async def write(self, op: Op, caller: Caller) -> WrittenRow:
        match op.kind:
            case "create":
                return await self._create(op, caller)
            case "change":
                return await self._change(op, caller, always=True)
            case _:
                return await self._change(op, caller, always=False)

    async def _create(self, op: Op, caller: Caller) -> WrittenRow:
        written = await self._send(Statement(op=op, correlation_id=caller.correlation_id))
        if written is not None:
            return shown(written.version, op.key, status=201)
        if not op.derived:
            raise Conflict([FieldError(field="key", code="taken")])
        try:
            found = await self._way.ask(self._read, op.key)
        except UpstreamError as error:
            raise WriteFailed(error, Outcome.UNKNOWN) from None
        if found is None or found[1]["on_hand"] != op.number:
            raise IdempotencyMismatch
        return shown(found[0], op.key, status=201)

    async def _change(self, op: Op, caller: Caller, *, always: bool) -> WrittenRow:
        """A change names the version that it was made for; a delete only if its user did."""
        for _ in range(_ATTEMPTS):
            tag = tag_of((await self._current(op))[0])
            statement = Statement(
                op=op,
                correlation_id=caller.correlation_id,
                expects=tag if always or op.if_match else "",
            )
            written = await self._send(statement)
            if written is not None:
                return shown(written.version, op.key, status=204 if written.deleted else 200)
            await self._current(op)
        raise Conflict([FieldError(field="row", code="changed_again_and_again")])

    async def _current(self, op: Op) -> tuple[Version, dict[str, Any]]:
        try:
            found = await self._way.ask(self._read, op.key)
        except UpstreamError as error:
            raise WriteFailed(error, Outcome.NOT_APPLIED) from None
        if found is None:
            raise NotFound
        if op.if_match and op.if_match != tag_of(found[0]):
            raise VersionChanged
        return found

    async def _send(self, statement: Statement) -> Written | None:
        try:
            return await self._way.ask(self._side.write, statement)
        except UpstreamError as error:
            outcome = Outcome.UNKNOWN
            if isinstance(error, UpstreamUnreachable):
                outcome = Outcome.NOT_APPLIED
            raise WriteFailed(error, outcome) from None
        except Closed:
            raise Fenced from None
        except Aborted:
            raise WriteFailed(UpstreamTimeout("legacy"), Outcome.NOT_APPLIED) from None

    async def _read(self, key: Key) -> tuple[Version, dict[str, Any]] | None:
        return self._side.row(key)

    async def item(self, resource: Resource, key: Key, caller: Caller) -> tuple[Item, Row] | None:
        found = await self._way.ask(self._read, key)
        return None if found is None else (_item(found[0]), {})


class Service:
    """The service's own half: a write's record commits with it."""

    def __init__(self, side: WorldSide) -> None:
        self.side = side
        self._kept: dict[tuple[str, str], Kept] = {}
        self._running: dict[tuple[str, str], None] = {}

    async def write(self, statement: Statement, repeat: Repeatable | None) -> Kept:
        """Raises IdempotencyInFlight, IdempotencyMismatch, Closed, Aborted."""
        if repeat is None:
            return await self._answer(statement)
        place = (repeat.sub, repeat.key)
        if place in self._running:
            raise IdempotencyInFlight
        if place in self._kept:
            return self._kept[place]
        self._running[place] = None
        try:
            self._kept[place] = answer = await self._answer(statement)
            return answer
        finally:
            del self._running[place]

    async def _answer(self, statement: Statement) -> Kept:
        op = statement.op
        self.side.admit(statement.epoch)
        if op.kind != "create":
            there = self.side.row(op.key)
            if there is None:
                return _refusal(404)
            if op.if_match and op.if_match != tag_of(there[0]):
                return _refusal(412)
        written = await self.side.write(statement)
        if written is not None:
            statuses = {"create": 201, "change": 200, "delete": 204}
            return _kept(shown(written.version, op.key, status=statuses[op.kind]))
        there = self.side.row(op.key)
        if op.kind != "create":
            return _refusal(404 if there is None else 412)
        if not op.derived or there is None:
            return _refusal(409)
        if there[1]["on_hand"] != op.number:
            raise IdempotencyMismatch
        return _kept(shown(there[0], op.key, status=201))


class ServiceTaker:
    """As `ServiceWrites` and `ServiceSide`."""

    def __init__(self, way: Way, service: Service) -> None:
        self._way = way
        self._service = service

    async def write(
        self, op: Op, repeat: Repeatable | None, caller: Caller, epoch: int
    ) -> WrittenRow | Kept:
        statement = Statement(
            op=op, correlation_id=caller.correlation_id, epoch=epoch, expects=op.if_match
        )
        try:
            answer = await self._way.ask(self._service.write, statement, repeat)
        except UpstreamError as error:
            outcome = Outcome.UNKNOWN
            if isinstance(error, UpstreamUnreachable):
                outcome = Outcome.NOT_APPLIED
            raise WriteFailed(error, outcome) from None
        except Closed:
            raise Fenced from None
        except Aborted:
            raise WriteFailed(UpstreamTimeout("service"), Outcome.UNKNOWN) from None
        except IdempotencyMismatch:
            return _refusal(422)
        if answer.status >= 400:
            return answer
        tag = dict(answer.headers)[b"etag"].decode()
        return WrittenRow(status=answer.status, body=answer.body, etag=tag, key=op.key)

    async def get(
        self,
        resource: Resource,
        path: bytes,
        query: bytes,
        caller: Caller,
        extra: Sequence[tuple[bytes, bytes]] = (),
    ) -> Reply:
        return await self._way.ask(self._get, key_of(path))

    async def _get(self, key: Key) -> Reply:
        found = self._way.side.row(key)
        if found is None:
            return Reply(status=404, headers=(), body=b"")
        item = _item(found[0])
        return Reply(status=200, headers=((b"etag", item.etag.encode()),), body=item.body)

    async def known(
        self, resource: Resource, keys: Sequence[Key], caller: Caller
    ) -> tuple[bool, ...]:
        return await self._way.ask(self._known, keys)

    async def _known(self, keys: Sequence[Key]) -> tuple[bool, ...]:
        return tuple(self._way.side.top(key) is not None for key in keys)


def shown(version: Version, key: Key, *, status: int) -> WrittenRow:
    """The body names the version, for whoever checks."""
    body = str(version.correlation_id).encode()
    return WrittenRow(status=status, body=body, etag=tag_of(version), key=key)


def path_of(key: Key) -> bytes:
    return "~".join(key).encode()


def key_of(path: bytes) -> Key:
    return tuple(path.decode().split("~"))


def _item(version: Version) -> Item:
    return Item(body=str(version.correlation_id).encode(), etag=tag_of(version))


def _kept(row: WrittenRow) -> Kept:
    return Kept(status=row.status, body=row.body, headers=[(b"etag", row.etag.encode())])


def _refusal(status: int) -> Kept:
    return Kept(status=status, body=b"", headers=[])
