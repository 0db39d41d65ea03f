"""The durable flag set: versions in PostgreSQL, the newest of them pushed through Redis.

PostgreSQL is the origin and never forgets a version; Redis only carries the newest one. A change is one transaction; what
the push loses (Redis down, a process dying between commit and push) `published.keep_published` brings within half a second.

FlagError (runtime.flagset)
  StoreUnavailable   PostgreSQL or Redis cannot be used; nothing was changed
  VersionMismatch    the caller saw another version than the newest; `version` is the newest
  ApprovalSpent      the approval was used before, or is too old
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import structlog

from runtime.auditchain import AuditChain, Event
from runtime.flagset import FlagError, FlagSet, checked, read_flag_set, write_flag_set
from runtime.flagsnapshot import write_snapshot
from runtime.postgres import POSTGRESQL, Connection
from runtime.published import Place, Publisher
from runtime.redis import LOST, Redis

log = structlog.get_logger("flags")

KEY = "banyan:flags"
VERSION_KEY = "banyan:flags:version"
CHANNEL = "banyan:flags"
PLACE = Place(key=KEY, version_key=VERSION_KEY, channel=CHANNEL)

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

    name = "flags"
    unavailable = FlagError

    def __init__(self, pool: asyncpg.Pool, redis: Redis, audit: AuditChain) -> None:
        self._pool = pool
        self._audit = audit
        self._publisher = Publisher(redis, PLACE)

    async def found(self, first: FlagSet) -> Stored:
        """The newest version; `first` becomes version 1 where there is none yet."""
        async with self._transaction() as connection:
            store = await _lock(connection)
            newest = await _newest(connection, store)
            if newest is None:
                newest = Stored(store=store, version=1, flag_set=first)
                await self._insert(
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
            await self._insert(
                connection, new, change=change, who=who, reason=reason, approval=approval
            )
        return Changed(stored=new, changed=True, published=await self._try_to_publish(new))

    async def approve(
        self, change: Mapping[str, Any], before: Mapping[str, Any], *, approver: str, seconds: float
    ) -> Approval:
        """Record a second person's yes to this change from this state of things."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(
                "insert into control.flag_approvals (change, before, approver, expires_at)"
                " values ($1, $2, $3, now() + make_interval(secs => $4))"
                " returning id, change, before, approver, expires_at",
                _json(change),
                _json(before),
                approver,
                seconds,
            )
            made = _approval(row)
            subject = {"approval": str(made.id), "change": self._told(change)}
            event = Event(action="flags.approve", actor=approver, reason="", subject=subject)
            await self._audit.append(connection, event)
        return made

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
        with asking("redis", LOST):
            if await self._publisher.holds(mark["store"], mark["version"]):
                return False
        return await self._publish(await self.newest())

    async def _insert(
        self,
        connection: Connection,
        stored: Stored,
        *,
        change: Mapping[str, Any],
        who: str,
        reason: str,
        approval: Approval | None = None,
    ) -> None:
        """The version, the approval's end, and the audit record: all or none."""
        approver = approval.approver if approval else None
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
        if approval is not None:
            await _spend(connection, approval, stored.version)
        subject = {"version": stored.version, "change": self._told(change), "approver": approver}
        event = Event(action=f"flags.{change['kind']}", actor=who, reason=reason, subject=subject)
        await self._audit.append(connection, event)

    def _told(self, change: Mapping[str, Any]) -> Mapping[str, Any]:
        """The change as the audit chain may have it: a user who is named in it is a patient as a rule."""
        if "user" not in change:
            return change
        return {**change, "user": self._audit.tag("users", "sub", change["user"])}

    async def _try_to_publish(self, stored: Stored) -> bool:
        try:
            await self._publish(stored)
        except StoreUnavailable:
            log.warning("flags.push_failed", version=stored.version)
            return False
        return True

    async def _publish(self, stored: Stored) -> bool:
        with asking("redis", LOST):
            return await self._publisher.publish(
                stored.wire, store=stored.store, version=stored.version
            )

    async def _expect_redis(self) -> None:
        with asking("redis", LOST):
            await self._publisher.ping()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with asking("postgresql", POSTGRESQL):
            async with self._pool.acquire() as connection:
                yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connection() as connection, connection.transaction():
            yield connection


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


@contextmanager
def asking(what: str, failures: tuple[type[Exception], ...]) -> Iterator[None]:
    """A client's errors as StoreUnavailable. The statements are fixed, so whatever the server says, it cannot be used."""
    try:
        yield
    except failures as error:
        raise StoreUnavailable(what) from error
