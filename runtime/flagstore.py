"""The durable flag set: versions in PostgreSQL, the newest of them pushed through Redis.

PostgreSQL is the origin and never forgets a version; Redis only carries the newest one. A change is one transaction; what
the push loses (Redis down, a process dying between commit and push) `keep_published` brings within half a second.

FlagError (runtime.flagset)
  StoreUnavailable   PostgreSQL or Redis cannot be used; nothing was changed
  VersionMismatch    the caller saw another version than the newest; `version` is the newest
  ApprovalSpent      the approval was used before, or is too old
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import orjson
import structlog
from asyncpg.pool import PoolConnectionProxy

from runtime.flagset import FlagError, FlagSet, checked, read_flag_set, write_flag_set
from runtime.flagsnapshot import write_snapshot
from runtime.redis import LOST, Redis

log = structlog.get_logger("flags")

KEY = "banyan:flags"
VERSION_KEY = "banyan:flags:version"
CHANNEL = "banyan:flags"
RECONCILE_SECONDS = 0.5
RECONNECT_SECONDS = 0.1

# Newer versions only, unless another store has taken over; set and told in one step, so that nobody sees half.
_PUBLISH = """
local held = redis.call('GET', KEYS[2])
if held and redis.call('EXISTS', KEYS[1]) == 1 then
  local store, version = string.match(held, '^(%S+) (%d+)$')
  if store == ARGV[1] and tonumber(version) >= tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
redis.call('PUBLISH', ARGV[4], ARGV[3])
return 1
"""

Connection: TypeAlias = "asyncpg.Connection | PoolConnectionProxy"
Edit = Callable[[FlagSet], FlagSet]


class StoreUnavailable(FlagError):
    """`what` is `postgresql` or `redis`."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} cannot be used")
        self.what = what


class VersionMismatch(FlagError):
    """Somebody else changed the flags meanwhile."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the newest version is {version}")
        self.version = version


class ApprovalSpent(FlagError):
    """Ask for a new one."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One version as it lies in PostgreSQL."""

    store: str
    version: int
    flag_set: FlagSet

    @property
    def wire(self) -> bytes:
        document = write_flag_set(self.flag_set)
        return write_snapshot(document, version=self.version, store=self.store)


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A change that was made; `version` is the old one if there was nothing to change."""

    stored: Stored
    changed: bool
    published: bool
    """Redis has it. If not, it follows as soon as Redis answers."""


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A second person's yes, not used yet."""

    id: UUID
    change: Mapping[str, Any]
    before: Mapping[str, Any]
    approver: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the history."""

    version: int
    change: Mapping[str, Any]
    who: str
    reason: str
    approver: str | None
    at: datetime


class FlagStore:
    """The control process's hand on the flags; any number of such processes may share one database and one Redis."""

    def __init__(self, pool: asyncpg.Pool, redis: Redis) -> None:
        self._pool = pool
        self._redis = redis
        self._publish_script = redis.register_script(_PUBLISH)

    async def found(self, first: FlagSet) -> Stored:
        """The newest version; `first` becomes version 1 where there is none yet."""
        async with self._transaction() as connection:
            store = await _lock(connection)
            newest = await _newest(connection, store)
            if newest is None:
                newest = Stored(store=store, version=1, flag_set=first)
                await _insert(
                    connection, newest, change={"kind": "first"}, who="banyan", reason="first start"
                )
            return newest

    async def newest(self) -> Stored:
        """The newest version. Raises StoreUnavailable."""
        async with self._connection() as connection:
            store = str(await connection.fetchval("select id from control.flag_store"))
            newest = await _newest(connection, store)
        if newest is None:
            raise FlagError("there is no flag set yet: `found` was not called")
        return newest

    async def change(
        self,
        edit: Edit,
        *,
        change: Mapping[str, Any],
        who: str,
        reason: str,
        approval: Approval | None = None,
        if_version: int | None = None,
        unpublished: bool = False,
    ) -> Changed:
        """Store what `edit` makes of the newest flag set as the next version, and push it.

        `edit` is pure and may raise to refuse; its result is validated as a whole. While Redis does not answer nothing is
        changed (a change that reaches nobody is a trap for the next one), unless `unpublished` says that it may wait.
        Raises what `edit` raises, FlagSetInvalid, VersionMismatch, ApprovalSpent, StoreUnavailable.
        """
        if not unpublished:
            await self._expect_redis()
        async with self._transaction() as connection:
            store = await _lock(connection)
            old = await _newest(connection, store)
            if old is None:
                raise FlagError("there is no flag set yet: `found` was not called")
            if if_version not in (None, old.version):
                raise VersionMismatch(old.version)
            edited = checked(edit(old.flag_set))
            if edited == old.flag_set:
                return Changed(stored=old, changed=False, published=True)
            new = Stored(store=store, version=old.version + 1, flag_set=edited)
            approver = approval.approver if approval else None
            await _insert(connection, new, change=change, who=who, reason=reason, approver=approver)
            if approval is not None:
                await _spend(connection, approval, new.version)
        return Changed(stored=new, changed=True, published=await self._try_to_publish(new))

    async def approve(
        self, change: Mapping[str, Any], before: Mapping[str, Any], *, approver: str, seconds: float
    ) -> Approval:
        """Record a second person's yes to this change from this state of things."""
        async with self._connection() as connection:
            row = await connection.fetchrow(
                "insert into control.flag_approvals (change, before, approver, expires_at)"
                " values ($1, $2, $3, now() + make_interval(secs => $4))"
                " returning id, change, before, approver, expires_at",
                _json(change),
                _json(before),
                approver,
                seconds,
            )
        return _approval(row)

    async def approval(self, approval_id: UUID) -> Approval:
        """An approval that may still be used. Raises ApprovalSpent."""
        async with self._connection() as connection:
            row = await connection.fetchrow(
                "select id, change, before, approver, expires_at from control.flag_approvals"
                " where id = $1 and used_by is null and expires_at > now()",
                approval_id,
            )
        if row is None:
            raise ApprovalSpent("there is no such approval that could still be used")
        return _approval(row)

    async def history(
        self, *, entity: str | None = None, before: int | None = None, limit: int = 50
    ) -> Sequence[Entry]:
        """Changes, newest first; of one entity, and older than version `before`, if given."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                "select version, change, who, reason, approver, at from control.flag_versions"
                " where ($1::text is null or change ->> 'entity' = $1) and ($2::bigint is null or version < $2)"
                " order by version desc limit $3",
                entity,
                before,
                limit,
            )
        return [Entry(**{**row, "change": orjson.loads(row["change"])}) for row in rows]

    async def republish(self) -> bool:
        """Give Redis the newest version if it has another one or none; whether that was so. Raises StoreUnavailable."""
        async with self._connection() as connection:
            [mark] = await connection.fetch(
                "select (select id from control.flag_store)::text as store, max(version) as version"
                " from control.flag_versions"
            )
        with _asking("redis", LOST):
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.get(VERSION_KEY)
            pipeline.exists(KEY)
            held, exists = await pipeline.execute()
        if exists and read_mark(held) == (mark["store"], mark["version"]):
            return False
        return await self._publish(await self.newest())

    async def _try_to_publish(self, stored: Stored) -> bool:
        try:
            await self._publish(stored)
        except StoreUnavailable:
            log.warning("flags.push_failed", version=stored.version)
            return False
        return True

    async def _publish(self, stored: Stored) -> bool:
        with _asking("redis", LOST):
            done = await self._publish_script(
                keys=[KEY, VERSION_KEY],
                args=[stored.store, stored.version, stored.wire, CHANNEL],
            )
        return bool(done)

    async def _expect_redis(self) -> None:
        with _asking("redis", LOST):
            await self._redis.ping()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with _asking("postgresql", _POSTGRESQL):
            async with self._pool.acquire() as connection:
                yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connection() as connection, connection.transaction():
            yield connection


async def keep_published(store: FlagStore) -> None:
    """For ever: Redis has the newest version, also after it was restarted or emptied. To be spawned."""
    reachable = True
    while True:
        try:
            if await store.republish():
                log.info("flags.republished")
        except FlagError as error:
            if reachable:
                log.warning("flags.store_lost", exc_info=error)
            reachable = False
            await asyncio.sleep(RECONNECT_SECONDS)
            continue
        if not reachable:
            log.info("flags.store_back")
        reachable = True
        await asyncio.sleep(RECONCILE_SECONDS)


def read_mark(held: bytes | None) -> tuple[str, int] | None:
    """Store and version from the small key ("<store> <version>"), None if it is not there or not ours."""
    store, _, version = (held or b"").decode("utf-8", "replace").partition(" ")
    return (store, int(version)) if version.isascii() and version.isdigit() else None


async def _lock(connection: Connection) -> str:
    return str(await connection.fetchval("select id from control.flag_store for update"))


async def _newest(connection: Connection, store: str) -> Stored | None:
    row = await connection.fetchrow(
        "select version, doc from control.flag_versions order by version desc limit 1"
    )
    if row is None:
        return None
    flag_set = read_flag_set(orjson.loads(row["doc"]), strict=False)
    return Stored(store=store, version=row["version"], flag_set=flag_set)


async def _insert(
    connection: Connection,
    stored: Stored,
    *,
    change: Mapping[str, Any],
    who: str,
    reason: str,
    approver: str | None = None,
) -> None:
    await connection.execute(
        "insert into control.flag_versions (version, doc, change, who, reason, approver)"
        " values ($1, $2, $3, $4, $5, $6)",
        stored.version,
        _json(write_flag_set(stored.flag_set)),
        _json(change),
        who,
        reason,
        approver,
    )


async def _spend(connection: Connection, approval: Approval, version: int) -> None:
    spent = await connection.fetchval(
        "update control.flag_approvals set used_by = $2"
        " where id = $1 and used_by is null and expires_at > now() returning id",
        approval.id,
        version,
    )
    if spent is None:
        raise ApprovalSpent("the approval was used meanwhile, or is too old")


def _approval(row: Any) -> Approval:
    return Approval(
        id=UUID(int=row["id"].int),  # asyncpg answers a subclass, which JSON encoders refuse
        change=orjson.loads(row["change"]),
        before=orjson.loads(row["before"]),
        approver=row["approver"],
        expires_at=row["expires_at"],
    )


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


_POSTGRESQL = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of a command
    OSError,
    RuntimeError,  # the same, from uvloop
)


@contextmanager
def _asking(what: str, failures: tuple[type[Exception], ...]) -> Iterator[None]:
    """A client's errors as StoreUnavailable. The statements are fixed, so whatever the server says, it cannot be used."""
    try:
        yield
    except failures as error:
        raise StoreUnavailable(what) from error
