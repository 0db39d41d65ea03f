"""POST, PATCH and DELETE of rows in the OpenAPI description. Pure."""

from routes.example import example, example_new, example_patch
from routes.openapi_parts import JSON, Json, headers, parameters, ref, refusals, schema_name
from routes.resource import Resource

_MERGE_PATCH = "application/merge-patch+json"
UNCERTAIN = ("502", "503", "504")
"""What may happen to any write; `outcome` says what became of it."""


def list_writes(resource: Resource) -> Json:
    """By method, of a list's path."""
    create = resource.writes.create
    if create is None:
        return {}
    name = schema_name(resource)
    place = () if resource.nested else ("Location",)
    return {
        "post": {
            "operationId": f"create_{name}",
            "summary": f"A new row of: {resource.summary}",
            "tags": [resource.entity],
            "parameters": parameters("idempotency_required" if create.keyed else "idempotency"),
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {"schema": ref("schemas", f"New{name}"), "example": example_new(resource)}
                },
            },
            "responses": {
                "201": {**row_response(resource, *place), "description": "The new row."},
                **refusals("400", "401", "403", "409", "413", "415", "422", *UNCERTAIN),
            },
        }
    }


def item_writes(resource: Resource) -> Json:
    """By method, of an item's path."""
    found: Json = {}
    if resource.writes.change:
        found["patch"] = _patch(resource)
    if resource.writes.delete:
        found["delete"] = _delete(resource)
    return found


def row_response(resource: Resource, *more: str) -> Json:
    """A row as an answer, with further headers."""
    return {
        "description": "The row.",
        "headers": headers("X-Correlation-ID", "ETag", *more),
        "content": {
            JSON: {"schema": ref("schemas", schema_name(resource)), "example": example(resource)}
        },
    }


def _patch(resource: Resource) -> Json:
    name = schema_name(resource)
    body = {"schema": ref("schemas", f"{name}Patch"), "example": example_patch(resource)}
    return {
        "operationId": f"change_{name}",
        "summary": f"Change one of: {resource.summary}",
        "tags": [resource.entity],
        "parameters": parameters("if_match", "idempotency"),
        "requestBody": {"required": True, "content": {_MERGE_PATCH: body, JSON: body}},
        "responses": {
            "200": {**row_response(resource), "description": "The row as it is now."},
            **refusals("400", "401", "403", "404", "409", "412", "413", "415", "422", *UNCERTAIN),
        },
    }


def _delete(resource: Resource) -> Json:
    return {
        "operationId": f"remove_{schema_name(resource)}",
        "summary": f"Remove one of: {resource.summary}",
        "tags": [resource.entity],
        "parameters": parameters("if_match", "idempotency"),
        "responses": {
            "204": {"description": "It is gone.", "headers": headers("X-Correlation-ID")},
            **refusals("400", "401", "403", "404", "409", "412", *UNCERTAIN),
        },
    }
