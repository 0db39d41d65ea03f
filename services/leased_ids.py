"""Numbers that legacy counts: a service takes them from blocks that were leased from legacy's own sequence, so that the two
sides never mint the same one (decisions.md 27)."""

import asyncio
from collections import defaultdict, deque

import asyncpg

from catalog.service import Service
from services.errors import NoIds

AT_ONCE = 50
"""Taken from the database together; what a process has left when it dies is a gap."""


class LeasedIds:
    """Of one service. `pool` is its own, or a write that waits for a number could hold the connection that brings it."""

    def __init__(self, service: Service, pool: asyncpg.Pool) -> None:
        self._service = service
        self._pool = pool
        self._left: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)
        self._refilling = asyncio.Lock()

    async def take(self, entity: str, column: str) -> int:
        """The next number of this target column. Raises NoIds."""
        left = self._left[entity, column]
        if not left:
            async with self._refilling:
                if not left:
                    left.extend(await self._block(entity, column))
        return left.popleft()

    async def _block(self, entity: str, column: str) -> range:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(f"set local role banyan_{self._service}")
            found = await connection.fetchrow(
                f"select * from {self._service}.take_ids($1, $2, $3)",  # noqa: S608 - a name of ours
                entity,
                column,
                AT_ONCE,
            )
        if found is None or found["first_id"] is None:
            raise NoIds
        return range(found["first_id"], found["last_id"] + 1)
