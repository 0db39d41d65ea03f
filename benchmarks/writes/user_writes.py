"""`UserWrites`: changes, removals and new rows, as a user's session makes them on either side, past gateway and services.

So the databases' own triggers stamp them, as they stamp whoever goes round the gateway.
"""

import json
import random
from collections.abc import Mapping
from uuid import uuid4

import asyncpg

from benchmarks.writes.histories import Histories, Row
from catalog import assets
from catalog.stage import Side
from migration.held_sql import place

_TEXTS = {
    "compliance_tasks": "title",
    "partner_checkins": "notes",
    "action_plans": "title",
    "lab_orders": "test_name",
    "appointments": "reason",
    "submissions": "given_name",
}
"""Columns by the services' names that take any text."""
STOCK = "partner_stock_levels"
"""Its key is its own, so removed rows can come back."""
_REMOVED_SHARE = 0.2


class UserWrites:
    """Over rows that both sides hold at first. Each write is entered into `histories`."""

    def __init__(self, users: Mapping[Side, asyncpg.Connection], histories: Histories) -> None:
        self._users = users
        self._histories = histories

    async def rows(self, count: int, chance: random.Random) -> list[Row]:
        """So many rows that there are, of every entity about as many."""
        entities = (*_TEXTS, STOCK)
        found: list[Row] = []
        for entity in entities:
            at = place(assets()[entity], Side.LEGACY)
            texts = ", ".join(f"{name}::text" for name in at.key)
            user = self._users[Side.LEGACY]
            keys = [
                tuple(row) for row in await user.fetch(f"select {texts} from {at.table} order by 1")
            ]
            share = min(len(keys), -(-count // len(entities)))
            found += [(entity, key) for key in chance.sample(keys, share)]
        return chance.sample(found, min(count, len(found)))

    async def write(self, row: Row, side: Side, chance: random.Random) -> str:
        """One write; the correlation id that it bears."""
        id_ = f"bench-{uuid4()}"
        user = self._users[side]
        async with user.transaction():
            await user.execute(
                "select set_config('banyan.correlation_id', $1, true), set_config('request.headers', $2, true)",
                id_,
                json.dumps({"x-correlation-id": id_}),
            )
            built_on = await self.version(row, side)
            await self._change(row, side, chance)
        self._histories.wrote(row, id_, built_on)
        return id_

    async def version(self, row: Row, side: Side) -> str | None:
        """Correlation id of what this side holds of the key: the row, else its tombstone."""
        entity, key = row
        at = place(assets()[entity], side)
        user = self._users[side]
        same = " and ".join(f"{name}::text = ${n}" for n, name in enumerate(at.key, 1))
        found = await user.fetchrow(
            f"select correlation_id from {at.table} where {same} for update", *key
        )
        if found is None:
            names = ", ".join(
                f"'{name}', ${n}::{type_}"
                for n, (name, type_) in enumerate(zip(at.key, at.types, strict=True), 2)
            )
            found = await user.fetchrow(
                f"select correlation_id from {at.schema}.tombstones where entity = $1 and key = jsonb_build_object({names})",
                entity,
                *key,
            )
        return None if found is None else found[0]

    async def _change(self, row: Row, side: Side, chance: random.Random) -> None:
        entity, key = row
        at = place(assets()[entity], side)
        user = self._users[side]
        same = " and ".join(f"{name}::text = ${n}" for n, name in enumerate(at.key, 1))
        if entity != STOCK:
            column = assets()[entity].by_target[_TEXTS[entity]]
            name = column.target if side is Side.SERVICE else column.sources[0]
            await user.execute(
                f"update {at.table} set {name} = ${len(key) + 1} where {same}",
                *key,
                f"text {chance.random()}",
            )
            return
        if chance.random() < _REMOVED_SHARE:
            gone = await user.execute(f"delete from {at.table} where {same}", *key)
            if gone == "DELETE 1":
                return
        await user.execute(
            f"insert into {at.table} (partner_id, site_code, sku, on_hand, reserved, created_at)"
            " values ($1::text::uuid, $2, $3, $4, 0, now())"
            " on conflict (partner_id, site_code, sku) do update set on_hand = excluded.on_hand",
            *key,
            chance.randrange(1000),
        )
