"""`inquire`: asks every source of one correlation id once, side by side, and what they name a second time by its key.

A source that cannot be used is named in the answer, and the others are asked all the same: nothing is raised for it.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from catalog import assets
from catalog.service import Service
from migration.trace.access import read_access
from migration.trace.control import read_control, read_incidents
from migration.trace.database import NOT_SET, Database, opened
from migration.trace.events import LOG, read_events
from migration.trace.sides import read_named, read_side
from migration.trace.timeline import CONTROL, LEGACY, Findings, Row, Timeline, timeline
from runtime.eventlog.redis_log import RedisLog
from runtime.settings import Settings
from runtime.settingserror import SettingsError


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far back and how long each source is asked."""

    since: datetime
    """Of access records and of the event log."""
    seconds: float
    """The longest time of one statement."""
    entries: int
    """The most entries of one topic."""


@dataclass(frozen=True, kw_only=True)
class _Databases:
    control: Database
    sides: Sequence[tuple[Database, Sequence[Service] | None]]
    """With the services that live there; None: legacy."""


async def inquire(settings: Settings, correlation_id: str, bounds: Bounds) -> Timeline:
    findings = Findings()
    async with _opened(settings, findings, bounds.seconds) as databases:
        await asyncio.gather(
            _read_access(settings, findings, correlation_id, bounds),
            read_control(databases.control, correlation_id),
            _read_log(settings, findings, correlation_id, bounds),
            *(read_side(one, services, correlation_id) for one, services in databases.sides),
        )
        named = _named(findings)
        await asyncio.gather(
            read_incidents(databases.control, named),
            *(
                read_named(one, services, correlation_id, named)
                for one, services in databases.sides
            ),
        )
    return timeline(findings)


def _named(findings: Findings) -> frozenset[Row]:
    rows = {line.row for line in findings.lines if line.entity in assets()}
    return frozenset(row for row in rows if row is not None)


async def _read_access(
    settings: Settings, findings: Findings, correlation_id: str, bounds: Bounds
) -> None:
    folder = settings.access_log_folder
    found = await asyncio.to_thread(read_access, folder, correlation_id, bounds.since)
    findings.add(found.lines)
    findings.looked += found.looked


async def _read_log(
    settings: Settings, findings: Findings, correlation_id: str, bounds: Bounds
) -> None:
    url = _set(settings.need_secret, "redis_url")
    if url is None:
        findings.look(LOG, "topics", NOT_SET)
        return
    log = RedisLog(url)
    try:
        await read_events(log, findings, correlation_id, since=bounds.since, most=bounds.entries)
    finally:
        await log.close()


@asynccontextmanager
async def _opened(
    settings: Settings, findings: Findings, seconds: float
) -> AsyncIterator[_Databases]:
    async with AsyncExitStack() as stack:

        async def database(where: str, dsn: str | None) -> Database:
            return await stack.enter_async_context(opened(where, dsn, findings, seconds=seconds))

        sides: list[tuple[Database, Sequence[Service] | None]] = []
        legacy = _set(settings.need_secret, "legacy_database_url")
        sides.append((await database(LEGACY, legacy), None))
        for dsn, services in _homes(settings).items():
            name = "services" if len(services) == len(Service) else f"service {services[0]}"
            sides.append((await database(name, dsn), services))
        control = _set(settings.need_secret, "control_database_url")
        yield _Databases(control=await database(CONTROL, control), sides=sides)


def _homes(settings: Settings) -> Mapping[str | None, list[Service]]:
    """Services that share a database are asked over one connection."""
    found: dict[str | None, list[Service]] = defaultdict(list)
    for service in Service:
        found[_set(settings.service_apply_url, service)].append(service)
    return found


def _set(need: Callable[[str], str], name: str) -> str | None:
    """None: it is not set."""
    try:
        return need(name)
    except SettingsError:
        return None
