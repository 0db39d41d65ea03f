"""The OpenAPI 3.1 description of what /v2 exposes, made from the routes and the catalog. Pure.

Gateway and services answer with it: the gateway for every resource, a service for its own.
"""

import json
from collections.abc import Sequence
from typing import Any

from catalog.column import ORDERED, Column, Kept, Merge, Type
from routes.example import example, example_list
from routes.problem import MEDIA_TYPE, PROBLEMS, problem_body
from routes.query import DEFAULT_LIMIT, MAX_IN, MAX_LIMIT
from routes.resource import Resource

Json = dict[str, Any]

API_VERSION = "2.0.0"
_JSON = "application/json"
_CORRELATION_ID = "0190b1a2-0000-7000-8000-000000000001"


def document(resources: Sequence[Resource], *, title: str = "Banyan") -> bytes:
    """The whole document, as it is served."""
    return json.dumps(describe(resources, title=title), separators=(",", ":")).encode()


def describe(resources: Sequence[Resource], *, title: str) -> Json:
    """The whole document as a Python object."""
    paths: Json = {}
    for resource in resources:
        paths[resource.collection_path] = _path(_list_operation(resource), _of_list(resource))
        if not resource.nested:
            path = f"{resource.collection_path}/{{key}}"
            paths[path] = _path(_item_operation(resource), _of_item(resource))
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": API_VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": r.entity, "description": r.summary} for r in resources],
        "paths": paths,
        "components": {
            "schemas": _schemas(resources),
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "responses": _problem_responses(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The user's own access token of the project's issuer.",
                }
            },
        },
    }


_DESCRIPTION = (
    "A list is `{items, next}`; send `next` back as `cursor` to go on, until it is null. Whatever is not understood"
    " is refused and named. Examples hold synthetic data."
)


# --- operations


def _path(get: Json, parameters: list[Json]) -> Json:
    """GET, and HEAD with the same answer without its body."""
    responses = get["responses"].items()
    head = {
        **get,
        "operationId": f"head_{get['operationId']}",
        "summary": f"{get['summary']}: headers only",
        "responses": {status: _without_content(response) for status, response in responses},
    }
    return {"parameters": parameters, "get": get, "head": head}


def _without_content(response: Json) -> Json:
    return {name: part for name, part in response.items() if name != "content"}


def _list_operation(resource: Resource) -> Json:
    schema = f"{_name(resource)}List"
    return {
        "operationId": f"list_{_name(resource)}",
        "summary": resource.summary,
        "tags": [resource.entity],
        "responses": {
            "200": {
                "description": "The rows that you may see, in the order asked for.",
                "headers": _headers("X-Correlation-ID", "Preference-Applied"),
                "content": {
                    _JSON: {"schema": _ref("schemas", schema), "example": example_list(resource)}
                },
            },
            **_refusals("400", "401", "503"),
        },
    }


def _item_operation(resource: Resource) -> Json:
    return {
        "operationId": f"get_{_name(resource)}",
        "summary": f"One of: {resource.summary}",
        "tags": [resource.entity],
        "responses": {
            "200": {
                "description": "The row.",
                "headers": _headers("X-Correlation-ID", "ETag"),
                "content": {
                    _JSON: {
                        "schema": _ref("schemas", _name(resource)),
                        "example": example(resource),
                    }
                },
            },
            "304": {
                "description": "Unchanged since the entity tag that you sent.",
                "headers": _headers("X-Correlation-ID", "ETag"),
            },
            **_refusals("400", "401", "404", "503"),
        },
    }


# --- parameters


def _of_list(resource: Resource) -> list[Json]:
    return [
        *_parent_parameter(resource),
        *_filters(resource),
        _order_parameter(resource),
        *(_ref("parameters", name) for name in ("limit", "cursor", "prefer", "correlation")),
    ]


def _of_item(resource: Resource) -> list[Json]:
    return [
        _key_parameter(resource),
        *(_ref("parameters", name) for name in ("if_none_match", "correlation")),
    ]


def _parent_parameter(resource: Resource) -> list[Json]:
    if not resource.nested:
        return []
    parent = resource.asset.by_target[resource.parent_column]
    return [{"name": "id", "in": "path", "required": True, "schema": _plain(parent)}]


def _key_parameter(resource: Resource) -> Json:
    columns = resource.asset.key_columns
    if len(columns) == 1:
        schema, text = _plain(columns[0]), f"`{columns[0].target}`"
    else:
        text = "`" + "~".join(resource.asset.key) + "`, each part percent-encoded"
        schema = {"type": "string"}
    return {"name": "key", "in": "path", "required": True, "description": text, "schema": schema}


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
    value = _plain(column)
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


_PARAMETERS: Json = {
    "limit": {
        "name": "limit",
        "in": "query",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_LIMIT,
            "default": DEFAULT_LIMIT,
        },
    },
    "cursor": {
        "name": "cursor",
        "in": "query",
        "description": "`next` of the page before, with the same filters and order.",
        "schema": {"type": "string"},
    },
    "prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "`count=exact` adds `total`.",
        "schema": {"type": "string"},
        "example": "count=exact",
    },
    "if_none_match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Entity tags that you have: 304 if one of them is still right.",
        "schema": {"type": "string"},
    },
    "correlation": {
        "name": "X-Correlation-ID",
        "in": "header",
        "description": "Your id for this request. Another form is replaced by an id of ours.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$"},
    },
}

_HEADERS: Json = {
    "X-Correlation-ID": {
        "description": "The id under which this request is found in every log.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Changes with every version of the row.",
        "schema": {"type": "string"},
        "example": '"1719835200123456.legacy"',
    },
    "Preference-Applied": {
        "description": "`count=exact` if it was asked for.",
        "schema": {"type": "string"},
    },
}


def _headers(*names: str) -> Json:
    return {name: _ref("headers", name) for name in names}


# --- errors


_REFUSALS = {
    "400": "invalid_query",
    "401": "unauthenticated",
    "404": "not_found",
    "503": "upstream_unreachable",
}
"""One example code per status; the schema lists them all."""


def _refusals(*statuses: str) -> Json:
    return {status: _ref("responses", f"Problem{status}") for status in statuses}


def _problem_responses() -> Json:
    return {
        f"Problem{status}": {
            "description": PROBLEMS[code].title,
            "headers": _headers("X-Correlation-ID"),
            "content": {
                MEDIA_TYPE.decode(): {
                    "schema": _ref("schemas", "Problem"),
                    "example": json.loads(problem_body(code, _CORRELATION_ID)),
                }
            },
        }
        for status, code in _REFUSALS.items()
    }


_PROBLEM: Json = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "correlation_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(PROBLEMS)},
        "detail": {"type": "string"},
        "correlation_id": {"type": "string"},
        "outcome": {
            "type": "string",
            "enum": ["not_applied", "unknown"],
            "description": "What became of a write.",
        },
        "legal": {
            "type": "array",
            "items": {"type": "string"},
            "description": "States to which the row may go.",
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code"],
                "properties": {"field": {"type": "string"}, "code": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


# --- schemas


def _schemas(resources: Sequence[Resource]) -> Json:
    found: Json = {"Problem": _PROBLEM}
    for resource in resources:
        name = _name(resource)
        found[name] = _row(resource)
        found[f"{name}List"] = {
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": {
                    "type": "array",
                    "maxItems": MAX_LIMIT,
                    "items": _ref("schemas", name),
                },
                "next": {
                    "type": ["string", "null"],
                    "description": "Send it as `cursor`. A page may be short or empty and still have one.",
                },
                "total": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Rows in all pages, if asked for.",
                },
            },
            "additionalProperties": False,
        }
    return found


def _row(resource: Resource) -> Json:
    columns = resource.columns(staff=True)
    return {
        "type": "object",
        "required": [c.target for c in columns if c.target not in resource.staff_only],
        "properties": {c.target: _property(resource, c) for c in columns},
        "additionalProperties": False,
    }


def _property(resource: Resource, column: Kept) -> Json:
    schema = _merged(column) if isinstance(column, Merge) else dict(_plain(column))
    if column.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    if column.target in resource.staff_only:
        schema["description"] = "Shown to staff only."
    return schema


def _merged(column: Merge) -> Json:
    return {
        "type": "object",
        "required": list(column.parts),
        "properties": {part: {"type": ["string", "null"]} for part in column.parts},
        "additionalProperties": False,
    }


_TYPES: dict[Type, Json] = {
    Type.UUID: {"type": "string", "format": "uuid"},
    Type.TEXT: {"type": "string"},
    Type.BOOLEAN: {"type": "boolean"},
    Type.SMALLINT: {"type": "integer", "minimum": -(2**15), "maximum": 2**15 - 1},
    Type.INTEGER: {"type": "integer", "format": "int32"},
    Type.BIGINT: {"type": "integer", "format": "int64"},
    Type.NUMERIC: {"type": "number"},
    Type.REAL: {"type": "number", "format": "float"},
    Type.DATE: {"type": "string", "format": "date"},
    Type.TIMESTAMPTZ: {"type": "string", "format": "date-time"},
    Type.JSONB: {"description": "Any JSON."},
    Type.TEXT_ARRAY: {"type": "array", "items": {"type": "string"}},
}


def _plain(column: Kept) -> Json:
    """The schema of a value that is not null."""
    if isinstance(column, Column) and column.type is Type.ENUM:
        return {"type": "string", "enum": list(dict.fromkeys(column.values.values()))}
    return _TYPES[column.type]


def _name(resource: Resource) -> str:
    """In the new model's words: `LabOrder`."""
    return "".join(part.title() for part in resource.asset.target.split("_"))


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
