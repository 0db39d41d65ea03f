"""`Inspection`: what `banyan shadow inspect` does once it is connected. First it is written down who looks, then it is looked.

Nothing is read of either side before three have it: the audit chain, the PHI access record and an alert.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from catalog import assets
from catalog.service import Service
from catalog.stage import Side
from cli.operator_audit import chain, record
from migration.postgres_store import PostgresStore, legacy_store, service_store
from migration.store import Held, StoreError
from routes.json_body import read_row
from routes.key import Key, write_key
from routes.value import canonical
from runtime.accessrecord import MACHINE, NONE, OTHER, problems, resource_tag
from runtime.alertclass import BREAK_GLASS
from runtime.alerts import Alerts
from runtime.keyring import UnknownKey
from runtime.postgres import pool_for
from runtime.recordfile import RecordFile
from runtime.sealed import Sealer, Tampered
from runtime.settings import Settings
from runtime.shadowstore import KEPT_DAYS, KEY_VERSION, Example, ShadowStore
from shadow.row import row_differences
from shadow.shape import Shape

_SUB = "banyan.shadow_inspect"
"""In the access record; the person stands in the audit chain."""
_STAMP = "updated_at"

Row = tuple[str, Key]
"""Entity and key."""


class InspectionFailed(Exception):
    """Nothing is shown. `reasons`: sentences without values."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One column of a row on both sides, as JSON values."""

    name: str
    values: Mapping[Side, Any]
    """Of the sides that have the row."""
    differs: bool
    decides: bool


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One row, as both sides have it now."""

    entity: str
    key: Key
    held: Mapping[Side, Held]
    cells: tuple[Cell, ...]


class Inspection:
    """Of one request. `rows` and `troubles` are there when it has run."""

    def __init__(self, control: asyncpg.Pool, settings: Settings, correlation_id: str) -> None:
        self.correlation_id = correlation_id
        self.examples: Sequence[Example] = ()
        self.rows: list[Shown] = []
        self.troubles: list[str] = []
        """Why not everything is shown."""
        self._control = control
        self._settings = settings

    async def run(self, reason: str) -> None:
        """Raises InspectionFailed, SettingsError, StoreUnavailable, and what PostgreSQL raises where the audit chain is written."""
        self.examples = _fresh(await ShadowStore(self._control).of_request(self.correlation_id))
        rows = self._named()
        if not rows and self.troubles:
            raise InspectionFailed(*self.troubles)
        if not rows:
            return  # nothing of it is about a row: there is nothing to look at
        async with self._stores() as stores:
            await self._write_down(rows, reason)
            for entity, key in rows:
                self.rows.append(await self._look(stores, entity, key))

    # --- which rows

    def _named(self) -> list[Row]:
        """Each once, in the order of the differences; what does not open is a trouble."""
        sealer = Sealer(self._settings.need_keyring("field_keys"))
        found: dict[Row, None] = {}
        troubles: dict[str, None] = {}
        for one in self.examples:
            if not one.sealed_key:
                continue
            try:
                plain = sealer.open(
                    one.sealed_key, entity=one.entity, key=self.correlation_id, version=KEY_VERSION
                )
                found[one.entity, _key(one.entity, plain)] = None
            except UnknownKey as lost:
                troubles[f"A row's key was sealed with key {lost.key_id}, which FIELD_KEYS does not have."] = None  # fmt: skip
            except Tampered:
                troubles["A row's sealed key was changed, cut or moved; it does not open."] = None
            except (KeyError, TypeError, ValueError):
                troubles[f"A sealed key is no key of {one.entity}."] = None
        self.troubles += troubles
        return list(found)

    # --- who looks

    async def _write_down(self, rows: Sequence[Row], reason: str) -> None:
        tagger = chain(self._settings)
        subject = {
            "correlation_id": self.correlation_id,
            "entities": sorted({entity for entity, _ in rows}),
            "rows": [tagger.tag(entity, "key", write_key(key)) for entity, key in rows],
        }
        async with self._control.acquire() as connection, connection.transaction():
            await record(connection, self._settings, "shadow.inspected", reason, subject)
        try:
            self._record_access(rows)
        except OSError as error:
            raise InspectionFailed(
                f"The PHI access record cannot be written ({type(error).__name__}), so nothing is shown.",
                "The setting ACCESS_LOG_FOLDER names its folder.",
            ) from None
        for entity in subject["entities"]:
            await Alerts(self._control).ring(BREAK_GLASS, entity=entity)

    def _record_access(self, rows: Sequence[Row]) -> None:
        """On the disk when this returns. It says that every row was shown: what is not shown then errs on the safe side."""
        now = datetime.now(UTC)
        key = self._settings.need_secret("access_log_key").encode()
        lines = [self._line(now, entity, resource_tag(key, entity, write_key(row))) for entity, row in rows]  # fmt: skip
        wrong = [problem for line in lines for problem in problems(line)]
        if wrong:
            raise InspectionFailed(
                f"The PHI access record does not take such a request ({', '.join(sorted(set(wrong)))}), so nothing is shown."
            )
        name = f"inspect-{now:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.jsonl"
        file = RecordFile(Path(self._settings.access_log_folder) / name)
        try:
            file.append(b"\n".join([*lines, b""]))
            file.sync_job()()
        finally:
            file.close()

    def _line(self, now: datetime, entity: str, tag: str) -> bytes:
        said = {
            "ts": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
            "correlation_id": self.correlation_id,
            "sub": _SUB,
            "role": MACHINE,
            "purpose": "break_glass",
            "resource": tag,
            "source_ip": NONE,
            "flag_version": max(one.flag_version for one in self.examples),
            "duration_ms": 0,
            "action": "read",
            "entity": entity,
            "outcome": "success",
            "status": 200,
            "stage": NONE,
            "side": "both",
            "route": NONE,
            "method": OTHER,
        }
        return json.dumps(said, separators=(",", ":")).encode()

    # --- the look

    @asynccontextmanager
    async def _stores(self) -> AsyncIterator[Mapping[Side, PostgresStore]]:
        """They connect on first use. Raises SettingsError for what is missing, before anything is written down."""
        self._settings.need_secret("access_log_key")
        chain(self._settings)
        legacy = self._settings.need_secret("legacy_database_url")
        services = {service: self._settings.service_apply_url(service) for service in Service}
        async with AsyncExitStack() as stack:
            pools = {
                dsn: await stack.enter_async_context(pool_for(dsn, name="banyan inspect", size=1))
                for dsn in dict.fromkeys([legacy, *services.values()])
            }
            yield {
                Side.LEGACY: legacy_store(pools[legacy]),
                Side.SERVICE: service_store({name: pools[dsn] for name, dsn in services.items()}),
            }

    async def _look(self, stores: Mapping[Side, PostgresStore], entity: str, key: Key) -> Shown:
        found = await asyncio.gather(
            *(self._held(stores[side], side, entity, key) for side in Side)
        )
        held = dict(zip(Side, found, strict=True))
        rows = {side: read_row(one.content) for side, one in held.items() if one.content}
        return Shown(entity=entity, key=key, held=held, cells=_cells(entity, key, rows))

    async def _held(self, store: PostgresStore, side: Side, entity: str, key: Key) -> Held:
        try:
            held = await store.show(assets()[entity], key)
        except StoreError as error:
            held = Held(refusal=error.code)
        if held.refusal:
            self.troubles.append(f"{side}: a row of {entity} cannot be read ({held.refusal}).")
        return held


def _fresh(examples: Sequence[Example]) -> Sequence[Example]:
    """What may still be opened. Raises InspectionFailed where nothing is left."""
    kept = f"Evidence is kept for {KEPT_DAYS} days"
    if not examples:
        raise InspectionFailed(
            f"Nothing is kept of it. {kept}, and only of requests whose answers differed."
        )
    oldest = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
    fresh = [one for one in examples if one.at > oldest]
    if not fresh:
        raise InspectionFailed(f"{kept}, and what there was of it is older.")
    return fresh


def _key(entity: str, plain: bytes) -> Key:
    """Raises KeyError, TypeError, ValueError for what is none: the texts stood in an answer, and may be anything."""
    columns = assets()[entity].key_columns
    return tuple(
        canonical(column, text) for column, text in zip(columns, json.loads(plain), strict=True)
    )


def _cells(entity: str, key: Key, rows: Mapping[Side, Mapping[str, Any]]) -> tuple[Cell, ...]:
    """What a route shows, held against each other as a comparison does; of a row that one side has, every column differs."""
    asset = assets()[entity]
    columns = tuple(column for column in asset.kept if column.public)
    names = [column.target for column in columns]
    shown = {side: {name: row[name] for name in names} for side, row in rows.items()}
    wrong: dict[str, bool] = dict.fromkeys(names, True) if len(rows) == 1 else {}
    if len(rows) == len(Side):
        shape = Shape(columns=columns, key=asset.key, listed=False, stamp=_STAMP)
        for one in row_differences(shape, shown[Side.LEGACY], shown[Side.SERVICE], row=key):
            if one.column is not None:
                wrong[one.column.target] = one.decides
    return tuple(
        Cell(
            name=name,
            values={side: row[name] for side, row in shown.items()},
            differs=name in wrong,
            decides=wrong.get(name, True),
        )
        for name in names
        if shown
    )
