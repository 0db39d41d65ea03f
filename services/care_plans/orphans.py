"""`python -m services.care_plans.orphans [--delete] [--hours N]`: files in the store that no plan names.

They come from uploads that ended between the file and its row, and from files that were replaced. Without `--delete` they
are only counted. A file younger than N hours (24) is left alone: its row may be about to be written. Exit codes: 0; 1 when
store or database fail; 2 for settings; 3 when nothing in the store is named by any plan, as if it were the wrong one.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from catalog.service import Service
from runtime.objectstore import ObjectStore, Stored, StoreDown, open_store
from runtime.postgres import POSTGRESQL
from runtime.settings import load
from runtime.settingserror import SettingsError
from services.care_plans.objects import BUCKET, stored_name
from services.transaction import system_author

DEFAULT_HOURS = 24
LEAST_HOURS = 2
"""More than an upload may take (services.care_plans.content)."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """`young` are left alone, whoever names them or not."""

    named: int
    young: int
    orphans: tuple[Stored, ...]

    @property
    def suspicious(self) -> bool:
        return bool(self.orphans) and not self.named


async def find(store: ObjectStore, pool: asyncpg.Pool, older_than: datetime) -> Found:
    """Lists first, then asks for names: what was old then and is not named now is named by nobody any more."""
    listed = await _all(store.list(BUCKET))
    return sort_out(listed, await names(pool), older_than)


def sort_out(listed: Collection[Stored], named: Collection[str], older_than: datetime) -> Found:
    young = [one for one in listed if one.changed_at >= older_than]
    old = [one for one in listed if one.changed_at < older_than]
    orphans = tuple(one for one in old if one.name not in named)
    return Found(named=len(old) - len(orphans), young=len(young), orphans=orphans)


async def names(pool: asyncpg.Pool) -> set[str]:
    """What the store calls the files of all plans."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(
            "select set_config('role', $1, true), set_config('banyan.caller', $2, true)",
            f"banyan_{Service.CARE_PLANS}",
            system_author("orphans").claims,
        )
        rows = await connection.fetch(
            "select object_bucket, object_key from care_plans.action_plan"
        )
    return {stored_name(row["object_bucket"], row["object_key"]) for row in rows}


async def _all(found: AsyncIterable[Stored]) -> list[Stored]:
    return [one async for one in found]


async def sweep(store: ObjectStore, orphans: Collection[Stored]) -> None:
    """Raises StoreDown; what is gone by then stays gone."""
    for one in orphans:
        await store.delete(one.name)


async def _run(store: ObjectStore, dsn: str, hours: int, *, delete: bool) -> int:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        found = await find(store, pool, datetime.now(UTC) - timedelta(hours=hours))
    size = sum(one.size for one in found.orphans)
    sys.stdout.write(
        f"named: {found.named}, younger than {hours} h: {found.young},"
        f" orphans: {len(found.orphans)} ({size} bytes)\n"
    )
    if not delete:
        return 0
    if found.suspicious:
        sys.stderr.write("refused: no plan names any of these files; is this their store?\n")
        return 3
    await sweep(store, found.orphans)
    sys.stdout.write(f"deleted: {len(found.orphans)}\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m services.care_plans.orphans",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--delete", action="store_true", help="delete them, do not only count them")
    parser.add_argument("--hours", type=int, default=DEFAULT_HOURS, help="leave younger ones alone")
    given = parser.parse_args(arguments)
    if given.hours < LEAST_HOURS:
        parser.error(f"--hours is at least {LEAST_HOURS}")
    try:
        settings = load()
        dsn = settings.service_database_url(Service.CARE_PLANS)
        store = open_store(settings.need_secret("object_store_url"))
    except SettingsError as error:
        sys.stderr.writelines(f"services.care_plans.orphans: {one}\n" for one in error.problems)
        return 2
    try:
        return asyncio.run(_run(store, dsn, given.hours, delete=given.delete))
    except StoreDown:
        sys.stderr.write("services.care_plans.orphans: the store cannot be used\n")
    except POSTGRESQL:
        sys.stderr.write("services.care_plans.orphans: the database cannot be used\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
