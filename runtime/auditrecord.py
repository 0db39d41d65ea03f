"""`Record`: one link of an audit chain, and the hash that ties it to the one before (phi-rules section 8). Pure.

    hash = HMAC-SHA256(key, hash of the record before | canonical JSON of this one)

Instant and subject are covered as PostgreSQL writes them out, so that nothing is lost in between: a number has one text.
"""

import hmac
from dataclasses import dataclass

import orjson

HASH_BYTES = 32
BEGINNING = bytes(HASH_BYTES)
"""`previous` of the first record."""

COLUMNS = (
    "writer, n, to_json(at at time zone 'UTC') #>> '{}' as at, action, actor, reason, subject::text as subject,"
    " key_id, previous, hash"
)
"""What a Record is read from; the texts depend on no setting of the session."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """`at` is UTC in ISO form without a zone, to the microsecond; `subject` a JSON object as text."""

    writer: str
    n: int
    at: str
    action: str
    actor: str
    reason: str
    subject: str
    key_id: str
    previous: bytes
    hash: bytes


def chained(
    key: bytes,
    previous: bytes,
    *,
    schema: str,
    writer: str,
    n: int,
    at: str,
    action: str,
    actor: str,
    reason: str,
    subject: str,
    key_id: str,
) -> bytes:
    """The hash of a record. The schema is part of it: a record of one database's chain is none in another's."""
    entry = {
        "schema": schema,
        "writer": writer,
        "n": n,
        "at": at,
        "action": action,
        "actor": actor,
        "reason": reason,
        "subject": subject,
        "key_id": key_id,
    }
    canonical = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
    return hmac.digest(key, previous + canonical, "sha256")


def fits(record: Record, key: bytes, *, schema: str) -> bool:
    """Whether the record is what was written, if `previous` is."""
    expected = chained(
        key,
        record.previous,
        schema=schema,
        writer=record.writer,
        n=record.n,
        at=record.at,
        action=record.action,
        actor=record.actor,
        reason=record.reason,
        subject=record.subject,
        key_id=record.key_id,
    )
    return hmac.compare_digest(expected, record.hash)
