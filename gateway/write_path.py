"""`WritePath`: what a process needs for writes, put together and kept running: control database, event log, spool, pins."""

import asyncio
from collections.abc import Mapping

import asyncpg
import structlog

from gateway.announcer import Announcer
from gateway.legacy_side import LegacySide
from gateway.legacy_writes import LegacyWrites
from gateway.metrics import Metrics
from gateway.operation_write import OperationWrites
from gateway.pinfeed import PinFeed, taken_by_worker
from gateway.pins import Pins
from gateway.read import Reader
from gateway.repeat_store import ControlRepeats
from gateway.row_write import RowWrites
from gateway.service_writes import ServiceWrites
from gateway.write import Deadlines, Writing
from runtime.eventlog.redis_log import RedisLog
from runtime.postgres import pool_for
from runtime.repeats import Repeats
from runtime.sealed import Sealer
from runtime.settings import Settings
from runtime.spool import Spool
from runtime.upstream.upstream import Upstream

log = structlog.get_logger("writes")

_MARGIN_SECONDS = 2.0
"""Beyond deadline and statement timeout: clocks, networks."""
_CLOSE_SECONDS = 3.0


class WritePath:
    """Starts before the flags are learnt, and without any of its engines: then it says so with each write."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        legacy: LegacySide,
        owners: Mapping[str, Upstream],
        reader: Reader,
        pins: Pins,
    ) -> None:
        record_key = settings.need_secret("access_log_key").encode()
        self._settings = settings
        self._dsn = settings.need_secret("control_database_url")
        self._pool: asyncpg.Pool | None = None
        self._events = RedisLog(
            settings.need_secret("redis_url"), partitions=settings.event_log_partitions
        )
        self._announcer = Announcer(self._events, Spool(settings.spool_folder))
        self.pinfeed = PinFeed(self._events, taken_by_worker(self._control), pins)
        statement = max(settings.legacy_statement_seconds, settings.write_deadline_seconds)
        self._writing = writing = Writing(
            announcer=self._announcer,
            pins=pins,
            repeats=ControlRepeats(
                self._control,
                Repeats(settings.need_keyring("evidence_keys")),
                Sealer(settings.need_keyring("field_keys")),
            ),
            record_key=record_key,
            deadlines=Deadlines(
                write=settings.write_deadline_seconds, statement=statement + _MARGIN_SECONDS
            ),
            count=metrics.writes.inc,
        )
        services = ServiceWrites(owners, deadline=settings.write_deadline_seconds)
        self.rows = RowWrites(
            writing=writing,
            legacy=LegacyWrites(legacy, deadline=settings.write_deadline_seconds),
            services=services,
            reader=reader,
            record_key=record_key,
            unkeyed=metrics.unkeyed_writes.inc,
        )
        self.operations = OperationWrites(writing=writing, services=services, record_key=record_key)
        metrics.watch(
            "banyan_pins", "Writes that the other side may not have yet", lambda: len(pins)
        )
        metrics.watch(
            "banyan_pins_behind",
            "1 while the mirror stream cannot be read to its end",
            lambda: float(self.pinfeed.behind),
            across=max,
        )
        metrics.watch(
            "banyan_spooled", "Announcements that wait on the disk", lambda: self._announcer.waiting
        )

    def _control(self) -> asyncpg.Pool:
        assert self._pool is not None  # noqa: S101 - nobody asks before the start
        return self._pool

    async def start(self) -> None:
        self._pool = pool_for(
            self._dsn,
            name="banyan gateway",
            statement_timeout_seconds=self._settings.write_deadline_seconds,
        )
        await self._pool
        await self._announcer.start()
        await self.pinfeed.start()

    async def stop(self) -> None:
        """Within seconds, whatever the engines do."""
        await self._writing.drain()
        await self.pinfeed.stop()
        await self._announcer.stop()
        await self._events.close()
        if self._pool is not None:
            # asyncpg waits for what runs, without an end of its own, and ends it where it is cancelled.
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._pool.close()
            except TimeoutError:
                log.warning("writes.control_database_hangs")
