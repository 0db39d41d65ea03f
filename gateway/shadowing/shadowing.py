"""`Shadowing`: the composition root of shadow reads, and their life."""

import time
from collections.abc import Sequence
from typing import Self

import asyncpg
import structlog

from catalog.service import Service
from gateway.legacy_side import LEGACY, LegacySide
from gateway.limits import BURST_SECONDS
from gateway.metrics import Metrics
from gateway.overload import Overload
from gateway.read import Reader
from gateway.service_side import ServiceSide, owners
from gateway.shadowing.comparator import Comparator
from gateway.shadowing.counts import Counts
from gateway.shadowing.judge import Judge
from gateway.shadowing.keeping import Keeping
from gateway.shadowing.reads import ShadowReads
from gateway.shadowing.room import Room
from gateway.shadowing.second import SecondReadings
from gateway.shadowing.sides import Sides
from gateway.shadowing.wire import Keys
from runtime.accesslog import AccessLog
from runtime.alertclass import SHADOW_VISIBILITY
from runtime.alerts import Alerts
from runtime.internal_token import InternalTokens
from runtime.postgres import pool_for
from runtime.ratelimit import Budget
from runtime.settings import Settings
from runtime.shadowstore import ShadowStore
from runtime.upstream.configured import upstream
from runtime.upstream.upstream import Upstream

log = structlog.get_logger("shadow")

_NEEDED = ("control_database_url", "evidence_keys", "field_keys")


class Shadowing:
    """What is asked behind callers' answers, from the pools to the store."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        records: AccessLog,
        overload: Overload,
        cursor_key: bytes,
    ) -> None:
        """Raises SettingsError for what is missing."""
        self._settings = settings
        legacy, services = _upstreams(settings)
        self.upstreams: Sequence[Upstream] = (legacy, *services.values())
        owner = owners(services)
        sides = Sides(
            Reader(
                _legacy_side(settings, legacy),
                ServiceSide(
                    owner, InternalTokens(settings.need_secret("internal_token_key")), cursor_key
                ),
                cursor_key,
            ),
            owner,
            records,
            metrics.shadow_tally,
            cursor_key=cursor_key,
            deadline=_deadline(settings),
            clock=time.monotonic,
        )
        self._counts = Counts(metrics, release=settings.release)
        self._comparator = Comparator(
            Keys(
                evidence=settings.need_secret("evidence_keys"),
                field=settings.need_secret("field_keys"),
                log_level=settings.log_level,
            )
        )
        room = Room(settings.shadow_in_flight, self._counts.shed)
        window = settings.shadow_lag_seconds
        self._second = SecondReadings(sides, self._comparator, self._counts, room, window=window)
        judge = Judge(sides, self._comparator, self._counts, room, self._second, window=window)
        self.reads = ShadowReads(
            sides,
            judge,
            self._counts,
            room,
            overload,
            share=settings.shadow_share,
            noise_share=settings.shadow_noise_share,
        )
        self._keeping: Keeping | None = None
        self._pool: asyncpg.Pool | None = None
        metrics.watch("banyan_shadow_in_flight", "Pairs that are compared now", lambda: room.pairs)
        metrics.watch("banyan_shadow_bytes", "Bodies kept for comparisons", lambda: room.bytes)
        metrics.watch(
            "banyan_shadow_comparator_pairs",
            "Pairs that wait for the comparator",
            lambda: self._comparator.pairs,
        )
        metrics.watch(
            "banyan_shadow_second_readings",
            "Pairs that wait for the lag window to pass",
            lambda: self._second.waiting,
        )

    @classmethod
    def of(
        cls,
        settings: Settings,
        metrics: Metrics,
        records: AccessLog,
        overload: Overload,
        cursor_key: bytes,
    ) -> "Self | None":
        """None, said in the log, where there is nowhere to keep what is found, or nothing to seal it with."""
        missing = [name for name in _NEEDED if getattr(settings, name) is None]
        if missing:
            for name in missing:
                log.warning("shadow.off", setting=name.upper(), reason="is not set")
            return None
        return cls(settings, metrics, records, overload, cursor_key)

    async def start(self) -> None:
        self._pool = pool_for(
            self._settings.need_secret("control_database_url"), name="banyan shadow", size=1
        )
        await self._pool
        alerts = Alerts(self._pool)
        self._keeping = Keeping(
            self._counts,
            ShadowStore(self._pool),
            lambda entity: alerts.ring(SHADOW_VISIBILITY, entity=entity),
        )
        await self._comparator.start()
        await self._keeping.start()

    async def stop(self) -> None:
        await self.reads.stop()
        await self._second.stop()
        await self._comparator.stop()
        if self._keeping is not None:
            await self._keeping.stop()
        if self._pool is not None:
            await self._pool.close()


def _upstreams(settings: Settings) -> tuple[Upstream, dict[Service, Upstream]]:
    """Connections that no caller's read waits for."""

    def of(name: str, url: str) -> Upstream:
        return upstream(
            settings,
            f"shadow.{name}",
            url,
            connections=settings.shadow_connections,
            deadline=_deadline(settings),
        )

    legacy = of(LEGACY, settings.need("legacy_rest_url"))
    return legacy, {one: of(one.value, settings.service_url(one)) for one in Service}


def _deadline(settings: Settings) -> float:
    """Nobody waits longer for a comparison than for an answer."""
    return min(settings.shadow_deadline_seconds, settings.read_deadline_seconds)


def _legacy_side(settings: Settings, legacy: Upstream) -> LegacySide:
    per_second = settings.shadow_legacy_requests_per_second
    return LegacySide(
        legacy,
        apikey=settings.need_secret("legacy_publishable_key"),
        budget=Budget(per_second=per_second, burst=per_second * BURST_SECONDS),
        unrepresentable=lambda entity, column: None,  # the caller's own read has counted it
    )
