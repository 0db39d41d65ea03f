"""`AuditChain`: what was done, by whom and why, in records that each depend on all before them (phi-rules section 8).

A record commits with the change that it tells of: `append` runs in the change's own transaction, so there is never one
without the other. Records of one writer form one chain; its appends go one after the other, from `append` to the commit.
`runtime/auditverify.py` finds what was changed behind the triggers, `runtime/auditanchor.py` what was cut off the end.

What PostgreSQL raises passes through (as class and SQLSTATE it is the change's own failure), and
NotInTransaction   `append` was called outside of a transaction: a mistake of the caller's
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from runtime.auditrecord import Record, chained
from runtime.keyring import Keyring
from runtime.postgres import Connection, quote_identifier
from runtime.tagger import Tagger


class NotInTransaction(Exception):
    """A record must commit with what it tells of."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """`action` is `thing.verb`. `actor` is a person's sub, or a machine's name. `subject` is plain JSON and no patient data:
    names of ours, versions, counts; for a person's id, `AuditChain.tag`. `reason` is the operator's own words."""

    action: str
    actor: str
    reason: str
    subject: Mapping[str, Any]


class AuditChain:
    """One writer's chain in one schema (its tables: `runtime/control/0003_audit.sql`). Any number of processes may share it."""

    def __init__(self, keys: Keyring, *, writer: str, schema: str = "control") -> None:
        self.writer = writer
        self.schema = schema
        self._keys = keys
        self._tagger = Tagger(keys)
        place = quote_identifier(schema)
        # The instant is taken anew for whoever had to wait for the row.
        self._lock = (
            "select n, hash, to_json(clock_timestamp() at time zone 'UTC') #>> '{}' as at,"  # noqa: S608 - a quoted name
            f" $2::jsonb::text as subject from {place}.audit_heads where writer = $1 for update"
        )
        self._found = f"insert into {place}.audit_heads (writer) values ($1) on conflict do nothing"  # noqa: S608 - a quoted name
        self._write = (
            f"with moved as (update {place}.audit_heads set n = $2, hash = $10 where writer = $1)"  # noqa: S608 - a quoted name
            f" insert into {place}.audit (writer, n, at, action, actor, reason, subject, key_id, previous, hash)"
            " values ($1, $2, $3::text::timestamp at time zone 'UTC', $4, $5, $6, $7, $8, $9, $10)"
        )

    async def append(self, connection: Connection, event: Event) -> Record:
        """The next record, in the caller's transaction, which must be READ COMMITTED (a stricter one fails where appends meet:
        40001). Append last: until the commit, whoever else appends to this chain waits."""
        if not connection.is_in_transaction():
            raise NotInTransaction
        head = await self._locked(connection, orjson.dumps(event.subject).decode())
        key_id, previous = self._keys.newest, head["hash"]
        entry = {
            "writer": self.writer,
            "n": head["n"] + 1,
            "at": head["at"],
            "action": event.action,
            "actor": event.actor,
            "reason": event.reason,
            "subject": head["subject"],
            "key_id": key_id,
        }
        made = chained(self._keys.newest_key, previous, schema=self.schema, **entry)
        await connection.execute(self._write, *entry.values(), previous, made)
        return Record(**entry, previous=previous, hash=made)

    async def _locked(self, connection: Connection, subject: str) -> asyncpg.Record:
        head = await connection.fetchrow(self._lock, self.writer, subject)
        if head is None:
            await connection.execute(self._found, self.writer)
            [head] = await connection.fetch(self._lock, self.writer, subject)
        return head

    def tag(self, entity: str, field: str, value: str) -> str:
        """What stands for an id that must not be in a subject: the same one has the same tag, and nobody without the key can try."""
        return str(self._tagger.tag(entity, field, value))
