"""Is every audit chain what was written? Names the first bad record of each one.

Finds edits, deletions, insertions, changes of order, and keys that are lost or others. A tail that was cut off together
with its head row is found by an anchor only (runtime.auditanchor). Reads one record at a time, so a chain may be of any length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from runtime.auditrecord import BEGINNING, COLUMNS, Record, fits
from runtime.keyring import Keyring, UnknownKey
from runtime.postgres import Connection, quote_identifier

_PREFETCH = 500


class Fault(StrEnum):
    """What is wrong with the record that is named."""

    MISSING = "missing"
    """It is not there, and a later one is."""
    CUT = "cut"
    """It is not there, nor any later one, although the head row or an anchor has seen it."""
    ALTERED = "altered"
    """It is not what its hash was made of, or its key is another one under the same id."""
    UNLINKED = "unlinked"
    """It does not follow the one before: inserted, moved, or the one before was made anew."""
    REWRITTEN = "rewritten"
    """It fits, and is not the one that was anchored: somebody with the key made the chain anew."""
    UNKNOWN_KEY = "unknown_key"
    """It cannot be judged: its key is not here."""
    WRONG_HEAD = "wrong_head"
    """The head row does not know it."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """The first bad record. `key_id` is the record's own; empty where there is no record."""

    n: int
    fault: Fault
    key_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One chain. `records`: good ones before the first bad one."""

    writer: str
    records: int
    broken: Broken | None


class Point(Protocol):
    """A place that a chain is known to have reached: its head row, or an anchor."""

    @property
    def n(self) -> int: ...

    @property
    def hash(self) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest record of a chain, as its head row says."""

    n: int
    hash: bytes


async def verify(
    connection: Connection,
    keys: Keyring,
    *,
    anchors: Mapping[str, Point],
    schema: str = "control",
) -> Sequence[Verdict]:
    """Every chain of the schema, as it is at one instant; `anchors` by writer, read before."""
    place = quote_identifier(schema)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        heads = await read_heads(connection, schema=schema)
        orphans = await connection.fetch(f"select distinct writer from {place}.audit")  # noqa: S608 - a quoted name
        verdicts = []
        for writer in sorted(heads.keys() | anchors.keys() | {row["writer"] for row in orphans}):
            walk = Walk(keys, schema=schema, anchor=anchors.get(writer))
            records = connection.cursor(
                f"select {COLUMNS} from {place}.audit where writer = $1 order by n",  # noqa: S608 - a quoted name
                writer,
                prefetch=_PREFETCH,
            )
            async for row in records:
                if not walk.follows(Record(**row)):
                    break
            verdicts.append(walk.end(writer, heads.get(writer)))
    return verdicts


async def read_heads(connection: Connection, *, schema: str) -> Mapping[str, Head]:
    """The head rows by writer."""
    rows = await connection.fetch(
        f"select writer, n, hash from {quote_identifier(schema)}.audit_heads"  # noqa: S608 - a quoted name
    )
    return {row["writer"]: Head(n=row["n"], hash=row["hash"]) for row in rows}


class Walk:
    """From a chain's first record on. Pure."""

    def __init__(self, keys: Keyring, *, schema: str, anchor: Point | None) -> None:
        self._keys = keys
        self._schema = schema
        self._anchor = anchor
        self._n = 0
        self._hash = BEGINNING
        self._key_id = ""
        self._broken: Broken | None = None

    def follows(self, record: Record) -> bool:
        """Whether this one is good; ask no further after one that is not."""
        fault = self._fault(record)
        if fault is Fault.MISSING:
            self._broken = Broken(n=self._n + 1, fault=fault)
        elif fault is not None:
            self._broken = Broken(n=record.n, fault=fault, key_id=record.key_id)
        else:
            self._n, self._hash, self._key_id = record.n, record.hash, record.key_id
        return fault is None

    def _fault(self, record: Record) -> Fault | None:
        if record.n > self._n + 1:
            return Fault.MISSING
        if record.n <= self._n or record.previous != self._hash:
            return Fault.UNLINKED
        try:
            key = self._keys.key(record.key_id)
        except UnknownKey:
            return Fault.UNKNOWN_KEY
        if not fits(record, key, schema=self._schema):
            return Fault.ALTERED
        anchor = self._anchor
        if anchor is not None and anchor.n == record.n and anchor.hash != record.hash:
            return Fault.REWRITTEN
        return None

    def end(self, writer: str, head: Head | None) -> Verdict:
        """The verdict, where the last record is told against head row and anchor."""
        broken = self._broken or self._end_fault(head)
        return Verdict(writer=writer, records=self._n, broken=broken)

    def _end_fault(self, head: Head | None) -> Broken | None:
        seen = max(head.n if head else 0, self._anchor.n if self._anchor else 0)
        if seen > self._n:
            return Broken(n=self._n + 1, fault=Fault.CUT)
        if head is None:
            return Broken(n=1, fault=Fault.WRONG_HEAD) if self._n else None
        if head.n < self._n:
            return Broken(n=head.n + 1, fault=Fault.WRONG_HEAD)
        if head.hash != self._hash:
            return Broken(n=self._n, fault=Fault.WRONG_HEAD, key_id=self._key_id)
        return None
