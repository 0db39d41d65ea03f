"""GET and HEAD of lists and items in the OpenAPI description. Pure."""

from catalog.column import ORDERED, Column
from routes.example import example, example_list
from routes.openapi_parts import (
    JSON,
    Json,
    headers,
    parameters,
    ref,
    refusals,
    schema_name,
)
from routes.openapi_schemas import plain
from routes.query import MAX_IN
from routes.resource import Resource


def list_reads(resource: Resource) -> Json:
    """By method."""
    return with_head({**_list_operation(resource), "parameters": _of_list(resource)})


def item_reads(resource: Resource) -> Json:
    """By method; waiting is for GET alone."""
    item, wishes = _item_operation(resource), parameters("if_none_match")
    found = with_head({**item, "parameters": wishes})
    if resource.waits:
        found["get"] = {**found["get"], "parameters": [*wishes, *parameters("wait")]}
    return found


def with_head(get: Json) -> Json:
    """GET, and HEAD with the same answer without its body."""
    responses = get["responses"].items()
    head = {
        **get,
        "operationId": f"head_{get['operationId']}",
        "summary": f"{get['summary']}: headers only",
        "responses": {status: _without_content(response) for status, response in responses},
    }
    return {"get": get, "head": head}


def key_parameter(resource: Resource, name: str) -> Json:
    """The key in an item's path."""
    columns = resource.asset.key_columns
    if len(columns) == 1:
        schema, text = plain(columns[0]), f"`{columns[0].target}`"
    else:
        text = "`" + "~".join(resource.asset.key) + "`, each part percent-encoded"
        schema = {"type": "string"}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def parent_parameter(resource: Resource) -> list[Json]:
    """The parent's key in a nested path."""
    if not resource.nested:
        return []
    parent = resource.asset.by_target[resource.parent_column]
    return [{"name": "id", "in": "path", "required": True, "schema": plain(parent)}]


def _without_content(response: Json) -> Json:
    return {name: part for name, part in response.items() if name != "content"}


def _list_operation(resource: Resource) -> Json:
    schema = f"{schema_name(resource)}List"
    return {
        "operationId": f"list_{schema_name(resource)}",
        "summary": resource.summary,
        "tags": [resource.entity],
        "responses": {
            "200": {
                "description": "The rows that you may see, in the order asked for.",
                "headers": headers("X-Correlation-ID", "Preference-Applied"),
                "content": {
                    JSON: {"schema": ref("schemas", schema), "example": example_list(resource)}
                },
            },
            **refusals("400", "401", "503"),
        },
    }


def _item_operation(resource: Resource) -> Json:
    return {
        "operationId": f"get_{schema_name(resource)}",
        "summary": f"One of: {resource.summary}",
        "tags": [resource.entity],
        "responses": {
            "200": {
                "description": "The row.",
                "headers": headers("X-Correlation-ID", "ETag", *_waited(resource)),
                "content": {
                    JSON: {
                        "schema": ref("schemas", schema_name(resource)),
                        "example": example(resource),
                    }
                },
            },
            "304": {
                "description": "Unchanged since the entity tag that you sent.",
                "headers": headers("X-Correlation-ID", "ETag", *_waited(resource)),
            },
            **refusals("400", "401", "404", "503"),
        },
    }


def _waited(resource: Resource) -> tuple[str, ...]:
    return ("Preference-Applied",) if resource.waits else ()


def _of_list(resource: Resource) -> list[Json]:
    return [
        *_filters(resource),
        _order_parameter(resource),
        *parameters("limit", "cursor", "prefer"),
    ]


def _order_parameter(resource: Resource) -> Json:
    words = [c.target for c in _declared(resource) if c.sort]
    return {
        "name": "order",
        "in": "query",
        "description": "Fields in order of weight, `-` for descending; nulls are last. The key is added as the last one.",
        "schema": {
            "type": "array",
            "items": {"type": "string", "enum": [*words, *(f"-{word}" for word in words)]},
            "default": resource.order.split(","),
        },
        "style": "form",
        "explode": False,
    }


def _filters(resource: Resource) -> list[Json]:
    found = []
    for column in _declared(resource):
        if column.filter and column.target != resource.parent_column:
            for word, schema, text in _operators(column):
                note = " Staff only." if column.target in resource.staff_only else ""
                found.append(
                    {
                        "name": column.target + (f"[{word}]" if word else ""),
                        "in": "query",
                        "description": text + note,
                        "schema": schema,
                        **({"style": "form", "explode": False} if word == "in" else {}),
                    }
                )
    return found


def _operators(column: Column) -> list[tuple[str, Json, str]]:
    value = plain(column)
    several = {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_IN}
    tests = {"type": "string", "enum": ["null", "not_null"]}
    found = [
        ("", value, "Equal."),
        ("ne", value, "Not equal; rows without a value do not match."),
        ("in", several, "One of these."),
        ("is", tests, "Has no value, or has one."),
    ]
    if column.type in ORDERED:
        words = {
            "lt": "Less.",
            "lte": "Less or equal.",
            "gt": "Greater.",
            "gte": "Greater or equal.",
        }
        found += [(word, value, text) for word, text in words.items()]
    return found


def _declared(resource: Resource) -> list[Column]:
    """What may be filtered or sorted by, by some viewer."""
    return [c for c in resource.columns(staff=True) if isinstance(c, Column)]
