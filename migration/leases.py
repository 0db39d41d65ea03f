"""`Leases`: blocks of legacy's own numbers for the services that number rows, so that the two sides never mint the same (decisions.md 27).

A block is taken from legacy's sequence first and given to the service then: a crash in between costs a gap in the numbers.

StoreError (migration/store.py)   a side cannot be used, or refuses
"""

from collections.abc import Mapping
from typing import Protocol

import asyncpg
import structlog

from catalog import assets
from catalog.asset import Asset
from catalog.column import Column
from catalog.service import Service
from migration.postgres_store import answered
from migration.store import StoreError

log = structlog.get_logger("leases")

LOW = 500
"""A service with fewer numbers left gets a block."""
BLOCK = 1000


class Numbers(Protocol):
    """Both sides, for one minted column of an asset."""

    async def left(self, asset: Asset, column: Column) -> int:
        """How many the service has not used yet."""
        ...

    async def lease(self, asset: Asset, column: Column, count: int) -> tuple[int, int]:
        """First and last of a run that legacy will never use itself."""
        ...

    async def add(self, asset: Asset, column: Column, first: int, last: int) -> None:
        """The service may use them."""
        ...


class Leases:
    """Any number may run: two at once lease a block more than is needed."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    async def step(self) -> int:
        """Every column is looked at, whatever happens to another one; how many blocks were leased."""
        leased = 0
        for asset in assets().values():
            for name in asset.minted:
                column = asset.by_target[name]
                if isinstance(column, Column):
                    leased += await self._topped_up(asset, column)
        return leased

    async def _topped_up(self, asset: Asset, column: Column) -> int:
        try:
            if await self._numbers.left(asset, column) >= LOW:
                return 0
            first, last = await self._numbers.lease(asset, column, BLOCK)
            await self._numbers.add(asset, column, first, last)
        except StoreError as error:
            log.warning("leases.not_topped_up", entity=asset.entity, reason=error.code)
            return 0
        log.info("leases.topped_up", entity=asset.entity, count=last - first + 1)
        return 1


class PostgresNumbers:
    """`legacy`: a pool of banyan_control; `services`: pools of banyan_apply."""

    def __init__(self, legacy: asyncpg.Pool, services: Mapping[Service, asyncpg.Pool]) -> None:
        self._legacy = legacy
        self._services = services

    async def left(self, asset: Asset, column: Column) -> int:
        statement = f"select {asset.service}.ids_left($1, $2)"
        pool = self._services[asset.service]
        return int(await answered(pool.fetchval(statement, asset.entity, column.target)))

    async def lease(self, asset: Asset, column: Column, count: int) -> tuple[int, int]:
        statement = "select first_id, last_id from banyan.lease_ids($1, $2, $3)"
        [row] = await answered(self._legacy.fetch(statement, asset.entity, column.source, count))
        return row["first_id"], row["last_id"]

    async def add(self, asset: Asset, column: Column, first: int, last: int) -> None:
        statement = f"select {asset.service}.add_ids($1, $2, $3, $4)"
        pool = self._services[asset.service]
        await answered(pool.execute(statement, asset.entity, column.target, first, last))
