"""A POST, PATCH or DELETE of a row: what the request says, whose side it belongs to, and what each side would do with it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from catalog.asset import Asset
from catalog.column import Column, Type
from catalog.stage import Side, Stage
from gateway.caller import Caller
from gateway.disagreement import Disagreement
from gateway.facts import Facts
from gateway.legacy_writes import LegacyWrites
from gateway.plan import Read, SplitRead
from gateway.read import Reader
from gateway.repeat_store import Kept
from gateway.response import JSON, Response
from gateway.service_writes import ServiceWrites, said
from gateway.write import Asked, Place, Sides, Writing
from gateway.written_row import WriteFailed, WrittenRow
from routes.asked import asked_key, asked_parent
from routes.idempotency import (
    fingerprinted,
    read_idempotency_key,
    row_id,
    write_idempotency_key,
)
from routes.json_body import BodyRefused, canonical_json, read_object
from routes.key import Key, write_key
from routes.match import Match
from routes.refused import (
    IdempotencyKeyMissing,
    InvalidBody,
    InvalidQuery,
    Malformed,
    NotFound,
    NotHereYet,
    WrongContentType,
)
from routes.resource import Resource
from routes.written import Values, Writer, created
from runtime.accessrecord import resource_tag
from runtime.correlation import uuid7
from runtime.flagsnapshot import FlagUser, Snapshot
from runtime.intent import Outcome
from runtime.repeats import Repeatable
from runtime.upstream.errors import UpstreamError
from runtime.upstream.exchange import Header

_MERGE_PATCH = b"application/merge-patch+json"


@dataclass(frozen=True, kw_only=True)
class RowRequest:
    """A writing request of a known user, its body whole."""

    method: str
    path: bytes
    query: bytes
    found: Match
    body: bytes
    content_type: bytes | None
    idempotency_keys: list[bytes]
    if_match: bytes | None

    @property
    def resource(self) -> Resource:
        return self.found.resource


class RowWrites:
    """Of one process."""

    def __init__(
        self,
        *,
        writing: Writing,
        legacy: LegacyWrites,
        services: ServiceWrites,
        reader: Reader,
        record_key: bytes,
        unkeyed: Any,
    ) -> None:
        """`unkeyed` is told the entity of each write that a repeat would make once more."""
        self._writing = writing
        self._legacy = legacy
        self._services = services
        self._reader = reader
        self._record_key = record_key
        self._unkeyed = unkeyed

    async def write(
        self,
        request: RowRequest,
        caller: Caller,
        snapshot: Snapshot,
        read: Read | SplitRead,
        facts: Facts,
    ) -> Response:
        """`read` is how this user reads the resource. Raises Refused, and what `Writing.write` raises."""
        if request.query:
            raise InvalidQuery("query", "a_write_takes_none")
        members: dict[str, Any] = {}
        if request.method != "DELETE":
            members = read_members(request, *_MEDIA_TYPES[request.method])
        idempotency_key = self._idempotency_key(request)
        writer = _writer(caller)
        key: Key | None = None
        values: Values = {}
        if request.method == "POST":
            key, values = _new_row(request, caller, members, writer, idempotency_key)
        else:
            key = asked_key(request.found)
        if key is not None:
            facts.single = True
            facts.resource = resource_tag(self._record_key, request.resource.entity, write_key(key))
        place = await self._place(request, caller, snapshot, read, key, values)
        facts.stage = place.stage.value
        asked = Asked(
            resource=request.resource,
            key=key,
            place=place,
            repeat=repeatable(request, caller, members, idempotency_key),
            sides=self._sides(
                request, caller, place.stage, members, writer, key, values, idempotency_key
            ),
        )
        return await self._writing.write(asked, caller, snapshot, facts)

    def _idempotency_key(self, request: RowRequest) -> str | None:
        key = read_idempotency_key(request.idempotency_keys)
        if key is not None or request.method != "POST":
            return key
        create = request.resource.writes.create
        if create is not None and create.keyed:
            raise IdempotencyKeyMissing
        self._unkeyed(request.resource.entity)
        return None

    # --- where it belongs

    async def _place(
        self,
        request: RowRequest,
        caller: Caller,
        snapshot: Snapshot,
        read: Read | SplitRead,
        key: Key | None,
        values: Values,
    ) -> Place:
        resource, asset = request.resource, request.resource.asset
        entity = resource.entity
        split = bool(asset.partition) and bool(snapshot.split_partitions(entity))
        if not (resource.home or split):
            return Place(stage=snapshot.stage(entity, caller.user.flags), scope="")
        row = values if request.method == "POST" else await self._row(request, caller, read, key)
        if split:
            partition = str(row.get(asset.partition) or "")
            stage = snapshot.stage(entity, caller.user.flags, partition)
            return Place(stage=stage, scope=partition)
        home = row.get(resource.home)
        if not isinstance(home, str):
            return Place(stage=snapshot.stage(entity, caller.user.flags), scope="")
        owner = FlagUser(sub=home, role="clinician")
        if home == caller.identity.sub:
            owner = caller.user.flags
        return Place(stage=snapshot.stage(entity, owner), scope=self._writing.user_tag(home))

    async def _row(
        self, request: RowRequest, caller: Caller, read: Read | SplitRead, key: Key | None
    ) -> Values:
        """The row that is to be written, as the user sees it. Raises NotFound, UpstreamError."""
        assert key is not None  # noqa: S101 - only a new row has none
        answer = await self._reader.item(read, request.resource, key, request.path, caller, None)
        row: Values = orjson.loads(answer.body)
        return row

    # --- what each side does

    def _sides(
        self,
        request: RowRequest,
        caller: Caller,
        stage: Stage,
        members: dict[str, Any],
        writer: Writer,
        key: Key | None,
        values: Values,
        idempotency_key: str | None,
    ) -> Sides:
        resource = request.resource
        service = partial(self._by_service, request, caller, idempotency_key)
        if request.method != "POST" and key is not None and _may_be_on_its_way(stage):
            service = partial(self._here, service, request, key, caller)
        if_match = request.if_match
        match request.method:
            case "POST":
                derived = (
                    key
                    if idempotency_key is not None and _has_made_up_key(resource.asset)
                    else None
                )
                legacy = partial(
                    self._legacy.create, resource, values, tuple(members), caller, derived
                )
                found = None
                if idempotency_key is not None and derived is None:
                    found = partial(self._legacy.made_by, resource, caller)
                return Sides(legacy=legacy, service=service, found=found)
            case "PATCH":
                assert key is not None  # noqa: S101 - of an item
                change = partial(
                    self._legacy.change, resource, key, members, if_match, writer, caller
                )
                return Sides(legacy=change, service=service)
            case _:
                assert key is not None  # noqa: S101 - of an item
                return Sides(
                    legacy=partial(self._legacy.remove, resource, key, if_match, caller),
                    service=service,
                )

    async def _by_service(
        self, request: RowRequest, caller: Caller, idempotency_key: str | None, epoch: int
    ) -> WrittenRow | Kept:
        headers: list[Header] = []
        if request.method != "DELETE":
            headers.append((b"content-type", request.content_type or JSON))
        if request.if_match is not None:
            headers.append((b"if-match", request.if_match))
        if idempotency_key is not None:
            headers.append((b"idempotency-key", write_idempotency_key(idempotency_key)))
        reply = await self._services.send(
            request.found.path,
            request.method,
            request.path,
            caller,
            headers,
            b"" if request.method == "DELETE" else request.body,
            epoch=epoch,
        )
        return said(request.resource, reply)

    async def _here(
        self,
        service: Callable[[int], Awaitable[WrittenRow | Kept]],
        request: RowRequest,
        key: Key,
        caller: Caller,
        epoch: int,
    ) -> WrittenRow | Kept:
        """The service's answer. Raises NotHereYet for a row that it has never had and legacy shows to this user, and
        WriteFailed where nobody can tell: never a write to the other side, and no word that there is no such row."""
        answer = await service(epoch)
        if answer.status != 404:
            return answer
        try:
            shown = await self._reader.item_instead(
                request.resource, key, request.path, caller, None, None
            )
        except NotFound:
            return answer
        except (UpstreamError, Disagreement) as error:
            raise WriteFailed(error, Outcome.NOT_APPLIED) from None
        if shown.side == Side.SERVICE:
            return await service(epoch)  # it has come over meanwhile
        raise NotHereYet


def _may_be_on_its_way(stage: Stage) -> bool:
    """Whether legacy may hold rows that the service has not got yet; a user below `live` comes to the service by a pin."""
    meaning = stage.meaning
    return meaning.mirrored or meaning.writes is Side.LEGACY


# --- what the request says


def read_members(request: RowRequest, *media_types: bytes) -> dict[str, Any]:
    """The body's members, if it is of one of these media types. Raises WrongContentType, InvalidBody."""
    media_type = (request.content_type or b"").partition(b";")[0].strip().lower()
    if media_type not in media_types:
        raise WrongContentType
    try:
        return read_object(request.body)
    except BodyRefused as refused:
        raise InvalidBody(refused.code) from None


_MEDIA_TYPES = {"POST": (JSON,), "PATCH": (JSON, _MERGE_PATCH)}


def _writer(caller: Caller) -> Writer:
    identity = caller.identity
    return Writer(
        sub=identity.sub,
        partner_id=identity.partner_id,
        staff=identity.staff,
        now=datetime.now(UTC).isoformat(),
    )


def _new_row(
    request: RowRequest,
    caller: Caller,
    members: dict[str, Any],
    writer: Writer,
    idempotency_key: str | None,
) -> tuple[Key | None, Values]:
    """The row's key, known before anything is sent where nobody numbers the row, and its values. Raises Refused."""
    asset = request.resource.asset
    key: Key | None = None
    if _has_made_up_key(asset):
        key = (
            (uuid7(),)
            if idempotency_key is None
            else (str(row_id(asset.entity, caller.identity.sub, idempotency_key)),)
        )
    values = created(request.resource, members, writer, key, asked_parent(request.found))
    if key is None and not asset.minted:
        key = tuple(str(values[name]) for name in asset.key)
    return key, values


def _has_made_up_key(asset: Asset) -> bool:
    column: Column = asset.key_columns[0]
    return len(asset.key) == 1 and column.type is Type.UUID


def repeatable(
    request: RowRequest, caller: Caller, members: dict[str, Any], key: str | None
) -> Repeatable | None:
    """None without an idempotency key."""
    if key is None:
        return None
    return Repeatable(
        sub=caller.identity.sub,
        route=f"{request.method} {request.found.pattern}",
        key=key,
        fingerprint=fingerprinted(
            request.method, request.path, request.query, canonical_json(members)
        ),
    )


def sole(values: list[bytes]) -> bytes | None:
    """A header that may come once. Raises Malformed."""
    if len(values) > 1:
        raise Malformed
    return values[0] if values else None
