"""`Database`: one database that a trace asks, read only, each statement bounded in time, and never one that others wait for.

No table has an index by correlation id: a statement that finds too little of one in its time is given up, and that is said.
What cannot be asked becomes a note, by code, and the others are asked all the same.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import asyncpg

from migration.postgres_store import answered
from migration.store import StoreError
from migration.trace.timeline import Findings

MOST_ROWS: Final = 50
"""Of one statement: a transaction that was made by hand may have changed any number."""
NOT_SET: Final = "not_set"
_CONNECT_SECONDS = 5.0
_LOCK_MS = 500
"""Whoever waits for a lock stands in front of those who come later."""


class Database:
    """Without a connection it answers nothing; that it has none was noted when it was opened."""

    def __init__(
        self,
        where: str,
        findings: Findings,
        *,
        connection: asyncpg.Connection | None = None,
        commits: bool = False,
    ) -> None:
        self.where = where
        self.findings = findings
        self.commits = commits
        """It remembers when each transaction was committed (`track_commit_timestamp`)."""
        self._connection = connection

    @property
    def reached(self) -> bool:
        return self._connection is not None

    async def fetch(self, extent: str, statement: str, *values: Any) -> list[asyncpg.Record]:
        """`extent` names what is read, for the note if it cannot be."""
        if self._connection is None:
            return []
        try:
            rows = await answered(self._connection.fetch(statement, *values))
        except StoreError as error:
            self.findings.look(self.where, extent, error.code)
            return []
        if len(rows) >= MOST_ROWS:
            self.findings.look(self.where, f"{extent}: the first {MOST_ROWS} alone")
        return rows


@asynccontextmanager
async def opened(
    where: str, dsn: str | None, findings: Findings, *, seconds: float
) -> AsyncIterator[Database]:
    """`seconds`: the longest time of a statement."""
    async with AsyncExitStack() as stack:
        if dsn is None:
            findings.look(where, "database", NOT_SET)
            yield Database(where, findings)
            return
        try:
            connection = await answered(_connect(dsn, seconds))
            stack.push_async_callback(connection.close)
            commits = await answered(
                connection.fetchval("select current_setting('track_commit_timestamp') = 'on'")
            )
        except StoreError as error:
            findings.look(where, "database", error.code)
            yield Database(where, findings)
            return
        yield Database(where, findings, connection=connection, commits=commits)


async def _connect(dsn: str, seconds: float) -> asyncpg.Connection:
    return await asyncpg.connect(
        dsn,
        timeout=_CONNECT_SECONDS,
        command_timeout=seconds + 1,
        server_settings={
            "application_name": "banyan trace",
            "default_transaction_read_only": "on",
            "statement_timeout": str(round(seconds * 1000)),
            "lock_timeout": str(_LOCK_MS),
            "timezone": "UTC",
        },
    )
