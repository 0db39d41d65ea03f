"""A database session that waits for another's lock: races are set up by waiting for that, never by a pause."""

import asyncpg

from tests.until import until_async


async def until_blocked(watcher: asyncpg.Connection, waiting: asyncpg.Connection) -> None:
    """Return once the session `waiting` stands behind a lock; `watcher` is a third one that asks."""
    pid = waiting.get_server_pid()

    async def stands() -> bool:
        return bool(await watcher.fetchval("select cardinality(pg_blocking_pids($1)) > 0", pid))

    await until_async(stands)
