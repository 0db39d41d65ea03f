"""Writes to legacy through Supabase REST, as the user: its row security decides, its triggers stamp the row.

A write names its rows (`id=eq.…`) and asks for the row back (`return=representation`), so it never hits more than one.
"""

from collections.abc import Sequence
from typing import Any

from catalog.stage import Side
from gateway.caller import Caller
from gateway.disagreement import Disagreement
from gateway.legacy_body import LegacyRefusal, legacy_values
from gateway.legacy_side import LegacySide, key_of
from gateway.page import Item
from gateway.postgrest import changed_target, created_target, removed_target
from gateway.rows import Row
from gateway.written_row import Problem, WriteFailed, WrittenRow, failed
from routes.etag import strongly_matches
from routes.json_body import read_row, write_json
from routes.key import Key
from routes.problem import FieldError
from routes.refused import (
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    NotFound,
    VersionChanged,
)
from routes.resource import Resource
from routes.sameness import same_value
from routes.written import Values, Writer, changed
from runtime.intent import Outcome
from runtime.upstream.errors import UpstreamError
from runtime.upstream.reply import Reply

SIDE = Side.LEGACY
_ATTEMPTS = 3
_REPRESENTATION = (
    (b"prefer", b"return=representation"),
    (b"content-type", b"application/json"),
)


class LegacyWrites:
    """Stateless over the reading side."""

    def __init__(self, side: LegacySide, *, deadline: float) -> None:
        self._side = side
        self._deadline = deadline

    async def create(
        self,
        resource: Resource,
        values: Values,
        asked: Sequence[str],
        caller: Caller,
        key: Key | None,
    ) -> WrittenRow:
        """A new row. A row of its own derived `key` that is there already and holds what was `asked` is this very one.

        Raises Refused, WriteFailed.
        """
        target = created_target(resource.asset, resource.columns(staff=caller.staff))
        body = write_json(legacy_values(resource.asset, values)).encode()
        reply = await self._send("POST", target, caller, body)
        if reply.status == 201:
            return self._written(resource, reply, caller, status=201)
        refusal = LegacyRefusal(reply.body)
        if key is not None and refusal.is_own_key(resource.asset):
            return await self._replayed(resource, key, values, asked, caller)
        raise self._refused(resource, reply, refusal, removing=False)

    async def change(
        self,
        resource: Resource,
        key: Key,
        patch: dict[str, Any],
        if_match: bytes | None,
        writer: Writer,
        caller: Caller,
    ) -> WrittenRow:
        """New values in a row. What depends on the row as it is, is written only to that very version. Raises Refused, WriteFailed."""
        for _ in range(_ATTEMPTS):
            item = await self._current(resource, key, if_match, caller)
            values = changed(resource, patch, read_row(item.body.decode()), writer)
            target = changed_target(
                resource.asset, key, resource.columns(staff=caller.staff), item.etag
            )
            body = write_json(legacy_values(resource.asset, values)).encode()
            reply = await self._send("PATCH", target, caller, body)
            if reply.status != 200:
                raise self._refused(resource, reply, LegacyRefusal(reply.body), removing=False)
            if reply.body.strip() != b"[]":
                return self._written(resource, reply, caller, status=200)
            await self._why_not(resource, key, item, if_match, caller)
        raise Conflict([FieldError(field="row", code="changed_again_and_again")])

    async def remove(
        self, resource: Resource, key: Key, if_match: bytes | None, caller: Caller
    ) -> WrittenRow:
        """A row's end. Raises Refused, WriteFailed."""
        for _ in range(_ATTEMPTS):
            item = await self._current(resource, key, if_match, caller)
            etag = item.etag if if_match is not None else ""
            reply = await self._send("DELETE", removed_target(resource.asset, key, etag), caller)
            if reply.status != 200:
                raise self._refused(resource, reply, LegacyRefusal(reply.body), removing=True)
            if reply.body.strip() != b"[]":
                return WrittenRow(status=204, body=b"", etag="", key=key)
            await self._why_not(resource, key, item, if_match, caller)
        raise Conflict([FieldError(field="row", code="changed_again_and_again")])

    async def made_by(
        self, resource: Resource, caller: Caller, correlation_ids: Sequence[str]
    ) -> WrittenRow | None:
        """The row that an earlier attempt has made, where its key is not derived from the request. Raises Refused, WriteFailed."""
        try:
            found = await self._side.made_by(resource, correlation_ids, caller)
        except UpstreamError as error:
            raise WriteFailed(error, Outcome.UNKNOWN) from None
        return None if found is None else self._shown(resource, found, status=201)

    # --- steps

    async def _current(
        self, resource: Resource, key: Key, if_match: bytes | None, caller: Caller
    ) -> Item:
        """The row as the user sees it. Raises NotFound, VersionChanged, WriteFailed."""
        try:
            found = await self._side.item(resource, key, caller)
        except UpstreamError as error:
            raise WriteFailed(error, Outcome.NOT_APPLIED) from None
        if found is None:
            raise NotFound
        if if_match is not None and not strongly_matches(if_match.decode("latin-1"), found[0].etag):
            raise VersionChanged
        return found[0]

    async def _why_not(
        self, resource: Resource, key: Key, seen: Item, if_match: bytes | None, caller: Caller
    ) -> None:
        """Nothing was hit: the row has changed meanwhile, which is another attempt; else it is not this user's to change."""
        now = await self._current(resource, key, if_match, caller)
        if now.etag == seen.etag:
            raise Forbidden

    async def _replayed(
        self, resource: Resource, key: Key, values: Values, asked: Sequence[str], caller: Caller
    ) -> WrittenRow:
        """The record of the first attempt is lost, its row is not: the same content is the same request."""
        try:
            found = await self._side.item(resource, key, caller)
        except UpstreamError as error:
            raise WriteFailed(error, Outcome.UNKNOWN) from None
        if found is None:
            raise IdempotencyMismatch
        there = read_row(found[0].body.decode())
        for name in asked:
            if not same_value(resource.asset.by_target[name], there.get(name), values[name]):
                raise IdempotencyMismatch
        return self._shown(resource, found, status=201)

    def _written(
        self, resource: Resource, reply: Reply, caller: Caller, *, status: int
    ) -> WrittenRow:
        try:
            found = self._side.translated(resource, reply, caller)
        except Disagreement as error:
            raise WriteFailed(error, Outcome.UNKNOWN) from None
        if found is None:
            raise WriteFailed(Disagreement(), Outcome.UNKNOWN)
        return self._shown(resource, found, status=status)

    def _shown(self, resource: Resource, found: tuple[Item, Row], *, status: int) -> WrittenRow:
        item, row = found
        return WrittenRow(
            status=status, body=item.body, etag=item.etag, key=key_of(resource.asset, row)
        )

    def _refused(
        self, resource: Resource, reply: Reply, refusal: LegacyRefusal, *, removing: bool
    ) -> Exception:
        refused = refusal.refusal(resource, removing=removing)
        if refused is not None and reply.status < 500:
            return refused
        outcome = Outcome.NOT_APPLIED if refusal.spoken else Outcome.UNKNOWN
        if reply.status < 500:
            outcome = Outcome.NOT_APPLIED
        cause = Problem(refusal.trouble) if refusal.trouble else self._side.refusal(reply.status)
        return WriteFailed(cause, outcome)

    async def _send(self, method: str, target: bytes, caller: Caller, body: bytes = b"") -> Reply:
        try:
            return await self._side.send(
                method, target, caller, _REPRESENTATION, body, deadline=self._deadline
            )
        except UpstreamError as error:
            raise failed(error) from None
