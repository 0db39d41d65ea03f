"""Every few minutes: anchor the audit chains, and alert if one does not hold what was anchored."""

import asyncio

import asyncpg
import structlog

from runtime.alertclass import AUDIT_BROKEN
from runtime.alerts import Alerts
from runtime.auditanchor import AnchorFile, anchor
from runtime.auditverify import Verdict
from runtime.flagstore import StoreUnavailable, asking
from runtime.postgres import POSTGRESQL

log = structlog.get_logger("audit")

EVERY_SECONDS = 300.0


async def keep_anchored(
    pool: asyncpg.Pool, file: AnchorFile, *, schema: str = "control", every: float = EVERY_SECONDS
) -> None:
    """For ever. To be spawned. `pool` is the control database's, whose alerts are rung."""
    alerts = Alerts(pool)
    while True:
        try:
            with asking("postgresql", POSTGRESQL):  # a file that cannot be written is among them
                async with pool.acquire() as connection:
                    broken = await anchor(connection, file, schema=schema)
            if broken:
                await _ring(alerts, broken[0])
            else:
                await alerts.resolve(AUDIT_BROKEN)
        except StoreUnavailable as error:
            log.exception("audit.not_anchored", exc_info=error)
        await asyncio.sleep(every)


async def _ring(alerts: Alerts, verdict: Verdict) -> None:
    assert verdict.broken is not None  # noqa: S101 - `anchor` answers such alone
    fault, n = verdict.broken.fault, verdict.broken.n
    log.error("audit.broken", source=verdict.writer, reason=fault, version=n)
    await alerts.ring(AUDIT_BROKEN, detail=fault)
