"""The durable list of revocations: entries in PostgreSQL, the list as a whole pushed through Redis (runtime.published).

A user stays revoked until that is lifted. A session or a single token ends by itself, a day and the leeway later: no
access token lives longer. Whoever ends a session here ends it at the token issuer, too, or its refresh token brings new ones.

ListFull           nothing was changed
StoreUnavailable   (runtime.flagstore) PostgreSQL cannot be used, and nothing was changed; `republish`: or Redis
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog

from runtime.auditchain import AuditChain, Event
from runtime.flagstore import StoreUnavailable, asking
from runtime.identity import LEEWAY_SECONDS, LONGEST_LIFE_SECONDS
from runtime.postgres import POSTGRESQL, Connection
from runtime.published import Place, Publisher
from runtime.redis import LOST, Redis
from runtime.revocations import Kind, write_revocations

log = structlog.get_logger("revocations")

PLACE = Place(
    key="banyan:revocations",
    version_key="banyan:revocations:version",
    channel="banyan:revocations",
)
LONGEST_SESSION = timedelta(seconds=LONGEST_LIFE_SECONDS + 2 * LEEWAY_SECONDS)


MOST = 30_000
"""Entries in force. The whole list travels at each change, and fits `revocations.LARGEST_DOCUMENT`."""


class ListFull(Exception):
    """There are MOST entries in force; lift some."""


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """One entry. `ends_at` is None for what holds until it is lifted."""

    id: int
    kind: Kind
    value: str
    reason: str
    actor: str
    made_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Done:
    """An entry that was made or lifted. `changed` is False if it was there before."""

    revocation: Revocation
    version: int
    changed: bool
    published: bool
    """Redis has it. If not, it follows as soon as Redis answers."""


class RevocationStore:
    """The control process's hand on the list; any number of such processes may share one database and one Redis."""

    name = "revocations"
    unavailable = StoreUnavailable

    def __init__(self, pool: asyncpg.Pool, redis: Redis, audit: AuditChain) -> None:
        self._pool = pool
        self._audit = audit
        self._publisher = Publisher(redis, PLACE)

    async def revoke(self, kind: Kind, value: str, *, reason: str, actor: str) -> Done:
        """Let this user, session or token in no more. What is in force already stays as it is.

        Stored also while Redis is down: better late than not at all. Raises ListFull, StoreUnavailable.
        """
        async with self._transaction() as connection:
            version = await _lock(connection)
            row = held = await connection.fetchrow(
                f"select {_COLUMNS} from control.revocations"  # noqa: S608 - names of ours
                f" where kind = $1 and value = $2 and {_IN_FORCE}",
                kind.value,
                value,
            )
            if held is None:
                row = await _insert(connection, kind, value, reason=reason, actor=actor)
                version = await _next_version(connection)
                await self._tell(connection, "revoke", row, actor=actor, reason=reason)
        return await self._done(row, version, changed=held is None)

    async def lift(self, revocation_id: int, *, reason: str, actor: str) -> Done | None:
        """Take an entry back; None if none of that id is in force. Raises StoreUnavailable."""
        async with self._transaction() as connection:
            await _lock(connection)
            row = await connection.fetchrow(
                "update control.revocations set lifted_at = now(), lifted_by = $2, lifted_reason = $3"  # noqa: S608 - names of ours
                f" where id = $1 and {_IN_FORCE} returning {_COLUMNS}",
                revocation_id,
                actor,
                reason,
            )
            if row is None:
                return None
            version = await _next_version(connection)
            await self._tell(connection, "lift", row, actor=actor, reason=reason)
        return await self._done(row, version, changed=True)

    async def _tell(
        self, connection: Connection, verb: str, row: Any, *, actor: str, reason: str
    ) -> None:
        """The audit record: who was revoked stands there as a tag."""
        value = self._audit.tag("revocations", row["kind"], row["value"])
        subject = {"revocation": row["id"], "kind": row["kind"], "value": value}
        event = Event(action=f"revocations.{verb}", actor=actor, reason=reason, subject=subject)
        await self._audit.append(connection, event)

    async def _done(self, row: Any, version: int, *, changed: bool) -> Done:
        return Done(
            revocation=_revocation(row),
            version=version,
            changed=changed,
            published=await self._try_to_publish(),
        )

    async def in_force(self) -> Sequence[Revocation]:
        """Every entry that keeps somebody out now, newest first. Raises StoreUnavailable."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS} from control.revocations where {_IN_FORCE} order by id desc"  # noqa: S608 - names of ours
            )
        return [_revocation(row) for row in rows]

    async def republish(self) -> bool:
        """Give Redis the newest list if it has another one or none; whether that was so. Raises StoreUnavailable."""
        async with self._connection() as connection:
            store, version = await _mark(connection)
        with asking("redis", LOST):
            if await self._publisher.holds(store, version):
                return False
        return await self._publish()

    async def _try_to_publish(self) -> bool:
        try:
            await self._publish()
        except StoreUnavailable:
            log.warning("revocations.push_failed")
            return False
        return True

    async def _publish(self) -> bool:
        # One snapshot: the list of one version must not stand under the number of another.
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            store, version = await _mark(connection)
            rows = await connection.fetch(
                f"select kind, value from control.revocations where {_IN_FORCE} order by id"  # noqa: S608 - names of ours
            )
        entries = [(Kind(row["kind"]), row["value"]) for row in rows]
        wire = write_revocations(entries, version=version, store=store)
        with asking("redis", LOST):
            return await self._publisher.publish(wire, store=store, version=version)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with asking("postgresql", POSTGRESQL):
            async with self._pool.acquire() as connection:
                yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connection() as connection, connection.transaction():
            yield connection


_COLUMNS = "id, kind, value, reason, actor, made_at, ends_at"
_IN_FORCE = "lifted_at is null and (ends_at is null or ends_at > now())"


async def _lock(connection: Connection) -> int:
    """Changes go one after the other; the newest version."""
    return int(await connection.fetchval("select version from control.revocation_list for update"))


async def _insert(
    connection: Connection, kind: Kind, value: str, *, reason: str, actor: str
) -> Any:
    count = await connection.fetchval(
        f"select count(*) from control.revocations where {_IN_FORCE}"  # noqa: S608 - names of ours
    )
    if count >= MOST:
        raise ListFull
    return await connection.fetchrow(
        "insert into control.revocations (kind, value, reason, actor, ends_at)"  # noqa: S608 - names of ours
        f" values ($1, $2, $3, $4, now() + $5) returning {_COLUMNS}",
        kind.value,
        value,
        reason,
        actor,
        None if kind is Kind.SUB else LONGEST_SESSION,
    )


async def _next_version(connection: Connection) -> int:
    return int(
        await connection.fetchval(
            "update control.revocation_list set version = version + 1 returning version"
        )
    )


async def _mark(connection: Connection) -> tuple[str, int]:
    [row] = await connection.fetch(
        "select (select id from control.flag_store)::text as store, version from control.revocation_list"
    )
    return row["store"], row["version"]


def _revocation(row: Any) -> Revocation:
    return Revocation(**{**row, "kind": Kind(row["kind"])})
