"""The OpenAPI 3.1 description of what /v2 exposes, made from the routes and the catalog. Pure.

Gateway and services answer with it: the gateway for every resource, a service for its own.
"""

import json
from collections.abc import Sequence

from routes import operations
from routes import resources as all_resources
from routes.openapi_operations import SIGNATURE, operation_methods
from routes.openapi_parts import HEADERS, PARAMETERS, Json, parameters, problem_responses
from routes.openapi_reads import item_reads, key_parameter, list_reads, parent_parameter
from routes.openapi_schemas import schemas
from routes.openapi_writes import item_writes, list_writes
from routes.operation import Body, Operation
from routes.resource import Resource

API_VERSION = "2.0.0"


def document(resources: Sequence[Resource], *, title: str = "Banyan") -> bytes:
    """The whole document, as it is served."""
    return json.dumps(describe(resources, title=title), separators=(",", ":")).encode()


def describe(resources: Sequence[Resource], *, title: str) -> Json:
    """The whole document as a Python object: of these resources, and what is done to them."""
    paths: Json = {}
    for resource in resources:
        paths |= _row_paths(resource)
        paths |= _operation_paths(resource)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": API_VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": r.entity, "description": r.summary} for r in resources],
        "paths": paths,
        "components": {
            "schemas": schemas(resources),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": problem_responses(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The user's own access token of the project's issuer.",
                },
                "signature": SIGNATURE,
            },
        },
    }


_DESCRIPTION = (
    "A list is `{items, next}`; send `next` back as `cursor` to go on, until it is null. Whatever is not understood"
    " is refused and named. Examples hold synthetic data."
)


def _row_paths(resource: Resource) -> Json:
    found: Json = {
        resource.collection_path: {
            "parameters": [*parent_parameter(resource), *parameters("correlation")],
            **list_reads(resource),
            **list_writes(resource),
        }
    }
    if not resource.nested:
        found[f"{resource.collection_path}/{{key}}"] = {
            "parameters": [key_parameter(resource, "key"), *parameters("correlation")],
            **item_reads(resource),
            **item_writes(resource),
        }
    return found


def _operation_paths(resource: Resource) -> Json:
    """An entity's operations go with the resource that has its items."""
    found: Json = {}
    for operation in operations():
        if operation.entity != resource.entity or resource.nested:
            continue
        key = [key_parameter(resource, "id")] if "{id}" in operation.path else []
        path = found.setdefault(
            operation.pattern, {"parameters": [*key, *parameters("correlation")]}
        )
        path |= operation_methods(operation, resource, _given(operation, resource))
    return found


def _given(operation: Operation, resource: Resource) -> Resource | None:
    """Whose row is the answer."""
    if operation.answers is not Body.JSON or operation.answer:
        return None
    if operation.gives:
        return next(one for one in all_resources() if one.entity == operation.gives)
    return resource if "{id}" in operation.path or operation.body is Body.STREAM else None
