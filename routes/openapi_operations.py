"""Operations in the OpenAPI description: what is done beside reading and writing rows. Pure."""

from routes.example import example_answer, example_members
from routes.openapi_parts import JSON, Json, headers, parameters, refusals
from routes.openapi_reads import with_head
from routes.openapi_schemas import member_schema, members_schema
from routes.openapi_writes import UNCERTAIN, row_response
from routes.operation import LARGEST_STREAM, Body, Operation
from routes.resource import Resource

_BYTES = "application/octet-stream"
SIGNATURE: Json = {
    "type": "apiKey",
    "in": "header",
    "name": "X-Vendor-Signature",
    "description": "`t=<unix seconds>,v1=<hex of HMAC-SHA256 over t, a dot and the body>`, not older than five minutes.",
}


def operation_methods(operation: Operation, resource: Resource, gives: Resource | None) -> Json:
    """By method: an operation of `resource` that answers a row of `gives`, if it answers a row."""
    found: Json = {
        "operationId": _id(operation),
        "summary": operation.summary,
        "description": f"Only the new services can do this: users who are not at stage `{operation.since}` get 409 `not_available_at_stage`.",
        "tags": [resource.entity],
        "parameters": _parameters(operation),
        "responses": {"200": _answer(operation, gives), **_refusals(operation)},
    }
    if operation.body is not Body.NONE:
        found["requestBody"] = _body(operation)
    if operation.signed:
        found["security"] = [{"signature": []}]
    if operation.method == "GET":
        return with_head(found)
    return {operation.method.lower(): found}


def _id(operation: Operation) -> str:
    words = operation.path.replace("{id}", "one").replace("-", "_").strip("/").split("/")
    return "_".join((operation.method.lower(), *words))


def _parameters(operation: Operation) -> list[Json]:
    if operation.method == "GET":
        asked = [
            {"name": name, "in": "query", "required": one.required, "schema": member_schema(one)}
            for name, one in operation.members.items()
        ]
        stream = operation.answers is Body.STREAM
        return [*asked, *(parameters("if_none_match") if stream else [])]
    if operation.body is Body.STREAM:
        return parameters("if_match", "content_digest")
    if operation.signed:
        return []
    return parameters("idempotency_required" if operation.keyed else "idempotency")


def _body(operation: Operation) -> Json:
    if operation.body is Body.STREAM:
        schema: Json = {"type": "string", "format": "binary", "maxLength": LARGEST_STREAM}
        return {"required": True, "content": {"*/*": {"schema": schema}}}
    schema = members_schema(operation.members.items())
    body = {"schema": schema, "example": example_members(operation.members)}
    return {"required": True, "content": {JSON: body}}


def _answer(operation: Operation, gives: Resource | None) -> Json:
    if operation.answers is Body.STREAM:
        return {
            "description": "The file, under its own media type.",
            "headers": headers("X-Correlation-ID", "ETag", "Repr-Digest", "Content-Disposition"),
            "content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}},
        }
    if gives is not None:
        return row_response(gives)
    schema: Json = (
        members_schema(operation.answer.items()) if operation.answer else {"type": "object"}
    )
    return {
        "description": "Done.",
        "headers": headers("X-Correlation-ID"),
        "content": {JSON: {"schema": schema, "example": example_answer(operation)}},
    }


def _refusals(operation: Operation) -> Json:
    found = ["400", "401", "409"]
    if not operation.signed:
        found.append("403")
    if "{id}" in operation.path or operation.signed:
        found.append("404")
    if operation.method != "GET":
        found += ["413", "415", "422"]
    if operation.body is Body.STREAM:
        found.append("412")
    return refusals(*sorted(found), *UNCERTAIN)
