"""Whether both sides hold the same: every key, its stamps, and every column, as the catalog maps it."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import asyncpg

from catalog import assets
from catalog.asset import Asset
from catalog.stage import Side
from migration.held_sql import place
from migration.store import MOST_ITEMS, Held, Store
from routes.key import Key


async def unequal(
    users: Mapping[Side, asyncpg.Connection], stores: Mapping[Side, Store]
) -> list[str]:
    """Entity and reason of each key in which the sides differ; never a value or a key.

    What a side holds is read as the movers read it; a row's content on the service's side by a query of our own.
    """
    found: list[str] = []
    for asset in assets().values():
        keys = {side: await _keys(users[side], asset, side) for side in Side}
        everything = sorted(keys[Side.LEGACY] | keys[Side.SERVICE])
        rows = await _rows(users[Side.SERVICE], asset)
        for start in range(0, len(everything), MOST_ITEMS):
            chunk = everything[start : start + MOST_ITEMS]
            old, new = [await stores[side].read(asset, chunk) for side in Side]
            reasons = [_difference(old[key], new[key], rows.get(key)) for key in chunk]
            found += [f"{asset.entity}: {reason}" for reason in reasons if reason]
    return found


def _difference(legacy: Held, service: Held, row: Mapping[str, Any] | None) -> str:
    if legacy.refusal or service.refusal:
        return f"cannot be read: {legacy.refusal or service.refusal}"
    if (legacy.row is None) != (service.row is None):
        return f"only in {Side.SERVICE if legacy.row is None else Side.LEGACY}"
    if legacy.row != service.row:
        return "other stamps"
    if row is None:
        return ""
    content = json.loads(legacy.content, parse_float=Decimal)
    differing = [name for name, value in content.items() if row[name] != value]
    return f"other content in {', '.join(differing)}" if differing else ""


async def _keys(user: asyncpg.Connection, asset: Asset, side: Side) -> set[Key]:
    """Of rows and of tombstones."""
    at = place(asset, side)
    texts = ", ".join(f"{name}::text" for name in at.key)
    names = ", ".join(f"key ->> '{name}'" for name in at.key)
    rows = await user.fetch(f"select {texts} from {at.table}")
    graves = await user.fetch(
        f"select {names} from {at.schema}.tombstones where entity = $1", asset.entity
    )
    return {tuple(row) for row in (*rows, *graves)}


async def _rows(user: asyncpg.Connection, asset: Asset) -> dict[Key, Mapping[str, Any]]:
    at = place(asset, Side.SERVICE)
    texts = ", ".join(f"{name}::text" for name in at.key)
    found = await user.fetch(f"select to_jsonb(t)::text, {texts} from {at.table} t")
    return {tuple(row[1:]): json.loads(row[0], parse_float=Decimal) for row in found}
