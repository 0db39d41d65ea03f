"""Requests that nobody answered in time expire, by the service itself. Several processes may sweep at once.

What legacy wrote last is legacy's to judge as long as it alone decides: such a row is left alone until the authority over
requests has changed hands for the first time (the epoch in force says so). A closed table is not swept.
"""

import asyncio

import asyncpg
import structlog

from catalog.service import Service
from routes.appointment_requests import RESOURCES
from runtime.correlation import uuid7
from runtime.postgres import POSTGRESQL
from runtime.settings import Settings
from services.deps import Deps
from services.errors import Busy, OutcomeUnknown, code_of
from services.transaction import Transaction, system_author, writing

AT_ONCE = 200
"""Rows of one transaction."""

_ENTITY = RESOURCES[0].entity

log = structlog.get_logger("service")


async def keep_expiring(deps: Deps, settings: Settings) -> None:
    """For ever. To be spawned."""
    while True:
        await asyncio.sleep(settings.request_expiry_seconds)
        try:
            while await expire(deps.pool, wait=deps.pool_wait, deadline=deps.write_deadline):
                pass
        except (Busy, OutcomeUnknown, *POSTGRESQL) as error:
            log.warning("requests.not_expired", entity=_ENTITY, code=code_of(error))


async def expire(pool: asyncpg.Pool, *, wait: float, deadline: float) -> int:
    """One batch; how many requests it was. Raises Busy, OutcomeUnknown, and what the database raises."""
    correlation_id, author = uuid7(), system_author("request_expiry")
    try:
        async with writing(
            pool, Service.SCHEDULING, author, correlation_id, wait=wait, deadline=deadline
        ) as transaction:
            count = await _batch(transaction)
    except asyncpg.ReadOnlySQLTransactionError:
        return 0
    if count:
        log.info("requests.expired", entity=_ENTITY, count=count, correlation_id=correlation_id)
    return count


async def _batch(transaction: Transaction) -> int:
    epoch = await transaction.admit(_ENTITY, None)
    done = await transaction.connection.fetch(_EXPIRE, epoch > 0, AT_ONCE)
    await transaction.connection.execute(_CLEAR)
    return len(done)


_EXPIRE = """
with due as (
  select r.id from scheduling.appointment_request r
  where r.status = 'pending' and r.not_after < clock_timestamp() and ($1 or r.origin = 'service')
  order by r.not_after limit $2 for update skip locked)
update scheduling.appointment_request r set status = 'expired' from due where r.id = due.id returning r.id
"""
_CLEAR = """
delete from scheduling.appointment_request_claim c where c.request_id in (
  select d.request_id from scheduling.appointment_request_claim d where d.claimed_until < clock_timestamp() for update skip locked)
"""
