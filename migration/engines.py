"""`Engines`: the connections of a movers' process, as the roles that it may have, made once and closed at its end.

They connect on first use: a database that is away when the process starts is away for its own rows alone.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import structlog

from catalog.service import Service
from catalog.stage import Side
from migration.converge import Converge
from migration.delivery import Delivery
from migration.ledger import PostgresLedger
from migration.outbox import PostgresOutbox
from migration.postgres_store import legacy_store, service_store
from migration.store import Store
from migration.subjects import ServiceSubjects
from runtime.eventlog.redis_log import RedisLog
from runtime.postgres import pool_for
from runtime.settings import Settings

log = structlog.get_logger("engines")


@dataclass(frozen=True, kw_only=True)
class Engines:
    """`legacy`: of banyan_worker; `services`: of banyan_apply, one pool for services that share a database."""

    legacy: asyncpg.Pool
    services: Mapping[Service, asyncpg.Pool]
    control: asyncpg.Pool
    events: RedisLog

    @property
    def stores(self) -> Mapping[Side, Store]:
        return {
            Side.LEGACY: legacy_store(self.legacy),
            Side.SERVICE: service_store(self.services),
        }

    @property
    def outboxes(self) -> list[PostgresOutbox]:
        return [PostgresOutbox(service, pool) for service, pool in self.services.items()]

    def delivery(self) -> Delivery:
        stores = self.stores
        converge = Converge(stores, ServiceSubjects(self.services))
        return Delivery(converge, stores, PostgresLedger(self.control), closed=_closed)


def _closed(entity: str, count: int) -> None:
    log.info("mirror.legacy_closed", entity=entity, count=count)


@asynccontextmanager
async def engines(settings: Settings, name: str, *, legacy_size: int) -> AsyncIterator[Engines]:
    """Raises SettingsError for what is missing. `legacy_size`: connections of the process's share in legacy's budget."""
    async with AsyncExitStack() as stack:

        async def pool(dsn: str, size: int) -> asyncpg.Pool:
            made = pool_for(
                dsn,
                name=f"banyan {name}",
                size=size,
                statement_timeout_seconds=settings.write_deadline_seconds,
                plan_once=True,
            )
            return await stack.enter_async_context(made)

        dsns = {service: settings.service_apply_url(service) for service in Service}
        pools = {dsn: await pool(dsn, len(Service) + 1) for dsn in dict.fromkeys(dsns.values())}
        events = RedisLog(
            settings.need_secret("redis_url"), partitions=settings.event_log_partitions
        )
        stack.push_async_callback(events.close)
        yield Engines(
            legacy=await pool(settings.need_secret("legacy_database_url"), legacy_size),
            services={service: pools[dsn] for service, dsn in dsns.items()},
            control=await pool(settings.need_secret("control_database_url"), 4),
            events=events,
        )
