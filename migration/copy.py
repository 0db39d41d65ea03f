"""The first simple copy: every legacy row and tombstone into the services' tables, by the catalog's transforms.

Each table is read in one REPEATABLE READ view and written in one transaction, so a copy that breaks leaves no table
half done and can be run again: every apply is guarded by the version pair (data-rules section 2), versions are copied
unchanged, and a second run over an unchanged source writes nothing.

It records no conflicts. It may therefore run only while no service takes writes of its own.

CopyFailed   the database refused; names table, SQLSTATE and constraint, never a value
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from catalog import assets
from catalog.asset import Asset, Kind
from catalog.column import Column
from catalog.service import Service
from catalog.stamps import BOOKKEEPING, SEEN_AT
from catalog.transform import NoCounterpart, forward
from runtime.postgres import quote_identifier as quoted

PAGE_ROWS = 5_000
_STAGING = "copy_staging"
_SUBJECTS = "subject_access"
_SUBMISSIONS = "submissions"
_STAMPS = ("updated_at", *BOOKKEEPING, SEEN_AT)
# A stamp beyond this is parked, not applied: one bad clock would win for ever (data-rules 2.7).
_CLOCK_BAND = "interval '60 seconds'"


class CopyFailed(Exception):
    """Nothing of this table was copied."""

    def __init__(self, entity: str, error: Exception) -> None:
        sqlstate = getattr(error, "sqlstate", None) or type(error).__name__
        constraint = getattr(error, "constraint_name", None) or ""
        super().__init__(f"{entity}: {sqlstate} {constraint}".rstrip())
        self.entity = entity
        self.sqlstate = sqlstate


@dataclass(frozen=True, kw_only=True)
class TableCopy:
    """How far one table is, or how it ended. `applied` counts what was new or newer; `refused` rows by reason."""

    entity: str
    read: int = 0
    applied: int = 0
    tombstones_read: int = 0
    tombstones_applied: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    nonconforming: int = 0
    """Rows in the target that break a rule of the new domain and were stored all the same."""
    done: bool = False


Progress = Callable[[TableCopy], None]


def _silent(progress: TableCopy) -> None:
    """No progress is shown."""


async def copy_all(
    legacy_dsn: str, services_dsn: str, *, progress: Progress = _silent, page_rows: int = PAGE_ROWS
) -> Sequence[TableCopy]:
    """Copy all tables, parents before children. Raises CopyFailed.

    `legacy_dsn`: as banyan_worker, who may read everything. `services_dsn`: as banyan_apply. `progress` is told after
    each page and at the end of each table.
    """
    legacy = await _connect(legacy_dsn)
    try:
        services = await _connect(services_dsn)
        try:
            subjects = await _schemas_with_subjects(services)
            return [
                await _TableCopier(asset, legacy, services, subjects, progress, page_rows).run()
                for asset in assets().values()
            ]
        finally:
            await services.close()
    finally:
        await legacy.close()


async def _connect(dsn: str) -> asyncpg.Connection:
    settings = {"application_name": "banyan copy", "timezone": "UTC"}
    return await asyncpg.connect(dsn, server_settings=settings)


async def _schemas_with_subjects(services: asyncpg.Connection) -> Sequence[str]:
    """The services that keep a projection of who may see a submission (decisions.md 26)."""
    rows = await services.fetch(
        "select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relname = $1 and n.nspname = any($2) order by 1",
        _SUBJECTS,
        [service.value for service in Service],
    )
    return [row["nspname"] for row in rows]


class _TableCopier:
    """One table's copy."""

    def __init__(
        self,
        asset: Asset,
        legacy: asyncpg.Connection,
        services: asyncpg.Connection,
        subjects: Sequence[str],
        progress: Progress,
        page_rows: int,
    ) -> None:
        self._asset = asset
        self._legacy = legacy
        self._services = services
        self._subjects = subjects if asset.entity == _SUBMISSIONS else ()
        self._progress = progress
        self._page_rows = page_rows
        self._statements = _Statements(asset)
        self._read = self._applied = self._tombstones_read = self._tombstones_applied = 0
        self._refused: Counter[str] = Counter()

    async def run(self) -> TableCopy:
        try:
            async with (
                self._legacy.transaction(isolation="repeatable_read", readonly=True),
                self._services.transaction(),
            ):
                await self._rows()
                if self._asset.kind is Kind.VERSIONED:
                    await self._tombstones()
                nonconforming = await self._nonconforming()
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # Not chained: the driver's texts quote values.
            raise CopyFailed(self._asset.entity, error) from None
        return self._report(nonconforming=nonconforming, done=True)

    def _report(self, *, nonconforming: int = 0, done: bool = False) -> TableCopy:
        report = TableCopy(
            entity=self._asset.entity,
            read=self._read,
            applied=self._applied,
            tombstones_read=self._tombstones_read,
            tombstones_applied=self._tombstones_applied,
            refused=dict(self._refused),
            nonconforming=nonconforming,
            done=done,
        )
        self._progress(report)
        return report

    # --- rows

    async def _rows(self) -> None:
        sql = self._statements
        await self._services.execute(sql.stage_rows)
        async for rows in self._pages(sql.first_rows, sql.next_rows, _source_key(self._asset)):
            staged = [values for row in rows if (values := self._transformed(row)) is not None]
            await self._stage(staged, sql.staged_columns)
            for reason, statement in sql.refusals:
                self._refuse(reason, await self._services.execute(statement))
            self._applied += _count(await self._services.execute(sql.apply_rows))
            if sql.revive:
                await self._services.execute(sql.revive)
            for schema in self._subjects:
                await self._services.execute(_apply_subjects(schema))
            self._read += len(rows)
            self._report()
        await self._services.execute(f"drop table {_STAGING}")

    def _transformed(self, row: asyncpg.Record) -> tuple[Any, ...] | None:
        try:
            target = forward(self._asset, dict(row))
            _refuse_nulls(self._asset, target)
        except NoCounterpart as refused:
            self._refused[str(refused)] += 1
            return None
        return (*target.values(), *(row[name] for name in self._statements.bookkeeping))

    # --- tombstones

    async def _tombstones(self) -> None:
        sql = self._statements
        await self._services.execute(sql.stage_tombstones)
        async for rows in self._pages(sql.first_tombstones, sql.next_tombstones, ("key",)):
            staged = [
                (self._asset.entity, self._target_key(row), *(row[name] for name in _STAMPS))
                for row in rows
            ]
            await self._stage(staged, ("entity", "key", *_STAMPS))
            self._refuse(_AHEAD, await self._services.execute(_park()))
            await self._services.execute(sql.delete_rows)
            self._tombstones_applied += _count(await self._services.execute(sql.bury))
            for schema in self._subjects:
                await self._services.execute(_forget_subjects(schema))
            self._tombstones_read += len(rows)
            self._report()
        await self._services.execute(f"drop table {_STAGING}")

    def _target_key(self, row: asyncpg.Record) -> str:
        key = json.loads(row["key"])
        return json.dumps({c.target: key[c.source] for c in self._asset.key_columns})

    async def _nonconforming(self) -> int:
        marked = await self._services.fetchval(
            "select exists (select from pg_attribute where attrelid = $1::regclass and attname = 'nonconforming')",
            _target(self._asset),
        )
        if not marked:
            return 0
        return int(
            await self._services.fetchval(
                f"select count(*) from {_target(self._asset)} where nonconforming"  # noqa: S608 - names of the catalog
            )
        )

    # --- both

    async def _pages(
        self, first: str, following: str, key: Sequence[str]
    ) -> AsyncIterator[Sequence[asyncpg.Record]]:
        """Keyset pages of legacy, by the statements' own order."""
        rows = await self._legacy.fetch(first, self._page_rows)
        while rows:
            yield rows
            last = [rows[-1][name] for name in key]
            rows = await self._legacy.fetch(following, self._page_rows, *last)

    async def _stage(self, rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> None:
        await self._services.execute(f"truncate {_STAGING}")
        await self._services.copy_records_to_table(_STAGING, records=rows, columns=columns)

    def _refuse(self, reason: str, status: str) -> None:
        count = _count(status)
        if count:
            self._refused[reason] += count


_AHEAD = "updated_at: ahead of the clock"
_DIFFERS = "another row with this key is there, and rows of this table do not change"


def _refuse_nulls(asset: Asset, target: Mapping[str, Any]) -> None:
    for column in asset.kept:
        if not column.nullable and target[column.target] is None:
            raise NoCounterpart(column.target, "null where a value is needed")


def _count(status: str) -> int:
    """The number at the end of a command's status: `INSERT 0 5`."""
    return int(status.rpartition(" ")[2])


# --- statements: all names in them are the catalog's


class _Statements:
    """SQL for one table. Staged rows are in `copy_staging`, which has the columns of the target."""

    def __init__(self, asset: Asset) -> None:
        target, schema = _target(asset), asset.service
        versioned = asset.kind is Kind.VERSIONED
        self.bookkeeping = (*BOOKKEEPING, SEEN_AT) if versioned else BOOKKEEPING
        self.staged_columns = (*(c.target for c in asset.kept), *self.bookkeeping)

        sources = [name for column in asset.kept for name in column.sources]
        columns = ", ".join(quoted(name) for name in (*sources, *self.bookkeeping))
        table = ".".join(quoted(part) for part in asset.source.split("."))
        self.first_rows, self.next_rows = _keyset(columns, table, _source_key(asset), "true")
        self.stage_rows = (
            f"create temporary table {_STAGING} (like {target} including defaults) on commit drop"
        )
        self.refusals = _refusals(asset)
        self.apply_rows = _apply(asset, self.staged_columns)
        self.revive = _revive(asset) if versioned else ""

        stamps = ", ".join(("key", *_STAMPS))
        self.first_tombstones, self.next_tombstones = _keyset(
            stamps, "banyan.tombstones", ("key",), f"entity = '{asset.entity}'"
        )
        self.stage_tombstones = (
            f"create temporary table {_STAGING} (like {schema}.tombstones including defaults)"
            " on commit drop"
        )
        self.delete_rows = (
            f"delete from {target} t using {_STAGING} s"  # noqa: S608
            f" where {_same_key(asset, 't', 's')} and {_pair('t', schema)} < {_pair('s', schema)}"
        )
        self.bury = _bury(asset)


def _keyset(columns: str, table: str, key: Sequence[str], condition: str) -> tuple[str, str]:
    """The first page (parameter: rows), and the page behind a key (parameters: rows, key)."""
    names = ", ".join(quoted(name) for name in key)
    places = ", ".join(f"${n}" for n in range(2, len(key) + 2))
    start = f"select {columns} from {table} where {condition}"  # noqa: S608
    end = f" order by {names} limit $1"
    return start + end, f"{start} and ({names}) > ({places}){end}"


def _refusals(asset: Asset) -> Sequence[tuple[str, str]]:
    """What must not be applied is taken out of the staged rows, and counted."""
    found = []
    if asset.kind is Kind.VERSIONED:
        found.append((_AHEAD, _park()))
    else:
        found.append((_DIFFERS, _differing(asset)))
    for column in asset.references:
        parent = assets()[column.references]
        if parent.service is asset.service:
            found.append((f"{column.target}: its parent is not there", _orphans(column, parent)))
    return found


def _park() -> str:
    return f"delete from {_STAGING} where updated_at > clock_timestamp() + {_CLOCK_BAND}"  # noqa: S608


def _differing(asset: Asset) -> str:
    names = [column.target for column in asset.kept if column.target not in asset.key]
    ours, theirs = (", ".join(f"{side}.{name}" for name in names) for side in "st")
    keys = " and ".join(f"t.{name} = s.{name}" for name in asset.key)
    return (
        f"delete from {_STAGING} s using {_target(asset)} t"  # noqa: S608
        f" where {keys} and ({ours}) is distinct from ({theirs})"
    )


def _orphans(column: Column, parent: Asset) -> str:
    return (
        f"delete from {_STAGING} s where s.{column.target} is not null and not exists"  # noqa: S608
        f" (select from {_target(parent)} p where p.{parent.key[0]} = s.{column.target})"
    )


def _apply(asset: Asset, columns: Sequence[str]) -> str:
    schema = asset.service
    generated = {c.target for c in asset.kept if c.generated}
    written = [name for name in columns if name not in generated]
    key = ", ".join(asset.key)
    insert = (
        f"insert into {_target(asset)} as t ({', '.join(written)})"  # noqa: S608
        f" select {', '.join(f's.{name}' for name in written)} from {_STAGING} s"
    )
    if asset.kind is Kind.APPEND_ONLY:
        return f"{insert} on conflict ({key}) do nothing"
    sets = ", ".join(f"{name} = excluded.{name}" for name in written if name not in asset.key)
    return (
        f"{insert} where not exists (select from {schema}.tombstones d where {_tombstone_of(asset)}"
        f" and {_pair('d', schema)} >= {_pair('s', schema)})"
        f" on conflict ({key}) do update set {sets}"
        f" where {_pair('t', schema)} < {_pair('excluded', schema)}"
    )


def _revive(asset: Asset) -> str:
    """Tombstones of keys that have come back are removed."""
    schema = asset.service
    return (
        f"delete from {schema}.tombstones d using {_STAGING} s"  # noqa: S608
        f" where {_tombstone_of(asset)} and {_pair('d', schema)} < {_pair('s', schema)}"
    )


def _bury(asset: Asset) -> str:
    schema = asset.service
    names = ("entity", "key", *_STAMPS)
    sets = ", ".join(f"{name} = excluded.{name}" for name in _STAMPS)
    return (
        f"insert into {schema}.tombstones as t ({', '.join(names)})"  # noqa: S608
        f" select {', '.join(f's.{name}' for name in names)} from {_STAGING} s"
        f" where not exists (select from {_target(asset)} r where {_same_key(asset, 'r', 's')})"
        f" on conflict (entity, key) do update set {sets}, recorded_at = clock_timestamp()"
        f" where {_pair('t', schema)} < {_pair('excluded', schema)}"
    )


def _apply_subjects(schema: str) -> str:
    return _upsert_subjects(schema, "s.id, s.patient_user_id, s.clinician_id")


def _forget_subjects(schema: str) -> str:
    return _upsert_subjects(schema, "(s.key ->> 'id')::uuid, null::uuid, null::uuid")


def _upsert_subjects(schema: str, subject: str) -> str:
    names = ("user_id", "clinician_id", *_STAMPS)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names)
    return (
        f"insert into {schema}.{_SUBJECTS} as t (submission_id, {', '.join(names)})"  # noqa: S608
        f" select {subject}, {', '.join(f's.{name}' for name in _STAMPS)} from {_STAGING} s"
        f" on conflict (submission_id) do update set {sets}"
        f" where {_pair('t', schema)} < {_pair('excluded', schema)}"
    )


def _pair(alias: str, schema: str) -> str:
    return f"({alias}.updated_at, {schema}.origin_rank({alias}.origin))"


def _tombstone_of(asset: Asset) -> str:
    """`d` is the tombstone of the staged row `s`."""
    parts = ", ".join(f"'{name}', s.{name}" for name in asset.key)
    return f"d.entity = '{asset.entity}' and d.key = jsonb_build_object({parts})"


def _same_key(asset: Asset, row: str, tombstone: str) -> str:
    return " and ".join(
        f"{row}.{c.target} = ({tombstone}.key ->> '{c.target}')::{c.type}"
        for c in asset.key_columns
    )


def _target(asset: Asset) -> str:
    return f"{asset.service}.{asset.target}"


def _source_key(asset: Asset) -> Sequence[str]:
    return [column.source for column in asset.key_columns]
