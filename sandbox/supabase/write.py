"""INSERT, upsert, UPDATE, DELETE and PUT as statements: the written rows in a CTE, the answer selected from it. Pure.

`return=minimal` returns the number 1 for each row, because any column in RETURNING needs the SELECT right on it.

Stand-in, not PostgREST, never for production.
"""

from dataclasses import dataclass

from runtime.postgres import quote_identifier as quoted
from sandbox.supabase import sql
from sandbox.supabase.embed import ROOT, Node
from sandbox.supabase.errors import RestError
from sandbox.supabase.schema_cache import ColumnInfo, Schema, Table
from sandbox.supabase.sql import Binds, Shape, Statement
from sandbox.supabase.terms import Condition, Filter

_BODY = "~body"
_COUNT_UPDATE = (
    "set_config('standin.updated', (coalesce(nullif(current_setting('standin.updated', true), ''), '0')::int + 1)"
    "::text, true) is not null"
)


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A checked JSON body: its text, its columns, and whether it is one object or an array of them."""

    text: str
    columns: tuple[str, ...]
    single: bool
    defaults: bool = False
    """`missing=default`: a key that is lacking takes the column's default instead of null."""

    def infos(self, table: Table) -> list[ColumnInfo]:
        """Raises PGRST204 for a key that is no column."""
        found = []
        for name in self.columns:
            if name not in table.columns:
                raise RestError(
                    "PGRST204",
                    f"Could not find the '{name}' column of '{table.name}' in the schema cache",
                )
            found.append(table.columns[name])
        return found


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the client wants back of a write."""

    root: Node
    shape: Shape
    representation: bool
    location: bool = False


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """`on conflict (columns) do update`, or `do nothing`."""

    columns: tuple[str, ...]
    merge: bool


def insert(
    payload: Payload,
    answer: Answer,
    schema: Schema,
    *,
    conflict: Conflict | None = None,
    only: tuple[Condition, ...] = (),
) -> Statement:
    """`only` are the conditions of a PUT: the row whose key is in the URL, no other."""
    table = answer.root.table
    infos = payload.infos(table)
    binds = Binds()
    names = ", ".join(quoted(info.name) for info in infos)
    values = ", ".join(sql.column(_BODY, info.name) for info in infos)
    parts = [
        f"insert into {sql.table_name(table)} as {quoted(ROOT)}",
        f"({names})" if names else "",
        f"select {values} from {_rows(payload, infos, binds)}",  # noqa: S608 - quoted identifiers
    ]
    if only:
        terms = [sql.condition(term, table, _BODY, schema, binds) for term in only]
        parts.append(f"where {' and '.join(terms)}")
    if conflict is not None:
        parts.append(_on_conflict(conflict, infos))
    return _statement(parts, answer, schema, binds)


def update(
    payload: Payload,
    answer: Answer,
    schema: Schema,
    *,
    where: tuple[Filter, ...],
) -> Statement:
    """An empty object changes nothing and answers no rows."""
    table = answer.root.table
    infos = payload.infos(table)
    binds = Binds()
    if not infos:
        nothing = f"select {_returning(answer)} from {sql.table_name(table)} as {quoted(ROOT)} where false"  # noqa: S608 - quoted identifiers
        return _answer(nothing, answer, schema, binds)
    sets = ", ".join(f"{quoted(info.name)} = {sql.column(_BODY, info.name)}" for info in infos)
    parts = [
        f"update {sql.table_name(table)} as {quoted(ROOT)} set {sets}",  # noqa: S608 - quoted identifiers
        f"from {_rows(payload, infos, binds)}",
        _where(where, table, schema, binds),
    ]
    return _statement(parts, answer, schema, binds)


def delete(answer: Answer, schema: Schema, *, where: tuple[Filter, ...]) -> Statement:
    binds = Binds()
    table = answer.root.table
    parts = [
        f"delete from {sql.table_name(table)} as {quoted(ROOT)}",  # noqa: S608 - quoted identifiers
        _where(where, table, schema, binds),
    ]
    return _statement(parts, answer, schema, binds)


def _rows(payload: Payload, infos: list[ColumnInfo], binds: Binds) -> str:
    """The body as rows of the columns' types."""
    if not infos and payload.single:
        return f"(values (1)) as {quoted(_BODY)}"
    document = f"{binds.text(payload.text)}::json"
    if not infos:
        return f"json_array_elements({document}) as {quoted(_BODY)}"
    kind = "json"
    if payload.defaults:
        kind, document = "jsonb", _with_defaults(payload, infos, document)
    typed = ", ".join(f"{quoted(info.name)} {info.type}" for info in infos)
    function = f"{kind}_to_record" if payload.single else f"{kind}_to_recordset"
    return f"{function}({document}) as {quoted(_BODY)}({typed})"


def _with_defaults(payload: Payload, infos: list[ColumnInfo], document: str) -> str:
    pairs = ", ".join(
        f"{_literal(info.name)}, {info.default}" for info in infos if info.default is not None
    )
    defaults = f"jsonb_build_object({pairs})"
    if payload.single:
        return f"({defaults} || {document}::jsonb)"
    return f"(select coalesce(jsonb_agg({defaults} || item), '[]') from jsonb_array_elements({document}::jsonb) as item)"  # noqa: S608 - defaults come from the catalog


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _on_conflict(conflict: Conflict, infos: list[ColumnInfo]) -> str:
    names = ", ".join(quoted(name) for name in conflict.columns)
    if not conflict.merge or not infos:
        return f"on conflict ({names}) do nothing"
    sets = ", ".join(f"{quoted(info.name)} = excluded.{quoted(info.name)}" for info in infos)
    return f"on conflict ({names}) do update set {sets} where {_COUNT_UPDATE}"


def _where(terms: tuple[Filter, ...], table: Table, schema: Schema, binds: Binds) -> str:
    node = Node(table=table, alias=ROOT, filters=list(terms))
    made = sql.conditions(node, schema, binds)
    return f"where {' and '.join(made)}" if made else ""


def _statement(parts: list[str], answer: Answer, schema: Schema, binds: Binds) -> Statement:
    text = " ".join([*(part for part in parts if part), f"returning {_returning(answer)}"])
    return _answer(text, answer, schema, binds)


def _returning(answer: Answer) -> str:
    """As few columns as the answer needs: each one asks for the SELECT right."""
    root = answer.root
    if not answer.representation and not answer.location:
        return "1 as done"
    if any(column.star for column in root.columns):
        return f"{quoted(ROOT)}.*"
    names = {column.field.name for column in root.columns}
    names |= {
        name for child in root.children if child.relation for name in child.relation.origin_columns
    }
    names |= {term.field.name for term in root.order if term.relation is None}
    names |= set(root.table.primary_key)
    names &= set(root.table.columns)  # an unknown one is named by the select, in its own words
    return ", ".join(sql.column(ROOT, name) for name in sorted(names)) or "1 as done"


def _answer(written: str, answer: Answer, schema: Schema, binds: Binds) -> Statement:
    page = (
        sql.select(answer.root, schema, binds, source="written")
        if answer.representation
        else "select * from written"
    )
    location = "null::text"
    if answer.location and answer.root.table.primary_key:
        wanted = ", ".join(_literal(name) for name in answer.root.table.primary_key)
        location = (
            "(select json_object_agg(k.key, k.value)::text from"  # noqa: S608 - column names as literals
            " (select * from written limit 1) as w, json_each_text(row_to_json(w)) as k"
            f" where k.key in ({wanted}))"
        )
    return sql.assemble(
        ctes={"written": written, "page": page},
        shape=answer.shape if answer.representation else "none",
        location=location,
        binds=binds,
    )
