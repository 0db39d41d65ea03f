"""`Databases`: legacy, seeded and prepared, and the services that were copied from it, in a cluster of the benchmark's own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from catalog.service import Service
from catalog.stage import Side
from migration.converge import Converge
from migration.copy import copy_all
from migration.legacy.install import prepare
from migration.postgres_store import legacy_store, service_store
from migration.store import Store
from migration.subjects import ServiceSubjects
from sandbox.engines import postgres
from sandbox.legacy.load import OWNER, Legacy, load_schema
from sandbox.seed.dataset import generate
from sandbox.seed.load import load
from services.migrate import migrate_all

_APPLY_ROLE = "banyan_apply"


@dataclass(frozen=True, kw_only=True)
class Databases:
    """`users`: sessions whose writes count as users'; `stores` and `converge`: as the movers have them."""

    users: Mapping[Side, asyncpg.Connection]
    stores: Mapping[Side, Store]
    converge: Converge


@asynccontextmanager
async def databases(folder: Path, *, scale: int) -> AsyncIterator[Databases]:
    """No process of the product runs beside them: who writes and who converges is the caller's."""
    with postgres.running(folder / "postgres") as cluster:
        await postgres.create_owner(cluster, OWNER)
        owners = {
            side: await postgres.create_database(cluster, str(side), owner=OWNER) for side in Side
        }
        legacy = Legacy(cluster=cluster, database=str(Side.LEGACY))
        apply = cluster.dsn(str(Side.SERVICE), _APPLY_ROLE)
        await load_schema(legacy.owner)
        await load(legacy.owner, generate(scale))
        await prepare(legacy.owner)
        await migrate_all(owners[Side.SERVICE])
        await copy_all(legacy.worker, apply)
        async with (
            asyncpg.create_pool(legacy.worker, min_size=1, max_size=2) as old,
            asyncpg.create_pool(apply, min_size=1, max_size=2) as new,
        ):
            pools = dict.fromkeys(Service, new)
            stores = {Side.LEGACY: legacy_store(old), Side.SERVICE: service_store(pools)}
            users = {side: await asyncpg.connect(owners[side]) for side in Side}
            try:
                yield Databases(
                    users=users,
                    stores=stores,
                    converge=Converge(stores, ServiceSubjects(pools)),
                )
            finally:
                for user in users.values():
                    await user.close()
