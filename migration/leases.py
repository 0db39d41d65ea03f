"""`Leases`: blocks of legacy's own numbers for the services that number rows, so that the two sides never mint the same (decisions.md 27).

A block is taken from legacy's sequence first and given to the service then: a crash in between costs a gap in the numbers.

StoreError         (migration/store.py) a side cannot be used, or refuses
StoreUnavailable   (runtime.flagstore) the control database, and with it the alerts, cannot be used
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
from runtime.alertclass import NUMBERS_LOW
from runtime.alerts import Alerts

log = structlog.get_logger("leases")

LOW = 500
"""A service with fewer numbers left gets a block."""
ALARM = 250
"""With fewer left and no block to be had, somebody must know."""
_BEHIND = "55000"
"""Of `lease_ids`: rows hold numbers that the sequence has not come to."""
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

    def __init__(self, numbers: Numbers, alerts: Alerts) -> None:
        self._numbers = numbers
        self._alerts = alerts
        self._rung: dict[str, str] = {}
        """What was rung last by entity; empty: that all is well; absent: nothing yet."""

    async def step(self) -> int:
        """Every column is looked at, whatever happens to another one; how many blocks were leased. Raises StoreUnavailable."""
        leased = 0
        for asset in assets().values():
            for name in asset.minted:
                column = asset.by_target[name]
                if isinstance(column, Column):
                    leased += await self._topped_up(asset, column)
        return leased

    async def _topped_up(self, asset: Asset, column: Column) -> int:
        try:
            left = await self._numbers.left(asset, column)
        except StoreError as error:
            log.warning("leases.not_counted", entity=asset.entity, reason=error.code)
            return 0
        if left >= LOW:
            await self._tell(asset, "")
            return 0
        try:
            first, last = await self._numbers.lease(asset, column, BLOCK)
            await self._numbers.add(asset, column, first, last)
        except StoreError as error:
            log.warning("leases.not_topped_up", entity=asset.entity, reason=error.code)
            if left < ALARM:
                await self._tell(
                    asset, "sequence_behind" if error.code == _BEHIND else "not_leased"
                )
            return 0
        log.info("leases.topped_up", entity=asset.entity, count=last - first + 1)
        await self._tell(asset, "")
        return 1

    async def _tell(self, asset: Asset, found: str) -> None:
        if found == self._rung.get(asset.entity):
            return
        if found:
            await self._alerts.ring(NUMBERS_LOW, entity=asset.entity, detail=found)
        else:
            await self._alerts.resolve(NUMBERS_LOW, entity=asset.entity)
        self._rung[asset.entity] = found


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
