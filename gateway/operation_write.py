"""An operation that changes rows: only the service can do it, and the other side hears of it as of any write (decisions.md 9)."""

from functools import partial
from typing import Any

from catalog.stage import Stage
from gateway.caller import Caller
from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.repeat_store import Kept
from gateway.response import JSON, Response
from gateway.row_write import RowRequest, read_members, repeatable
from gateway.service_writes import STREAM_SECONDS, ServiceWrites, said
from gateway.write import Asked, Place, Sides, Writing
from gateway.written_row import WriteFailed, WrittenRow
from routes.asked import asked_key
from routes.idempotency import read_idempotency_key, write_idempotency_key
from routes.key import write_key
from routes.match import Match
from routes.operation import Operation
from routes.refused import IdempotencyKeyMissing, InvalidQuery, Malformed, NotHere
from runtime.accessrecord import resource_tag
from runtime.flagsnapshot import FlagUser, Snapshot
from runtime.intent import Outcome
from runtime.upstream.errors import UpstreamBusy
from runtime.upstream.exchange import Header


class OperationWrites:
    """Of one process."""

    def __init__(self, *, writing: Writing, services: ServiceWrites, record_key: bytes) -> None:
        self._writing = writing
        self._services = services
        self._record_key = record_key

    async def do(
        self,
        operation: Operation,
        request: RowRequest,
        caller: Caller,
        snapshot: Snapshot,
        facts: Facts,
    ) -> Response:
        """Raises Refused (NotHere for a user whom the service does not serve yet), and what `Writing.write` raises."""
        if request.query:
            raise InvalidQuery("query", "a_write_takes_none")
        members = read_members(request, JSON)
        idempotency_key = read_idempotency_key(request.idempotency_keys)
        if operation.keyed and idempotency_key is None:
            raise IdempotencyKeyMissing
        key = None if request.found.item is None else asked_key(request.found)
        if key is not None:
            facts.single = True
            facts.resource = resource_tag(self._record_key, request.resource.entity, write_key(key))
        home = members.get(operation.home) if operation.home else None
        stage = stage_of(operation, caller, snapshot, home)
        facts.stage = stage.value
        scope = self._writing.user_tag(home) if isinstance(home, str) else ""
        asked = Asked(
            resource=request.resource,
            key=key,
            place=Place(stage=stage, scope=scope),
            repeat=repeatable(request, caller, members, idempotency_key),
            sides=Sides(
                legacy=_not_by_legacy,
                service=partial(self._by_service, request, caller, idempotency_key),
            ),
        )
        return await self._writing.write(asked, caller, snapshot, facts)

    async def upload(
        self,
        operation: Operation,
        request: Request,
        found: Match,
        caller: Caller,
        snapshot: Snapshot,
        facts: Facts,
    ) -> Response:
        """A body that is passed on as it comes. Raises what `do` raises, and what the body raises."""
        if request.query:
            raise InvalidQuery("query", "a_write_takes_none")
        if request.body is None:
            raise Malformed
        key = asked_key(found)
        facts.single = True
        facts.resource = resource_tag(self._record_key, found.resource.entity, write_key(key))
        stage = stage_of(operation, caller, snapshot, None)
        facts.stage = stage.value
        send = partial(self._services.upload, found, request, request.body, caller)
        asked = Asked(
            resource=found.resource,
            key=key,
            place=Place(stage=stage, scope=""),
            repeat=None,
            sides=Sides(legacy=_not_by_legacy, service=send),
            seconds=STREAM_SECONDS,
        )
        return await self._writing.write(asked, caller, snapshot, facts)

    async def _by_service(
        self, request: RowRequest, caller: Caller, idempotency_key: str | None, epoch: int
    ) -> WrittenRow | Kept:
        headers: list[Header] = [(b"content-type", request.content_type or JSON)]
        if idempotency_key is not None:
            headers.append((b"idempotency-key", write_idempotency_key(idempotency_key)))
        reply = await self._services.send(
            request.found.path,
            request.method,
            request.path,
            caller,
            headers,
            request.body,
            epoch=epoch,
        )
        return said(request.resource, reply)


def stage_of(operation: Operation, caller: Caller, snapshot: Snapshot, home: Any) -> Stage:
    """The stage of whoever's side it is done at. Raises NotHere below the stage that the operation needs."""
    owner = caller.user.flags
    if isinstance(home, str) and home != caller.identity.sub:
        owner = FlagUser(sub=home, role="clinician")
    stage = snapshot.stage(operation.entity, owner)
    if stage.rank < operation.since.rank:
        raise NotHere
    return stage


async def _not_by_legacy() -> WrittenRow:
    """The user's last write of these rows is still on its way from legacy: a moment later the service can do it."""
    raise WriteFailed(UpstreamBusy("mirror"), Outcome.NOT_APPLIED)
