"""Brings the services' schemas up to date: `python -m services.migrate`, as the role that owns them.

A schema is built from blocks that several services share and from the service's own folder. Their numbers never meet,
so they share one `schema_migrations`: blocks are numbered below 0100, a service's own from 0101 on.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg
import structlog

from catalog.service import Service
from runtime import postgres
from runtime.logs import configure
from runtime.settings import load
from runtime.settingserror import SettingsError

log = structlog.get_logger("migrate")

_HERE = Path(__file__).parent
_BLOCKS: Mapping[Service, tuple[str, ...]] = {
    Service.INTAKE: ("ground",),
    Service.SCHEDULING: ("ground", "subjects"),
    Service.DIAGNOSTICS: ("ground", "subjects", "leases"),
    Service.CARE_PLANS: ("ground", "subjects"),
    Service.COMPLIANCE: ("ground", "subjects", "leases"),
    Service.PARTNER_OPS: ("ground", "leases"),
    Service.FINANCE: ("ground",),
}


def folders(service: Service) -> Sequence[Path]:
    """The migration folders of a service's schema, in the order in which they run (dbmate takes them all: `-d` each)."""
    blocks = [_HERE / "blocks" / block for block in _BLOCKS[service]]
    return (*blocks, _HERE / service / "migrations")


def expected_versions(service: Service) -> frozenset[str]:
    """The migrations that this code needs."""
    return frozenset(
        migration.version
        for folder in folders(service)
        for migration in postgres.read_migrations(folder)
    )


async def migrate_all(dsn: str) -> dict[Service, list[str]]:
    """All seven schemas in one database; answers the files that ran. `dsn`: a role that may create schemas there, and roles."""
    return {service: await migrate(service, dsn) for service in Service}


async def migrate(service: Service, dsn: str) -> list[str]:
    """One service's schema. Raises MigrationError."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "banyan migrate"})
    try:
        ran = []
        for folder in folders(service):
            ran += await postgres.migrate(connection, folder, schema=service)
        return ran
    finally:
        await connection.close()


async def _main() -> int:
    try:
        settings = load()
        dsns = {service: settings.service_database_url(service) for service in Service}
    except SettingsError as error:
        sys.stderr.writelines(f"services.migrate: {problem}\n" for problem in error.problems)
        return 2
    configure("services.migrate", level=settings.log_level)
    for service, dsn in dsns.items():
        try:
            for file in await migrate(service, dsn):
                log.info("migration.ran", service=service, file=file)
        except postgres.MigrationError as error:
            sys.stderr.write(f"services.migrate: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
