"""`BellFeed`: keeps the gateway's bells, over one connection to the control database that is made when the first is pulled."""

import asyncio
from collections.abc import Sequence

import asyncpg

from runtime.alertbell import AlertBell
from runtime.alerts import Alerts
from runtime.postgres import pool_for
from runtime.tasks import spawn, stop


class BellFeed:
    """Without its database it starts all the same, and what was pulled is rung when that is back."""

    def __init__(self, dsn: str, bells: Sequence[AlertBell]) -> None:
        self._dsn = dsn
        self._bells = bells
        self._pool: asyncpg.Pool | None = None
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._pool = await pool_for(self._dsn, name="banyan gateway alerts", size=1)
        alerts = Alerts(self._pool)
        self._keeping = [spawn(bell.keep(alerts), name="bell") for bell in self._bells]

    async def stop(self) -> None:
        await stop(*self._keeping)
        if self._pool is not None:
            await self._pool.close()
