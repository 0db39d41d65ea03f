"""What many paths of the OpenAPI description share: parameters, headers, and the answers of refused requests. Pure."""

import json
from typing import Any

from routes.problem import MEDIA_TYPE, PROBLEMS, FieldError, problem_body
from routes.query import DEFAULT_LIMIT, MAX_LIMIT
from routes.resource import LONGEST_WAIT, Resource

Json = dict[str, Any]

JSON = "application/json"
_CORRELATION_ID = "0190b1a2-0000-7000-8000-000000000001"


def ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def schema_name(resource: Resource) -> str:
    """In the new model's words: `LabOrder`."""
    return "".join(part.title() for part in resource.asset.target.split("_"))


def parameters(*names: str) -> list[Json]:
    return [ref("parameters", name) for name in names]


def headers(*names: str) -> Json:
    return {name: ref("headers", name) for name in names}


def refusals(*statuses: str) -> Json:
    return {status: ref("responses", f"Problem{status}") for status in statuses}


_IDEMPOTENCY_KEY = '^".{1,255}"$'

PARAMETERS: Json = {
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
    "wait": {
        "name": "Prefer",
        "in": "header",
        "description": f"`wait=N` beside `If-None-Match` waits up to N seconds, {LONGEST_WAIT} at most, for another version.",
        "schema": {"type": "string"},
        "example": "wait=20",
    },
    "if_match": {
        "name": "If-Match",
        "in": "header",
        "description": "Only if the row is in the version that this entity tag names: else 412.",
        "schema": {"type": "string"},
    },
    "idempotency": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "One text in double quotes, the same for each repeat of one write, which makes a repeat harmless.",
        "schema": {"type": "string", "pattern": _IDEMPOTENCY_KEY},
        "example": '"4f6e0d1c-order-17"',
    },
    "idempotency_required": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "One text in double quotes, the same for each repeat of one write, which makes a repeat harmless.",
        "schema": {"type": "string", "pattern": _IDEMPOTENCY_KEY},
        "example": '"4f6e0d1c-order-17"',
    },
    "content_digest": {
        "name": "Content-Digest",
        "in": "header",
        "description": "SHA-256 of the body (RFC 9530); another body than that is refused.",
        "schema": {"type": "string"},
        "example": "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
    },
    "correlation": {
        "name": "X-Correlation-ID",
        "in": "header",
        "description": "Your id for this request. Another form is replaced by an id of ours.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$"},
    },
}

HEADERS: Json = {
    "X-Correlation-ID": {
        "description": "The id under which this request is found in every log.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Changes with every version of the row.",
        "schema": {"type": "string"},
        "example": '"1719835200123456.legacy"',
    },
    "Location": {
        "description": "The path of the new row.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which a repeat has a chance.",
        "schema": {"type": "integer"},
    },
    "Repr-Digest": {
        "description": "SHA-256 of the file (RFC 9530).",
        "schema": {"type": "string"},
    },
    "Content-Disposition": {
        "description": "Save it under this name.",
        "schema": {"type": "string"},
    },
    "Preference-Applied": {
        "description": "The wish that was fulfilled.",
        "schema": {"type": "string"},
    },
}


_EXAMPLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "400": ("invalid_query", ()),
    "401": ("unauthenticated", ()),
    "403": ("forbidden", ()),
    "404": ("not_found", ()),
    "409": ("conflict", ("Retry-After",)),
    "412": ("version_changed", ()),
    "413": ("too_large", ()),
    "415": ("wrong_content_type", ()),
    "422": ("invalid_fields", ()),
    "502": ("upstream_broke", ()),
    "503": ("upstream_unreachable", ("Retry-After",)),
    "504": ("upstream_timeout", ()),
}
"""By status: the code of its example, and headers that some of its codes have; the schema lists all codes."""

_ERRORS = {
    "409": (FieldError(field="vendor_reference", code="taken"),),
    "422": (FieldError(field="status", code="unknown_value"),),
}


def problem_responses() -> Json:
    return {
        f"Problem{status}": {
            "description": PROBLEMS[code].title,
            "headers": headers("X-Correlation-ID", *more),
            "content": {
                MEDIA_TYPE.decode(): {
                    "schema": ref("schemas", "Problem"),
                    "example": json.loads(
                        problem_body(code, _CORRELATION_ID, _ERRORS.get(status, ()))
                    ),
                }
            },
        }
        for status, (code, more) in _EXAMPLES.items()
    }


PROBLEM: Json = {
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
