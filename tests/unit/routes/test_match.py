"""Paths are exact: case, slashes, depth."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routes import operations, resources
from routes.match import Match, match
from routes.resource import Resource

pytestmark = pytest.mark.unit

RESOURCES = [pytest.param(resource, id=resource.path) for resource in resources()]
FLAT = [pytest.param(resource, id=resource.path) for resource in resources() if not resource.nested]
EVENTS = next(resource for resource in resources() if resource.nested)


def parts(found: Match | None) -> tuple[Resource, bytes | None, bytes | None] | None:
    return None if found is None else (found.resource, found.item, found.parent)


@pytest.mark.parametrize("resource", FLAT)
def test_collections_and_items(resource):
    path = resource.collection_path.encode()
    assert parts(match(path)) == (resource, None, None)
    item = match(path + b"/a%2Fb~c")
    assert parts(item) == (resource, b"a%2Fb~c", None)
    assert item is not None
    assert item.pattern == f"{resource.collection_path}/{{key}}"
    assert Match(resource).pattern == resource.collection_path


@pytest.mark.parametrize("resource", FLAT)
def test_nothing_near_it(resource):
    path = resource.collection_path.encode()
    near = [
        path + b"/",
        path + b"//",
        path + b"/a/",
        path + b"//a",
        path + b"/a/b",
        path + b"/a/b/c",
        b"/" + path,
        path[1:],
        path.upper(),
        path.replace(b"/v2", b"/V2"),
        path.replace(b"/v2", b"/v2/"),
        path.replace(b"/v2", b"/v1"),
        path + b" ",
        path.replace(b"-", b"%2D") if b"-" in path else path + b"%20",
        path[:-1],
        path + b"s",
    ]
    assert {near_path for near_path in near if match(near_path) is not None} == set()


def test_nested_collections():
    found = match(b"/v2/lab-orders/a%20b/events")
    assert parts(found) == (EVENTS, None, b"a%20b")
    assert found is not None
    assert found.pattern == "/v2/lab-orders/{id}/events"


@pytest.mark.parametrize(
    "path",
    [
        b"/v2/lab-orders//events",
        b"/v2/lab-orders/a/events/",
        b"/v2/lab-orders/a/events/5",
        b"/v2/lab-orders/{id}/events/5",
        b"/v2/lab-orders/a/Events",
        b"/v2/lab-orders/a/b/events",
        b"/v2/appointments/a/events",
        b"/v2/a/events",
        b"",
        b"/",
        b"/v2",
        b"/v2/",
        b"//",
        b"/{id}/events",
        b"\xff",
    ],
)
def test_no_such_route(path):
    assert match(path) is None


def test_a_placeholder_in_a_path_is_a_key_like_any_other():
    assert parts(match(b"/v2/lab-orders/{id}/events")) == (EVENTS, None, b"{id}")


@given(
    st.lists(
        st.sampled_from([b"v2", b"lab-orders", b"events", b"partner", b"stock", b"{id}", b"", b"x"])
    )
)
@settings(deadline=None)
def test_a_match_writes_the_path_again(segments):
    path = b"/".join([b"", *segments])
    found = match(path)
    if found is None:
        return
    rebuilt = found.resource.collection_path.encode()
    if found.parent is not None:
        rebuilt = rebuilt.replace(b"{id}", found.parent)
    if found.item is not None:
        rebuilt += b"/" + found.item
    assert rebuilt == path


@pytest.mark.parametrize(
    "operation", [pytest.param(o, id=f"{o.method} {o.path}") for o in operations()]
)
def test_operations(operation):
    path = operation.pattern.replace("{id}", "a%20b").encode()
    found = match(path)
    assert found is not None
    assert found.operations is not None
    assert found.operations[operation.method] is operation
    assert found.entity == operation.entity
    assert found.pattern == operation.pattern
    assert found.item == (b"a%20b" if "{id}" in operation.path else None)
    assert found.parent is None
    assert match(path + b"/") is None


def test_the_methods_of_a_path_are_told_together():
    found = match(b"/v2/action-plans/a/content")
    assert found is not None
    assert found.operations is not None
    assert set(found.operations) == {"GET", "PUT"}
