"""What the exposed schemas hold: tables, their columns and keys, foreign keys, functions. Read from pg_catalog.

Read at start, again on `notify pgrst`, and when a request names something unknown. Everything here is immutable but
`Cache`, which holds the newest one.

Stand-in, not PostgREST, never for production.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from sandbox.supabase.errors import RestError, Unsupported

Name = tuple[str, str]
"""Schema and table, view or function."""

_QUERY = Path(__file__).with_name("schema_cache.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class ColumnInfo:
    """`type` is what text is cast to: the base type of a domain, without length or precision."""

    name: str
    type: str
    json: bool = False
    default: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, a view, or the rows of a function (then `schema` is '')."""

    schema: str
    name: str
    columns: Mapping[str, ColumnInfo]
    primary_key: tuple[str, ...] = ()
    uniques: frozenset[frozenset[str]] = frozenset()
    view: bool = False
    insertable: bool = True
    updatable: bool = True
    represented: bool = False
    """It has a column of a domain with casts of its own: another form of JSON than its base type's."""

    @property
    def key(self) -> Name:
        return self.schema, self.name

    def column(self, name: str) -> ColumnInfo:
        """Raises 42703, as PostgreSQL would, for a column that is not there."""
        try:
            return self.columns[name]
        except KeyError:
            raise RestError(
                "42703", f"column {self.name}.{name} does not exist", status=400
            ) from None


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """`columns` of `table` point at `foreign_columns` of `foreign`."""

    name: str
    table: Name
    columns: tuple[str, ...]
    foreign: Name
    foreign_columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    name: str
    type: str
    optional: bool = False
    variadic: bool = False


@dataclass(frozen=True, kw_only=True)
class Function:
    """`result`: its rows as a table, the table it returns, or None for a scalar."""

    schema: str
    name: str
    parameters: tuple[Parameter, ...]
    volatile: bool
    returns_set: bool
    returns_void: bool
    result: Table | None

    @property
    def single(self) -> bool:
        return not self.returns_set


@dataclass(frozen=True, kw_only=True)
class Schema:
    """One reading of the catalog."""

    tables: Mapping[Name, Table]
    foreign_keys: Sequence[ForeignKey]
    functions: Mapping[Name, Sequence[Function]]
    computed: frozenset[tuple[Name, str]]
    """(table, name) of functions over a table's row: computed columns and relations, which the stand-in lacks."""

    def table(self, schema: str, name: str) -> Table:
        """Raises PGRST205."""
        found = self.tables.get((schema, name))
        if found is None:
            raise RestError(
                "PGRST205", f"Could not find the table '{schema}.{name}' in the schema cache"
            )
        if found.represented:
            raise Unsupported("domains with a representation of their own")
        return found


class Cache:
    """The newest Schema. `reload` runs once at a time; who asks meanwhile gets that same reading."""

    def __init__(self, pool: asyncpg.Pool, schemas: Sequence[str]) -> None:
        self._pool = pool
        self._schemas = list(schemas)
        self._lock = asyncio.Lock()
        self._readings = 0
        self._schema: Schema | None = None

    async def current(self) -> Schema:
        if self._schema is None:
            await self.reload()
        if self._schema is None:
            raise RestError("PGRST002", "Could not query the database for the schema cache.")
        return self._schema

    async def reload(self) -> Schema:
        """Read the catalog anew."""
        seen = self._readings
        async with self._lock:
            if self._schema is None or seen == self._readings:
                self._schema = await read(self._pool, self._schemas)
                self._readings += 1
            return self._schema


async def read(pool: asyncpg.Pool, schemas: Sequence[str]) -> Schema:
    """One consistent reading. Types come out qualified, because nothing but pg_catalog is on the path meanwhile."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute("set local search_path = ''")
        return _schema(orjson.loads(await connection.fetchval(_QUERY, list(schemas))))


def _schema(found: Mapping[str, Any]) -> Schema:
    tables = {(row["schema"], row["name"]): _table(row) for row in found["tables"]}
    functions: dict[Name, list[Function]] = {}
    for row in found["functions"]:
        functions.setdefault((row["schema"], row["name"]), []).append(_function(row, tables))
    return Schema(
        tables=tables,
        foreign_keys=[
            ForeignKey(
                name=row["name"],
                table=(row["schema"], row["table"]),
                columns=tuple(row["columns"]),
                foreign=(row["foreign_schema"], row["foreign_table"]),
                foreign_columns=tuple(row["foreign_columns"]),
            )
            for row in found["foreign_keys"]
        ],
        functions=functions,
        computed=frozenset(
            ((row["over_schema"], row["over_table"]), row["name"])
            for row in found["functions"]
            if row["over_table"] is not None
        ),
    )


def _table(row: Mapping[str, Any]) -> Table:
    return Table(
        schema=row["schema"],
        name=row["name"],
        columns={column["name"]: _column(column) for column in row["columns"]},
        primary_key=tuple(row["primary_key"]),
        uniques=frozenset(frozenset(columns) for columns in row["uniques"]),
        view=row["kind"] in ("v", "m"),
        insertable=row["insertable"],
        updatable=row["updatable"],
        represented=row["represented"],
    )


def _column(row: Mapping[str, Any]) -> ColumnInfo:
    return ColumnInfo(
        name=row["name"],
        type=row["type"],
        json=row["type"] in ("json", "jsonb"),
        default=row.get("default"),
    )


def _function(row: Mapping[str, Any], tables: Mapping[Name, Table]) -> Function:
    """Arguments of mode in, inout and variadic are parameters; out, inout and table make the result's columns."""
    arguments = row["arguments"]
    inputs = [argument for argument in arguments if argument["mode"] in "ibv"]
    required = len(inputs) - row["defaults"]
    outputs = [argument for argument in arguments if argument["mode"] in "bot"]
    result = None
    if outputs:
        result = _rows(row["name"], outputs)
    elif row["result_columns"] is not None:
        result = tables.get((row["result_schema"], row["result_table"])) or _rows(
            row["name"], row["result_columns"]
        )
    return Function(
        schema=row["schema"],
        name=row["name"],
        parameters=tuple(
            Parameter(
                name=argument["name"],
                type=argument["type"],
                optional=position >= required,
                variadic=argument["mode"] == "v",
            )
            for position, argument in enumerate(inputs)
        ),
        volatile=row["volatile"],
        returns_set=row["returns_set"],
        returns_void=row["returns"] == "void",
        result=result,
    )


def _rows(name: str, columns: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        schema="", name=name, columns={column["name"]: _column(column) for column in columns}
    )
