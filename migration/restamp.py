"""The cure of a stamp that lies ahead of the clock (data-rules 2.7): its holder's side gives the same content a new version.

Such a version is parked by the other side until the clock has come to it, and then by the clock's fault wins over everything
that was written meanwhile. The new one is the only write that may lower a stamp, so it is made by compare-and-set on the version
that was seen, and lies above what the other side holds.

RestampRefused   nothing was changed; `code` is a word of REFUSALS
StoreError       (migration/store.py) a side cannot be used; whether it was restamped, another look tells
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from catalog.asset import Asset
from catalog.stage import Side
from migration.guard import CLOCK_BAND
from migration.held_sql import place, stamps_sql
from migration.postgres_store import answered, version_of
from migration.version import Version
from routes.key import Key

REFUSALS: Mapping[str, str] = {
    "no_incident": "Nothing of that waits to arrive from there: banyan mirror quarantine shows what does.",
    "not_there": "That side holds neither the row nor a tombstone of it.",
    "row_and_tombstone": "That side holds both the row and a tombstone: redrive it, and one of them goes.",
    "not_ahead": "Its stamp is not ahead of the clock: redrive it.",
    "clock_ahead": "That side's own clock is ahead, and would stamp it ahead again: set the clock right first.",
    "other_ahead": "The other side's stamp of that key is ahead, too: restamp that one first.",
    "changed": "It was written meanwhile: look again.",
}
"""By code what an operator is told."""


class RestampRefused(Exception):
    """A word of REFUSALS."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a side holds of a key: stamps alone; and its clock at that moment."""

    row: Version | None
    tombstone: Version | None
    clock: datetime

    @property
    def newest(self) -> Version | None:
        found = [version for version in (self.row, self.tombstone) if version]
        return max(found, key=lambda version: version.pair, default=None)


async def look(pool: asyncpg.Pool, asset: Asset, key: Key, side: Side) -> Standing:
    """`pool`: of a role that reads rows there. Raises StoreError."""
    row = await answered(pool.fetchrow(stamps_sql(asset, side), *key))
    assert row is not None  # noqa: S101 - one row, whatever the side holds
    return Standing(row=version_of(row, "r"), tombstone=version_of(row, "d"), clock=row["clock"])


def curable(here: Standing, there: Standing, *, now: datetime) -> Version:
    """The version of `here` that is to be restamped. `now`: the control database's clock. Raises RestampRefused. Pure."""
    held, other = here.newest, there.newest
    if held is None:
        raise RestampRefused("not_there")
    if here.row and here.tombstone:
        raise RestampRefused("row_and_tombstone")
    if held.updated_at <= now + CLOCK_BAND:
        raise RestampRefused("not_ahead")
    if here.clock > now + CLOCK_BAND:
        raise RestampRefused("clock_ahead")
    if other is not None and other.updated_at > now + CLOCK_BAND:
        raise RestampRefused("other_ahead")
    return held


async def restamp(
    pool: asyncpg.Pool,
    asset: Asset,
    key: Key,
    side: Side,
    *,
    expected: Version,
    floor: Version | None,
) -> Version:
    """The version made of `expected`. `pool`: of banyan_control on that side; `floor`: what the other side holds.

    Raises StoreError, and RestampRefused if another version is there by now.
    """
    at = place(asset, side)
    found = await answered(
        pool.fetchval(
            f"select {at.schema}.restamp($1, $2, $3, $4, $5)",
            asset.entity,
            json.dumps(dict(zip(at.key, key, strict=True))),
            expected.updated_at,
            expected.origin,
            floor.updated_at if floor else None,
        )
    )
    answer = json.loads(found)
    if answer["outcome"] != "restamped":
        raise RestampRefused(answer["outcome"])
    return Version(
        updated_at=datetime.fromisoformat(answer["updated_at"]),
        origin=side,
        row_version=answer["row_version"],
        correlation_id=answer["correlation_id"],
        seen_at=datetime.fromisoformat(answer["seen_at"]) if answer["seen_at"] else None,
    )
