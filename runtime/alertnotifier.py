"""Tells a webhook of alerts, in the form in which Alertmanager tells its receivers (version 4): at least once each.

What the receiver knows stands in the alert's row (`notified`), set when it has answered 2xx: a process that dies between is
told of by the next one, a second time. An alert is told when it opens and when it is resolved; repeats and acknowledgements
are for the list. Several processes may run this: one at a time tells.

NotDelivered       (runtime.alertwebhook) the receiver did not take it
StoreUnavailable   (runtime.flagstore) PostgreSQL cannot be used
"""

import asyncio
from collections.abc import Sequence

import asyncpg
import structlog

from runtime.alertmanager import status_of, webhook_body
from runtime.alerts import COLUMNS, Alert, read_alert
from runtime.alertwebhook import NotDelivered, Webhook
from runtime.flagstore import StoreUnavailable, asking
from runtime.postgres import POSTGRESQL, Connection
from runtime.tasks import finished

log = structlog.get_logger("alerts")

EVERY_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
MOST = 100
"""Alerts of one class in one message."""
_TURN = 0x62616E79616E
"""Advisory lock: whose turn it is to tell."""
_STATUS = "case state when 'resolved' then 'resolved' else 'firing' end"


async def keep_notified(
    pool: asyncpg.Pool,
    webhook: Webhook,
    *,
    every: float = EVERY_SECONDS,
    longest_wait: float = LONGEST_WAIT_SECONDS,
) -> None:
    """For ever; after a failure it waits twice as long each time. To be spawned."""
    wait = every
    while True:
        try:
            await notify(pool, webhook)
        except (NotDelivered, StoreUnavailable) as error:
            log.warning("alerts.not_notified", reason=str(error), exc_info=error)
            wait = min(wait * 2, longest_wait)
        else:
            wait = every
        await asyncio.sleep(wait)


async def notify(pool: asyncpg.Pool, webhook: Webhook) -> int:
    """Tell what the receiver does not know yet; how many alerts. Raises NotDelivered, StoreUnavailable.

    No row is locked while the receiver is waited for, so whoever rings never waits for it. What it refuses of one class keeps
    no other class back.
    """
    told, failed = 0, None
    with asking("postgresql", POSTGRESQL):
        async with pool.acquire() as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", _TURN):
                return 0
            try:
                for group in await _untold(connection):
                    try:
                        await webhook.post(webhook_body(group))
                    except NotDelivered as error:
                        failed = error
                    else:
                        await _mark(connection, group)
                        told += len(group)
            finally:
                # The session's, so it would stay with the pool's connection. A connection that has died holds none.
                await finished(connection.execute("select pg_advisory_unlock_all()"))
    if failed is not None:
        raise failed
    return told


async def _untold(connection: Connection) -> Sequence[Sequence[Alert]]:
    """The oldest ones that the receiver does not know as they are, by class."""
    rows = await connection.fetch(
        f"select {COLUMNS} from (select *, row_number() over (partition by class order by id) as place"  # noqa: S608 - names of ours
        f" from control.alerts where notified is distinct from {_STATUS}) a where place <= $1 order by id",
        MOST,
    )
    groups: dict[str, list[Alert]] = {}
    for alert in map(read_alert, rows):
        groups.setdefault(alert.alert_class, []).append(alert)
    return list(groups.values())


async def _mark(connection: Connection, group: Sequence[Alert]) -> None:
    """What was told, not what holds now: it may have been resolved meanwhile, which is to be told next."""
    await connection.execute(
        "update control.alerts a set notified = told.status, notified_at = now()"
        " from unnest($1::bigint[], $2::text[]) told(id, status) where a.id = told.id",
        [alert.id for alert in group],
        [status_of(alert) for alert in group],
    )
