"""Calls of functions: which one a request means, and the statement that calls it by name. Pure.

Stand-in, not PostgREST, never for production.
"""

from collections.abc import Mapping, Sequence

from runtime.postgres import quote_identifier as quoted
from sandbox.supabase import sql
from sandbox.supabase.embed import Node
from sandbox.supabase.errors import RestError
from sandbox.supabase.schema_cache import Function, Parameter, Schema
from sandbox.supabase.sql import Binds, Shape, Statement

_ARGS = "~args"


def find(
    schema: Schema, where: str, name: str, given: frozenset[str], *, json_body: bool
) -> Function:
    """The function of that name whose parameters these are. Raises PGRST202 for none, PGRST203 for several.

    A function with one unnamed json parameter takes the whole body, where no other fits."""
    named = schema.functions.get((where, name), ())
    fits = [function for function in named if _fits(function, given)]
    whole = [function for function in named if json_body and takes_whole_body(function)]
    found = fits or whole
    if len(found) == 1:
        return found[0]
    if found:
        raise RestError(
            "PGRST203",
            "Could not choose the best candidate function between: "
            + ", ".join(_signature(function) for function in found),
            hint="Try renaming the parameters or the function itself in the database so function"
            " overloading can be resolved",
        )
    called = f"{where}.{name}({', '.join(sorted(given))})"
    raise RestError(
        "PGRST202",
        f"Could not find the function {called} in the schema cache",
        details=f"Searched for the function {called}, but no matches were found in the schema cache.",
    )


def takes_whole_body(function: Function) -> bool:
    """One parameter without a name, of type json or jsonb."""
    return [
        (parameter.name, parameter.type in ("json", "jsonb")) for parameter in function.parameters
    ] == [("", True)]


def _fits(function: Function, given: frozenset[str]) -> bool:
    names = {parameter.name for parameter in function.parameters}
    required = {parameter.name for parameter in function.parameters if not parameter.optional}
    return "" not in names and required <= given <= names


def _signature(function: Function) -> str:
    parameters = ", ".join(f"{each.name} => {each.type}" for each in function.parameters)
    return f"{function.schema}.{function.name}({parameters})"


def call_with_body(
    function: Function,
    body: str,
    given: frozenset[str],
    root: Node | None,
    schema: Schema,
    *,
    shape: Shape,
    count: str | None,
) -> Statement:
    """A call by POST: arguments out of a JSON object, or the whole document."""
    binds = Binds()
    if takes_whole_body(function):
        kind = function.parameters[0].type
        call = _call(function, f"{binds.text(body)}::{kind}")
        return _statement(function, call, root, schema, binds, shape=shape, count=count)
    used = [parameter for parameter in function.parameters if parameter.name in given]
    if not used:
        return _statement(
            function, _call(function, ""), root, schema, binds, shape=shape, count=count
        )
    typed = ", ".join(f"{quoted(parameter.name)} {parameter.type}" for parameter in used)
    record = f"json_to_record({binds.text(body)}::json) as {quoted(_ARGS)}({typed})"
    arguments = ", ".join(
        _named(parameter, sql.column(_ARGS, parameter.name)) for parameter in used
    )
    return _statement(
        function,
        _call(function, arguments, record),
        root,
        schema,
        binds,
        shape=shape,
        count=count,
    )


def call_with_query(
    function: Function,
    arguments: Sequence[tuple[str, str]],
    root: Node | None,
    schema: Schema,
    *,
    shape: Shape,
    count: str | None,
) -> Statement:
    """A call by GET. Of a repeated argument the last counts, but a variadic one collects them all."""
    binds = Binds()
    values: Mapping[str, list[str]] = {
        name: [value for other, value in arguments if other == name] for name, _ in arguments
    }
    made = [
        _named(
            parameter,
            f"{binds.texts(tuple(values[parameter.name]))}::{parameter.type}"
            if parameter.variadic
            else f"{binds.text(values[parameter.name][-1])}::{parameter.type}",
        )
        for parameter in function.parameters
        if parameter.name in values
    ]
    call = _call(function, ", ".join(made))
    return _statement(function, call, root, schema, binds, shape=shape, count=count)


def _named(parameter: Parameter, value: str) -> str:
    variadic = "variadic " if parameter.variadic else ""
    return f"{variadic}{quoted(parameter.name)} := {value}"


def _call(function: Function, arguments: str, source: str | None = None) -> str:
    """The SELECT that calls; its rows are the function's rows, or one column "value"."""
    called = f"{quoted(function.schema)}.{quoted(function.name)}({arguments})"
    prefix = f"{source}, lateral " if source else ""
    if function.result is None:
        return f'select {quoted("~called")}.* from {prefix}(select {called} as "value") as {quoted("~called")}'  # noqa: S608 - quoted identifiers
    return f"select {quoted('~called')}.* from {prefix}{called} as {quoted('~called')}"  # noqa: S608 - quoted identifiers


def _statement(
    function: Function,
    call: str,
    root: Node | None,
    schema: Schema,
    binds: Binds,
    *,
    shape: Shape,
    count: str | None,
) -> Statement:
    if root is None:
        page, total = "select * from called", "count(*)" if count == "exact" else "null::bigint"
    else:
        page = sql.select(root, schema, binds, source="called")
        total = sql.total_of(root, schema, binds, count, source="called")
    return sql.assemble(
        ctes={"called": call, "page": page},
        shape=shape,
        binds=binds,
        body=_body(function, shape),
        rows="1" if function.single else "count(*)",
        total="1::bigint" if function.single and count == "exact" else total,
    )


def _body(function: Function, shape: Shape) -> str | None:
    """A function that returns one thing answers that thing, not an array of it."""
    if shape in ("none", "csv"):
        return None
    scalar = function.result is None
    if function.single:
        shape = "object-stripped" if shape.endswith("stripped") else "object"
    return sql.body_of(shape, sql.ROW, scalar=scalar)
