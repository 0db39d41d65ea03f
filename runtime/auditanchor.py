"""`AnchorFile`: how far each audit chain had come, in a place that the database's owner cannot reach (phi-rules section 8).

An append-only file of JSON lines `{"schema", "writer", "n", "hash", "at"}`, mode 0600, synced. Put it on another machine's
disk or on write-once storage: who can cut the file can cut the chain. Written for a chain only if the chain still holds what
the last anchor saw, so a broken chain never gets a new anchor on top of what shows that it is broken.

OSError   the file cannot be read or written
"""

import asyncio
import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from runtime.auditverify import Broken, Fault, Head, Verdict, read_heads
from runtime.postgres import Connection, quote_identifier


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A chain had this record as its newest."""

    schema: str
    writer: str
    n: int
    hash: bytes
    at: datetime


class AnchorFile:
    """Blocking; several processes of one machine may share a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def furthest(self, schema: str) -> Mapping[str, Anchor]:
        """By writer. A line that is no anchor (a process died while it wrote) is passed over. Empty without a file."""
        found: dict[str, Anchor] = {}
        try:
            with self._path.open("rb") as file:
                for line in file:
                    anchor = _read(line)
                    if anchor is None or anchor.schema != schema:
                        continue
                    known = found.get(anchor.writer)
                    # Of two with one number the first counts: the chain may have been made anew since.
                    if known is None or anchor.n > known.n:
                        found[anchor.writer] = anchor
        except FileNotFoundError:
            return {}
        return found

    def append(self, anchors: Iterable[Anchor]) -> None:
        """On the disk when this returns."""
        lines = b"".join(_write(anchor) for anchor in anchors)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._path, flags, 0o600), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            data = b"\n" + lines if torn else lines
            if file.write(data) != len(data):
                raise OSError("the disk did not take the whole anchor")
            os.fsync(file.fileno())


def _read(line: bytes) -> Anchor | None:
    try:
        match orjson.loads(line):
            case {
                "schema": str(schema),
                "writer": str(writer),
                "n": int(n),
                "hash": str(hash_),
                "at": str(at),
            }:
                return Anchor(
                    schema=schema,
                    writer=writer,
                    n=n,
                    hash=bytes.fromhex(hash_),
                    at=datetime.fromisoformat(at),
                )
    except ValueError:
        return None
    return None


def _write(anchor: Anchor) -> bytes:
    line = {
        "schema": anchor.schema,
        "writer": anchor.writer,
        "n": anchor.n,
        "hash": anchor.hash.hex(),
        "at": anchor.at.isoformat(),
    }
    return orjson.dumps(line) + b"\n"


async def anchor(
    connection: Connection, file: AnchorFile, *, schema: str = "control"
) -> Sequence[Verdict]:
    """Anchor every chain that has moved; answers the chains that do not hold what was anchored before.

    Needs no key and reads one record per chain: what else may be wrong, `verify` finds. Raises OSError and what asyncpg raises.
    """
    known = await asyncio.to_thread(
        file.furthest, schema
    )  # first: a head is never behind what was seen before it
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        heads = await read_heads(connection, schema=schema)
        held = {w: await _hash(connection, schema, w, last.n) for w, last in known.items()}
    broken = [
        verdict
        for writer, last in sorted(known.items())
        if (verdict := _judge(last, heads.get(writer), held[writer])) is not None
    ]
    bad, now = {verdict.writer for verdict in broken}, datetime.now(UTC)
    moved = [
        Anchor(schema=schema, writer=writer, n=head.n, hash=head.hash, at=now)
        for writer, head in sorted(heads.items())
        if writer not in bad and head.n > (known[writer].n if writer in known else 0)
    ]
    if moved:
        await asyncio.to_thread(file.append, moved)
    return broken


async def _hash(connection: Connection, schema: str, writer: str, n: int) -> bytes | None:
    found: bytes | None = await connection.fetchval(
        f"select hash from {quote_identifier(schema)}.audit where writer = $1 and n = $2",  # noqa: S608 - a quoted name
        writer,
        n,
    )
    return found


def _judge(last: Anchor, head: Head | None, held: bytes | None) -> Verdict | None:
    """`held`: the hash of the record that was anchored last."""
    reached = head.n if head else 0
    if reached < last.n:
        broken = Broken(n=reached + 1, fault=Fault.CUT)
    elif held is None:
        broken = Broken(n=last.n, fault=Fault.MISSING)
    elif held != last.hash:
        broken = Broken(n=last.n, fault=Fault.REWRITTEN)
    else:
        return None
    return Verdict(writer=last.writer, records=broken.n - 1, broken=broken)
