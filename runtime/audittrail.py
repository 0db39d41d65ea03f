"""`AuditTrail`: what the audit chain tells, for people to read. Whether it is to be believed, `runtime/auditverify.py` says."""

from collections.abc import Sequence

import asyncpg

from runtime.auditrecord import COLUMNS, Record
from runtime.flagstore import asking
from runtime.postgres import POSTGRESQL, quote_identifier


class AuditTrail:
    """The chains of one schema."""

    def __init__(self, pool: asyncpg.Pool, *, schema: str = "control") -> None:
        self._pool = pool
        self._table = f"{quote_identifier(schema)}.audit"

    async def page(self, writer: str, *, before: int | None, limit: int) -> Sequence[Record]:
        """Records of one chain, newest first; those before number `before`, if given. Raises StoreUnavailable."""
        with asking("postgresql", POSTGRESQL):
            rows = await self._pool.fetch(
                f"select {COLUMNS} from {self._table}"  # noqa: S608 - a quoted name
                " where writer = $1 and ($2::bigint is null or n < $2) order by n desc limit $3",
                writer,
                before,
                limit,
            )
        return [Record(**row) for row in rows]
