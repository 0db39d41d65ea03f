"""The demonstration project's database: who connects as what, and loading the schema into it."""

from dataclasses import dataclass
from pathlib import Path

import asyncpg

from sandbox.engines.postgres import Cluster

SCHEMA = Path(__file__).with_name("schema.sql")
OWNER = "postgres"
"""Owns the database and every table, and is no superuser: as on Supabase."""


@dataclass(frozen=True, kw_only=True)
class Legacy:
    """DSNs of one legacy database, by role. The `banyan_*` roles exist once it is prepared."""

    cluster: Cluster
    database: str

    @property
    def owner(self) -> str:
        return self.cluster.dsn(self.database, OWNER)

    @property
    def authenticator(self) -> str:
        """What the REST stand-in logs in as; it may become anon, authenticated or service_role and is nothing itself."""
        return self.cluster.dsn(self.database, "authenticator")

    @property
    def worker(self) -> str:
        return self.cluster.dsn(self.database, "banyan_worker")

    @property
    def control(self) -> str:
        return self.cluster.dsn(self.database, "banyan_control")


async def load_schema(dsn: str) -> None:
    """Run schema.sql, once, as the role that shall own the tables."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_schema())
    finally:
        await connection.close()


def _schema() -> str:
    return SCHEMA.read_text(encoding="utf-8")
