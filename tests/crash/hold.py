"""`Hold`: the insert of one row stands still in the middle of its transaction, until it is let go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.until import until_async

_LOCK = 20_260_101


class Hold:
    """By a trigger that waits for a lock of this session's. Open one with `hold`."""

    def __init__(
        self, session: asyncpg.pool.PoolConnectionProxy, table: str, correlation_id: str
    ) -> None:
        self._session = session
        self._table = table
        self._correlation_id = correlation_id

    async def begin(self, *, at_commit: bool) -> None:
        when = "deferred" if at_commit else "immediate"
        await self._session.execute("select pg_advisory_lock($1)", _LOCK)
        await self._session.execute(
            "create function public.zz_hold() returns trigger language plpgsql as"
            f" $$ begin perform pg_advisory_xact_lock({_LOCK}); return null; end $$"
        )
        await self._session.execute(
            f"create constraint trigger zz_hold after insert on {self._table}"
            f" deferrable initially {when} for each row when (new.correlation_id = '{self._correlation_id}')"
            " execute function public.zz_hold()"
        )

    async def reached(self) -> int:
        """Until the insert stands there; the process id of its backend."""
        found: list[int] = []

        async def there() -> bool:
            rows = await self._session.fetch(
                "select pid from pg_locks where locktype = 'advisory' and objid = $1 and not granted",
                _LOCK,
            )
            found[:] = [row["pid"] for row in rows]
            return bool(found)

        await until_async(there)
        return found[0]

    async def let_go(self) -> None:
        await self._session.execute("select pg_advisory_unlock_all()")

    async def let_go_for_nobody(self, backend: int) -> None:
        """For one whose client has gone; returns when its transaction has ended, and it with it."""
        await self.let_go()

        async def ended() -> bool:
            return not await self._session.fetchval(
                "select count(*) from pg_stat_activity where pid = $1", backend
            )

        await until_async(ended)

    async def end(self) -> None:
        await self.let_go()
        await self._session.execute("drop function public.zz_hold() cascade")


@asynccontextmanager
async def hold(
    owner: asyncpg.Pool, table: str, correlation_id: str, *, at_commit: bool = False
) -> AsyncIterator[Hold]:
    """The insert with this id, and no mover's, stands still behind its row; `at_commit`: in its commit.

    `owner`: of the table.
    """
    async with owner.acquire() as session:
        found = Hold(session, table, correlation_id)
        await found.begin(at_commit=at_commit)
        try:
            yield found
        finally:
            await found.end()
