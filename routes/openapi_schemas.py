"""Schemas of rows, of lists, and of what writes take. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from catalog.column import Column, Kept, Merge, Type
from routes.openapi_parts import PROBLEM, Json, ref, schema_name
from routes.operation import Member
from routes.query import MAX_LIMIT
from routes.resource import Resource


def schemas(resources: Sequence[Resource]) -> Json:
    """Of all resources, by name."""
    found: Json = {"Problem": PROBLEM}
    for resource in resources:
        name = schema_name(resource)
        found[name] = _row(resource)
        found[f"{name}List"] = _list(name)
        if resource.writes.create is not None:
            found[f"New{name}"] = _new(resource)
        if resource.writes.change:
            found[f"{name}Patch"] = _patch(resource)
    return found


def plain(column: Kept) -> Json:
    """The schema of a value that is not null."""
    if isinstance(column, Column) and column.type is Type.ENUM:
        return {"type": "string", "enum": list(dict.fromkeys(column.values.values()))}
    return _TYPES[column.type]


def members_schema(members: Iterable[tuple[str, Member]]) -> Json:
    """An object of these members and no others."""
    found = dict(members)
    return {
        "type": "object",
        "required": [name for name, member in found.items() if member.required],
        "properties": {name: member_schema(member) for name, member in found.items()},
        "additionalProperties": False,
    }


def member_schema(member: Member) -> Json:
    if member.values:
        return {"type": "string", "enum": list(member.values)}
    return {**_TYPES[member.type], **_bounds(member.least, member.most)}


def _list(name: str) -> Json:
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {
                "type": "array",
                "maxItems": MAX_LIMIT,
                "items": ref("schemas", name),
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


def _row(resource: Resource) -> Json:
    columns = resource.columns(staff=True)
    return {
        "type": "object",
        "required": [c.target for c in columns if c.target not in resource.staff_only],
        "properties": {c.target: _property(resource, c) for c in columns},
        "additionalProperties": False,
    }


def _property(resource: Resource, column: Kept) -> Json:
    schema = _merged(column) if isinstance(column, Merge) else dict(plain(column))
    if column.nullable:
        schema = _or_null(schema)
    if column.target in resource.staff_only:
        schema["description"] = "Shown to staff only."
    return schema


def _or_null(schema: Json) -> Json:
    """Any JSON is null already."""
    if "type" not in schema:
        return schema
    nullable = {**schema, "type": [schema["type"], "null"]}
    return {**nullable, "enum": [*schema["enum"], None]} if "enum" in schema else nullable


def _merged(column: Merge) -> Json:
    return {
        "type": "object",
        "required": list(column.parts),
        "properties": {part: {"type": ["string", "null"]} for part in column.parts},
        "additionalProperties": False,
    }


def _new(resource: Resource) -> Json:
    """What POST takes. What is not named has a default, or is filled in."""
    create = resource.writes.create
    assert create is not None  # noqa: S101 - asked for where there is POST only
    named = [c for c in resource.columns(staff=True) if c.target in create.named]
    found = _taken(resource, named, never_null=frozenset(create.required))
    for name, value in create.defaults.items():
        found["properties"][name] = {**found["properties"][name], "default": value}
    return {**found, "required": list(create.required)}


def _patch(resource: Resource) -> Json:
    """A JSON merge patch (RFC 7396)."""
    named = [c for c in resource.columns(staff=True) if c.target in resource.writes.change]
    return {**_taken(resource, named), "minProperties": 1}


def _taken(
    resource: Resource, columns: Iterable[Kept], never_null: frozenset[str] = frozenset()
) -> Json:
    return {
        "type": "object",
        "properties": {
            c.target: _input(resource, c, nullable=c.nullable and c.target not in never_null)
            for c in columns
        },
        "additionalProperties": False,
    }


def _input(resource: Resource, column: Kept, *, nullable: bool) -> Json:
    """As `routes.written.checked_value` takes it."""
    schema = _merged(column) if isinstance(column, Merge) else dict(plain(column))
    schema.pop("required", None)
    if isinstance(column, Column):
        schema |= _bounds(column.least, column.most)
        if column.length is not None:
            schema |= {"minLength": column.length, "maxLength": column.length}
    if nullable:
        schema = _or_null(schema)
    if column.target in resource.staff_only:
        schema["description"] = "For staff only."
    return schema


def _bounds(least: Decimal | int | None, most: Decimal | int | None) -> Json:
    found = {"minimum": least, "maximum": most}
    return {
        name: int(value) if value == int(value) else float(value)
        for name, value in found.items()
        if value is not None
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
