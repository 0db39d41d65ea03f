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
        place = quote_identifier(schema)
        self._table = f"{place}.audit"
        self._heads = f"{place}.audit_heads"

    async def page(self, writer: str, *, before: int | None, limit: int) -> Sequence[Record]:
        """Records of one chain, newest first; those before number `before`, if given. Raises StoreUnavailable."""
        return await self._records(
            f"select {COLUMNS} from {self._table}"  # noqa: S608 - a quoted name
            " where writer = $1 and ($2::bigint is null or n < $2) order by n desc limit $3",
            writer,
            before,
            limit,
        )

    async def newest(self, *, limit: int) -> Sequence[Record]:
        """Records of all chains, newest first. Raises StoreUnavailable."""
        return await self._records(
            f"select r.* from {self._heads} h cross join lateral (select {COLUMNS} from {self._table} a"  # noqa: S608 - quoted names
            " where a.writer = h.writer order by a.n desc limit $1) r order by r.at::timestamp desc, r.writer, r.n desc limit $1",
            limit,
        )

    async def _records(self, statement: str, *values: object) -> Sequence[Record]:
        with asking("postgresql", POSTGRESQL):
            rows = await self._pool.fetch(statement, *values)
        return [Record(**row) for row in rows]
