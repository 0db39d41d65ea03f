"""The description of /v2 is valid, complete, and says what the parser does."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from catalog.service import Service
from routes import resources
from routes.example import example
from routes.openapi import describe, document
from routes.problem import PROBLEMS
from routes.query import Op, QueryError, parse_list
from routes.resource import Resource

pytestmark = pytest.mark.unit

ALL = describe(resources(), title="Banyan")
REGISTRY: Registry[Any] = Registry().with_resource("urn:v2", DRAFT202012.create_resource(ALL))
BY_PATH = {resource.collection_path: resource for resource in resources()}
OPERATORS = ("", "ne", "lt", "lte", "gt", "gte", "in", "is", "like")


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(ALL).validate()


@pytest.mark.parametrize("service", Service)
def test_each_service_s_part_is_valid_and_is_its_own(service: Service) -> None:
    own = tuple(resource for resource in resources() if resource.service is service)
    part = json.loads(document(own, title=service))
    OpenAPIV31SpecValidator(part).validate()
    assert set(part["paths"]) <= set(ALL["paths"])
    assert {path for path in part["paths"] if "{key}" not in path} == {
        resource.collection_path for resource in own
    }


def test_every_resource_is_there_and_items_of_nested_ones_are_not() -> None:
    items = {f"{path}/{{key}}" for path, resource in BY_PATH.items() if not resource.nested}
    assert set(ALL["paths"]) == set(BY_PATH) | items
    for operations in ALL["paths"].values():
        assert {"get", "head"} == set(operations) - {"parameters"}


def test_every_example_fits_its_schema() -> None:
    checked = 0
    for operations in ALL["paths"].values():
        for response in operations["get"]["responses"].values():
            for content in resolve(response).get("content", {}).values():
                assert errors_of(content["example"], content["schema"]) == []
                checked += 1
    assert checked > 5 * len(BY_PATH)


@pytest.mark.parametrize("path", BY_PATH)
def test_a_row_without_what_is_for_staff_fits_too_and_another_field_does_not(path: str) -> None:
    resource = BY_PATH[path]
    schema = ALL["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    row = example(resource, staff=False)
    assert errors_of({"items": [row], "next": None}, schema) == []
    assert errors_of({"items": [row], "next": "abc", "total": 3}, schema) == []
    assert errors_of({"items": [{**row, "origin": "legacy"}], "next": None}, schema) != []
    nulls = {column.target: None for column in resource.columns(staff=False) if column.nullable}
    assert errors_of({"items": [{**row, **nulls}], "next": None}, schema) == []
    for column in resource.columns(staff=False):
        if not column.nullable and column.type != "jsonb":
            assert errors_of({"items": [{**row, column.target: None}], "next": None}, schema) != []


@pytest.mark.parametrize("path", BY_PATH)
def test_a_parameter_is_described_exactly_if_it_is_understood(path: str) -> None:
    resource = BY_PATH[path]
    described = {
        p["name"] for p in map(resolve, ALL["paths"][path]["parameters"]) if p["in"] == "query"
    }
    understood = {
        name
        for column in resource.asset.kept
        for op in OPERATORS
        if accepts(
            resource,
            name := column.target + (f"[{op}]" if op else ""),
            value(resource, column.target, op),
        )
        and column.target != resource.parent_column
    }
    assert described == understood | {"order", "limit", "cursor"}


@pytest.mark.parametrize("path", BY_PATH)
def test_the_described_orders_are_the_understood_ones(path: str) -> None:
    resource = BY_PATH[path]
    (order,) = (p for p in map(resolve, ALL["paths"][path]["parameters"]) if p["name"] == "order")
    words = order["schema"]["items"]["enum"]
    assert set(order["schema"]["default"]) <= set(words)
    for column in resource.asset.kept:
        for word in (column.target, f"-{column.target}"):
            assert accepts(resource, "order", word) == (word in words)


def test_problems_list_every_code() -> None:
    problem = ALL["components"]["schemas"]["Problem"]
    assert set(problem["properties"]["code"]["enum"]) == set(PROBLEMS)


def test_operations_have_names_of_their_own() -> None:
    names = [
        operation["operationId"]
        for operations in ALL["paths"].values()
        for method, operation in operations.items()
        if method != "parameters"
    ]
    assert len(names) == len(set(names))


def test_it_is_the_same_every_time() -> None:
    assert document(resources()) == document(resources())


def resolve(node: Any) -> Any:
    if "$ref" not in node:
        return node
    found: Any = ALL
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def errors_of(instance: Any, schema: Any) -> list[str]:
    absolute = {"$ref": "urn:v2" + schema["$ref"]}
    validator = OAS31Validator(
        absolute, registry=REGISTRY, format_checker=OAS31Validator.FORMAT_CHECKER
    )
    return [error.message for error in validator.iter_errors(instance)]


def value(resource: Resource, name: str, op: str) -> str:
    if op == "is":
        return "null"
    found = example(resource).get(name)
    return str(found).lower() if isinstance(found, bool) else str(found)


def accepts(resource: Resource, name: str, text: str) -> bool:
    parent = "00000000-0000-4000-8000-000000000001" if resource.nested else None
    query = f"{quote(name)}={quote(text)}".encode()
    try:
        parsed = parse_list(resource, query, staff=True, parent=parent, cursor_key=b"k" * 32)
    except QueryError:
        return False
    return name == "order" or any(one.op in Op for one in parsed.filters)
