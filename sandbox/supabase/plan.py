"""From one HTTP request to the statement that answers it. Pure: what it needs of the database is the Schema given.

Stand-in, not PostgREST, never for production.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sandbox.supabase import body, embed, query, rpc, sql, write
from sandbox.supabase.embed import Node
from sandbox.supabase.errors import RestError, Unsupported
from sandbox.supabase.media import Media
from sandbox.supabase.prefer import Prefer
from sandbox.supabase.query import Query
from sandbox.supabase.schema_cache import Function, Schema, Table
from sandbox.supabase.sql import Shape, Statement
from sandbox.supabase.terms import Condition, Filter, Window
from sandbox.supabase.write import Answer, Conflict, Payload

Kind = Literal["read", "insert", "update", "delete", "put", "call"]
_KINDS: dict[str, Kind] = {
    "GET": "read",
    "HEAD": "read",
    "POST": "insert",
    "PATCH": "update",
    "DELETE": "delete",
    "PUT": "put",
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """The facts of a request that matter here."""

    method: str
    path: Sequence[str]
    """Segments behind /rest/v1, decoded."""
    raw_query: bytes
    range_header: str | None
    content_type: str | None
    profile: str | None
    body: bytes
    prefer: Prefer
    media: Media

    @property
    def head(self) -> bool:
        return self.method == "HEAD"

    @property
    def shape(self) -> Shape:
        return "none" if self.head else self.media.shape


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run, and what the answer needs to know of the question."""

    kind: Kind
    schema: str
    resource: str
    statement: Statement
    read_only: bool
    query: Query
    window: Window = field(default_factory=Window)
    planned: Statement | None = None
    """Asks for the planner's guess at the total."""
    resolves: bool = False
    """The upsert preference had key columns to work on."""
    function: Function | None = None


def make(call: Call, schema: Schema, *, schemas: Sequence[str], max_rows: int | None) -> Plan:
    """Raises RestError for everything that is refused before the database is asked."""
    where = profile(call, schemas)
    match list(call.path):
        case []:
            raise Unsupported("the OpenAPI description")
        case ["rpc", name]:
            return _call(call, schema, where, name, max_rows)
        case [name]:
            return _table(call, schema, where, name, max_rows)
        case _:
            raise RestError("PGRST125", "Invalid path specified in request URL")


def profile(call: Call, schemas: Sequence[str]) -> str:
    """The schema asked for. Raises PGRST106."""
    if call.profile is None:
        return schemas[0]
    if call.profile not in schemas:
        raise RestError(
            "PGRST106",
            f"Invalid schema: {call.profile}",
            hint=f"Only the following schemas are exposed: {', '.join(schemas)}",
        )
    return call.profile


def _table(call: Call, schema: Schema, where: str, name: str, max_rows: int | None) -> Plan:
    kind = _KINDS.get(call.method)
    if kind is None:
        raise RestError("PGRST117", f"Unsupported HTTP method: {call.method}")
    asked = query.parse(call.raw_query)
    window = asked.window(call.range_header if call.method == "GET" else None)
    if kind == "put" and not window.whole:
        raise RestError("PGRST114", "limit/offset querystring parameters are not allowed for PUT")
    if kind == "read":
        table = schema.table(where, name)
        root = embed.build(asked, table, schema, window=window, max_rows=max_rows, read=True)
        call.prefer.refuse_unknown()
        return Plan(
            kind="read",
            schema=where,
            resource=name,
            statement=sql.read(root, schema, shape=call.shape, count=call.prefer.count),
            read_only=True,
            query=asked,
            window=window,
            planned=_planned(call, root, schema),
        )
    payload = None
    if kind != "delete":
        payload = body.read_rows(
            call.body,
            call.content_type,
            columns=None if kind == "put" else asked.columns,
            defaults=kind != "put" and call.prefer.missing == "default",
        )
    return _write(call, kind, payload, asked, schema.table(where, name), schema)


def _planned(call: Call, root: Node, schema: Schema) -> Statement | None:
    if call.prefer.count not in ("planned", "estimated"):
        return None
    return sql.planned(root, schema)


def _write(
    call: Call, kind: Kind, payload: Payload | None, asked: Query, table: Table, schema: Schema
) -> Plan:
    root = embed.build(asked, table, schema, window=Window(), max_rows=None, read=False)
    call.prefer.refuse_unknown()
    answer = Answer(
        root=root,
        shape=call.media.shape,
        representation=call.prefer.returning == "representation",
        location=kind == "insert" and call.prefer.returning == "headers-only",
    )
    if answer.location and table.view:
        raise Unsupported("the keys of views")
    own = [condition for path, condition in asked.filters if not path]
    terms: tuple[Filter, ...] = (*own, *(logic for path, logic in asked.logic if not path))
    conflict = None
    if payload is None:
        statement = write.delete(answer, schema, where=terms)
    elif kind == "update":
        statement = write.update(payload, answer, schema, where=terms)
    elif kind == "put":
        only = _only_the_key(asked, table, own)
        conflict = Conflict(columns=table.primary_key, merge=True)
        statement = write.insert(payload, answer, schema, conflict=conflict, only=only)
    else:
        conflict = _conflict(call.prefer, asked, table)
        statement = write.insert(payload, answer, schema, conflict=conflict)
    return Plan(
        kind=kind,
        schema=table.schema,
        resource=table.name,
        statement=statement,
        read_only=False,
        query=asked,
        resolves=conflict is not None,
    )


def _conflict(prefer: Prefer, asked: Query, table: Table) -> Conflict | None:
    if prefer.resolution is None:
        return None
    if asked.on_conflict is None and table.view:
        raise Unsupported("the keys of views")
    columns = asked.on_conflict if asked.on_conflict is not None else table.primary_key
    if not columns:
        return None
    return Conflict(columns=columns, merge=prefer.resolution == "merge-duplicates")


def _only_the_key(asked: Query, table: Table, own: list[Condition]) -> tuple[Condition, ...]:
    """A PUT names one row by `eq` on every column of the primary key, and nothing else."""
    if table.view:
        raise Unsupported("the keys of views")
    plain = all(
        term.operator == "eq" and not term.negated and term.quantifier is None for term in own
    )
    names = {condition.field.name for _, condition in asked.filters}
    if not plain or asked.logic or not table.primary_key or names != set(table.primary_key):
        raise RestError(
            "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators",
        )
    return tuple(own)


def _call(call: Call, schema: Schema, where: str, name: str, max_rows: int | None) -> Plan:
    if call.method not in ("GET", "HEAD", "POST"):
        raise RestError("PGRST101", f"Cannot use the {call.method} method on RPC")
    by_post = call.method == "POST"
    asked = query.parse(call.raw_query, call_by_get=not by_post)
    window = asked.window(call.range_header if call.method == "GET" else None)
    form = body.read_form(call.body, call.content_type) if by_post else None
    by_name = asked.arguments if form is None else form
    text, given = "", frozenset(name for name, _ in by_name)
    by_json = by_post and form is None
    if by_json:
        text, given = _arguments(call, asked)
    function = rpc.find(schema, where, name, given, json_body=by_json)
    if by_json and not rpc.takes_whole_body(function) and text.lstrip()[:1] != "{":
        raise Unsupported("arguments that are no JSON object")
    root = None
    if function.result is not None:
        root = embed.build(
            asked, function.result, schema, window=window, max_rows=max_rows, read=True
        )
    call.prefer.refuse_unknown()
    if call.prefer.strict and call.prefer.max_affected is not None and function.single:
        raise RestError(
            "PGRST128",
            "Function must return SETOF or TABLE when max-affected preference is used with"
            " handling=strict",
        )
    if by_json:
        statement = rpc.call_with_body(
            function, text, given, root, schema, shape=call.shape, count=call.prefer.count
        )
    else:
        statement = rpc.call_with_query(
            function, by_name, root, schema, shape=call.shape, count=call.prefer.count
        )
    return Plan(
        kind="call",
        schema=where,
        resource=name,
        statement=statement,
        read_only=not by_post or not function.volatile,
        query=asked,
        window=window,
        function=function,
    )


def _arguments(call: Call, asked: Query) -> tuple[str, frozenset[str]]:
    text, value = body.read_arguments(call.body, call.content_type)
    if asked.columns is not None:
        return text, frozenset(asked.columns)
    if isinstance(value, list):  # the keys of the first one, which is called with; refused later
        return text, frozenset(value[0]) if value and isinstance(value[0], dict) else frozenset()
    return text, frozenset(value) if isinstance(value, dict) else frozenset()


def allowed_methods(call: Call, schema: Schema, schemas: Sequence[str]) -> str:
    """What OPTIONS says of a table or function."""
    where = profile(call, schemas)
    match list(call.path):
        case []:
            return "OPTIONS,GET,HEAD"
        case ["rpc", name]:
            found = schema.functions.get((where, name), ())
            if not found:
                raise RestError("PGRST202", f"Could not find the function {where}.{name}")
            volatile = all(function.volatile for function in found)
            return "OPTIONS,POST" if volatile else "OPTIONS,GET,HEAD,POST"
        case [name]:
            table = schema.table(where, name)
            methods = ["OPTIONS", "GET", "HEAD"]
            methods += ["POST"] if table.insertable else []
            methods += ["PUT"] if table.insertable and table.updatable and table.primary_key else []
            methods += ["PATCH", "DELETE"] if table.updatable else []
            return ",".join(methods)
        case _:
            raise RestError("PGRST125", "Invalid path specified in request URL")
