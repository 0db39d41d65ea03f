"""`banyan mirror restamp`, once it is connected: looked at, recorded, restamped, redriven."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from catalog import assets
from catalog.stage import Side
from cli.operator_audit import chain, record
from migration.ledger import redrive
from migration.mirror_view import MirrorView
from migration.restamp import RestampRefused, curable, look, restamp
from routes.key import Key, write_key
from runtime.settings import Settings


class Restamping:
    """A restamp between its two records: a side's database shares no transaction with the audit chain."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        settings: Settings,
        readers: Mapping[Side, asyncpg.Pool],
        curer: asyncpg.Pool,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._readers = readers
        self._curer = curer

    async def run(
        self, entity: str, key: Key, side: Side, reason: str, *, dry_run: bool
    ) -> dict[str, Any]:
        """Raises RestampRefused, StoreError."""
        asset, text = assets()[entity], write_key(key)
        if not await MirrorView(self._connection).is_unsolved(entity, text, side):
            raise RestampRefused("no_incident")
        here = await look(self._readers[side], asset, key, side)
        there = await look(self._readers[side.other], asset, key, side.other)
        now = await self._connection.fetchval("select clock_timestamp()")
        held = curable(here, there, now=now)
        ahead = round((held.updated_at - now).total_seconds())
        if dry_run:
            return {"restamped": 0, "ahead_seconds": ahead, "redriven": 0}
        tag = chain(self._settings).tag(entity, "key", text)
        row = {"entity": entity, "row": tag, "side": side}
        seen = {**row, "row_version": held.row_version, "ahead_seconds": ahead}
        async with self._connection.transaction():
            await record(self._connection, self._settings, "mirror.restamp", reason, seen)
        made = await restamp(self._curer, asset, key, side, expected=held, floor=there.newest)
        async with self._connection.transaction():
            count = await redrive(self._connection, entity, [text])
            done = {
                **row,
                "row_version": made.row_version,
                "correlation_id": made.correlation_id,
                "redriven": count,
            }
            await record(self._connection, self._settings, "mirror.restamped", reason, done)
        return {"restamped": 1, "ahead_seconds": ahead, "redriven": count}
