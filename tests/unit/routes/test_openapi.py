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
from routes import operations, resources
from routes.example import example
from routes.json_body import read_object
from routes.openapi import describe, document
from routes.operation import Operation, read_members
from routes.problem import PROBLEMS
from routes.query import Op, QueryError, parse_list
from routes.refused import InvalidFields
from routes.resource import Resource
from routes.written import Writer, changed, created

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
    entities = {resource.entity for resource in own}
    assert {path for path in part["paths"] if "{key}" not in path} == {
        *(resource.collection_path for resource in own),
        *(one.pattern for one in operations() if one.entity in entities),
    }


def test_every_method_of_every_path_is_described_and_no_other() -> None:
    expected: dict[str, set[str]] = {}
    for path, resource in BY_PATH.items():
        methods = resource.writes.methods
        expected[path] = {"get", "head", *({"post"} if "POST" in methods else ())}
        if not resource.nested:
            changing = {m.lower() for m in methods if m != "POST"}
            expected[f"{path}/{{key}}"] = {"get", "head", *changing}
    for one in operations():
        done = {"get", "head"} if one.method == "GET" else {one.method.lower()}
        expected.setdefault(one.pattern, set()).update(done)
    assert {path: set(found) - {"parameters"} for path, found in ALL["paths"].items()} == expected


def test_every_example_fits_its_schema() -> None:
    checked = 0
    for _, operation in described():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for part in [*bodies, *operation["responses"].values()]:
            for content in resolve(part).get("content", {}).values():
                if "example" in content:
                    assert errors_of(content["example"], content["schema"]) == []
                    checked += 1
                else:
                    assert content["schema"]["format"] == "binary"
    assert checked > 20 * len(BY_PATH)


def described() -> list[tuple[str, Any]]:
    """Every operation of the document with its method and path."""
    return [
        (f"{method.upper()} {path}", operation)
        for path, found in ALL["paths"].items()
        for method, operation in found.items()
        if method != "parameters"
    ]


WRITING = {
    name: operation
    for name, operation in described()
    if name.partition(" ")[0] in ("POST", "PUT", "PATCH", "DELETE")
}


@pytest.mark.parametrize("name", WRITING)
def test_a_write_says_how_it_is_repeated_and_what_may_become_of_it(name: str) -> None:
    operation = WRITING[name]
    assert {"400", "401", "409", "502", "503", "504"} <= set(operation["responses"])
    for status in ("409", "503"):
        assert "Retry-After" in resolve(operation["responses"][status])["headers"]
    named = {p["name"]: p.get("required", False) for p in map(resolve, operation["parameters"])}
    assert named == {**named, **headers_of(name)}


def headers_of(name: str) -> dict[str, bool]:
    """Request headers by what the routes say; whether one is required."""
    method, _, path = name.partition(" ")
    for one in operations():
        if (one.method, one.pattern) == (method, path):
            if one.signed:
                return {}
            return {"If-Match": False} if one.body == "stream" else {"Idempotency-Key": one.keyed}
    resource = BY_PATH[path.removesuffix("/{key}")]
    if method == "POST":
        assert resource.writes.create is not None
        return {"Idempotency-Key": resource.writes.create.keyed}
    return {"If-Match": False, "Idempotency-Key": False}


def test_who_signs_needs_no_token() -> None:
    assert {name for name, one in described() if one.get("security") == [{"signature": []}]} == {
        f"{one.method} {one.pattern}" for one in operations() if one.signed
    }


CREATING = [path for path, resource in BY_PATH.items() if resource.writes.create]


@pytest.mark.parametrize("path", CREATING)
def test_the_described_new_row_is_the_understood_one(path: str) -> None:
    resource = BY_PATH[path]
    content = ALL["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = resolve(content["schema"])
    assert understood_new(resource, content["example"]) == []
    for column in resource.asset.kept:
        body = {**content["example"], column.target: example(resource).get(column.target)}
        refused = understood_new(resource, body)
        unknown = any(
            c in ("unknown_field", "not_writable") for f, c in refused if f == column.target
        )
        assert unknown == (column.target not in schema["properties"])
    for name in schema["required"]:
        body = {n: v for n, v in content["example"].items() if n != name}
        assert (name, "required") in understood_new(resource, body)
        assert errors_of(body, content["schema"]) != []
    for name, value in {
        n: p["default"] for n, p in schema["properties"].items() if "default" in p
    }.items():
        assert errors_of({**content["example"], name: value}, content["schema"]) == []


@pytest.mark.parametrize("path", [p for p, r in BY_PATH.items() if r.writes.change])
def test_the_described_patch_is_the_understood_one(path: str) -> None:
    resource = BY_PATH[path]
    content = ALL["paths"][f"{path}/{{key}}"]["patch"]["requestBody"]["content"]
    schema = resolve(content["application/merge-patch+json"]["schema"])
    assert set(schema["properties"]) == resource.writes.change
    example_ = content["application/json"]["example"]
    assert changed(resource, as_sent(example_), example(resource), WRITER)
    assert errors_of({}, content["application/json"]["schema"]) != []
    with pytest.raises(InvalidFields):
        changed(resource, {}, {}, WRITER)


@pytest.mark.parametrize(
    "one", [one for one in operations() if one.body == "json"], ids=lambda one: one.path
)
def test_the_example_of_an_operation_is_understood(one: Operation) -> None:
    found = ALL["paths"][one.pattern][one.method.lower()]["requestBody"]["content"]
    given = found["application/json"]["example"]
    assert set(read_members(one, as_sent(given))) == set(one.members)


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
        p["name"]
        for p in map(resolve, ALL["paths"][path]["get"]["parameters"])
        if p["in"] == "query"
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
    (order,) = (
        p for p in map(resolve, ALL["paths"][path]["get"]["parameters"]) if p["name"] == "order"
    )
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


WRITER = Writer(
    sub="0190b1a2-0000-7000-8000-0000000000bb",
    partner_id="0190b1a2-0000-7000-8000-0000000000cc",
    staff=True,
    now="2026-01-01T00:00:00+00:00",
)


def understood_new(resource: Resource, body: Any) -> list[tuple[str, str]]:
    """Each refused member of a new row's body, and why."""
    one_part = len(resource.asset.key) == 1 and not resource.asset.minted
    key = ("0190b1a2-0000-7000-8000-0000000000dd",) if one_part else None
    parent = "0190b1a2-0000-7000-8000-0000000000ee" if resource.nested else None
    try:
        created(resource, as_sent(body), WRITER, key, parent)
    except InvalidFields as refused:
        return [(error.field, error.code) for error in refused.errors]
    return []


def as_sent(body: Any) -> Any:
    return read_object(json.dumps(body).encode())


def errors_of(instance: Any, schema: Any) -> list[str]:
    absolute = {"$ref": "urn:v2" + schema["$ref"]} if "$ref" in schema else schema
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
