"""`DivergenceClock`: what is unsolved after 15 minutes goes to quarantine, and whoever must hear of a quarantined key does, once.

By the control database's clock (data-rules 7.5). An alert is open as long as its incident: it is over when the incident is solved.

StoreUnavailable   (runtime.flagstore) the control database cannot be used; nothing is forgotten
"""

import asyncpg
import structlog

from migration.ledger import Ledger
from runtime.alertclass import DIVERGENCE, QUARANTINE
from runtime.alerts import Alerts
from runtime.flagstore import asking
from runtime.postgres import POSTGRESQL
from runtime.tagger import Tag, Tagger

log = structlog.get_logger("divergences")

_AT_ONCE = 100


class DivergenceClock:
    """Any number may run. A crash between an alert and its mark rings the same alert again, which is one row all the same."""

    def __init__(self, ledger: Ledger, pool: asyncpg.Pool, alerts: Alerts, tagger: Tagger) -> None:
        self._ledger = ledger
        self._pool = pool
        self._alerts = alerts
        self._tagger = tagger

    async def step(self) -> None:
        """Raises StoreUnavailable."""
        overdue = await self._ledger.expire()
        if overdue:
            log.error("divergences.overdue", count=overdue)
        for row in await self._unmarked("rung_at", _TO_RING):
            refused = row["quarantined_for"] == "refused"
            await self._alerts.ring(
                QUARANTINE if refused else DIVERGENCE,
                entity=row["entity"],
                subject=self._tag(row),
                detail="refused" if refused else "",
            )
            await self._mark("rung_at", row["id"])
        for row in await self._unmarked("hushed_at", _TO_HUSH):
            refused = row["quarantined_for"] == "refused"
            await self._alerts.resolve(
                QUARANTINE if refused else DIVERGENCE,
                entity=row["entity"],
                subject=self._tag(row),
            )
            await self._mark("hushed_at", row["id"])

    def _tag(self, row: asyncpg.Record) -> Tag:
        """Of key and side: each side's incident of a key is one thing."""
        return self._tagger.tag(row["entity"], f"key/{row['side']}", row["key"])

    async def _unmarked(self, column: str, condition: str) -> list[asyncpg.Record]:
        with asking("postgresql", POSTGRESQL):
            return await self._pool.fetch(
                "select id, entity, key, side, quarantined_for from control.divergences"  # noqa: S608 - fixed texts
                f" where {column} is null and {condition} order by id limit $1",
                _AT_ONCE,
            )

    async def _mark(self, column: str, id_: int) -> None:
        with asking("postgresql", POSTGRESQL):
            await self._pool.execute(
                f"update control.divergences set {column} = clock_timestamp() where id = $1",  # noqa: S608 - fixed texts
                id_,
            )


_TO_RING = "quarantined_at is not null and state = 'quarantined'"
_TO_HUSH = "rung_at is not null and state = 'solved'"
