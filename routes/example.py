"""A synthetic row of each resource, for descriptions and tests. Pure; the same every time."""

from collections.abc import Mapping
from typing import Any

from catalog.column import Kept, Merge, Type
from routes.operation import Member, Operation
from routes.resource import Resource

_BY_TYPE: dict[Type, Any] = {
    Type.UUID: "0190b1a2-0000-7000-8000-0000000000aa",
    Type.TEXT: "example",
    Type.BOOLEAN: False,
    Type.SMALLINT: 3,
    Type.INTEGER: 12,
    Type.BIGINT: 10001,
    Type.NUMERIC: 4.5,
    Type.REAL: 51.5,
    Type.DATE: "2024-02-29",
    Type.TIMESTAMPTZ: "2024-07-01T12:00:00.123456+00:00",
    Type.JSONB: {},
    Type.TEXT_ARRAY: ["example"],
}
_BY_NAME: dict[str, Any] = {
    "given_name": "Ada",
    "family_name": "Example",
    "email": "ada@mail.example",
    "phone": "+44 7700 900000",
    "address": {"city": "London", "country": "GB"},
    "currency": "GBP",
    "time_zone": "Europe/London",
    "content_type": "application/pdf",
    "content_sha256": "0" * 64,
    "test_code": "HBA1C",
    "test_name": "Haemoglobin A1c",
    "site_code": "LDN-1",
    "sku": "KIT-7",
    "tags": ["fasting"],
    "preferred_slots": [{"start": "2024-07-02T09:00:00Z", "end": "2024-07-02T09:30:00Z"}],
    "lines": [],
}
_OF_MEMBERS: dict[str, Any] = {"status": "collected", "applied": True}


def example(resource: Resource, *, staff: bool = True) -> dict[str, Any]:
    """A row as this viewer sees it."""
    return {column.target: _value(column) for column in resource.columns(staff=staff)}


def example_list(resource: Resource) -> dict[str, Any]:
    """A last page with one row."""
    return {"items": [example(resource)], "next": None}


def example_new(resource: Resource) -> dict[str, Any]:
    """What POST takes, all that may be named but what has a default or is filled in."""
    create = resource.writes.create
    assert create is not None  # noqa: S101 - asked for where there is POST only
    named = {*create.required, *create.optional}
    return {c.target: _value(c) for c in resource.columns(staff=True) if c.target in named}


def example_patch(resource: Resource) -> dict[str, Any]:
    """One change that depends on no state."""
    states = {lifecycle.column for lifecycle in resource.lifecycles}
    columns = [c for c in resource.columns(staff=True) if c.target in resource.writes.change]
    free = [c for c in columns if c.target not in states] or columns
    return {free[0].target: _value(free[0])}


def example_members(members: Mapping[str, Member]) -> dict[str, Any]:
    return {name: _member(name, member) for name, member in members.items()}


def example_answer(operation: Operation) -> dict[str, Any]:
    """Of an operation that answers no row."""
    return example_members(operation.answer)


def _member(name: str, member: Member) -> Any:
    if member.values:
        return member.values[0]
    if name in _OF_MEMBERS:
        return _OF_MEMBERS[name]
    return max(_BY_TYPE[member.type], member.least) if member.least else _BY_TYPE[member.type]


def _value(column: Kept) -> Any:
    if isinstance(column, Merge):
        return dict.fromkeys(column.parts, "example")
    if column.type is Type.ENUM:
        return next(iter(column.values.values()))
    return _BY_NAME.get(column.target, _BY_TYPE[column.type])
