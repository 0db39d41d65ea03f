"""The control database: one PostgreSQL schema, `control`, that the control API and the workers share."""

from pathlib import Path

import asyncpg

from runtime.postgres import migrate

SCHEMA = "control"
MIGRATIONS = Path(__file__).parent / "control"


async def migrate_control(dsn: str) -> list[str]:
    """Bring the schema up to date; returns the names of the files that ran. Safe to call from several processes at once."""
    connection = await asyncpg.connect(dsn)
    try:
        return await migrate(connection, MIGRATIONS, schema=SCHEMA)
    finally:
        await connection.close()
