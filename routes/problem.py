"""Error answers of /v2, the same from gateway and services: RFC 9457 problem details with fixed sentences (decisions.md 5).

Nothing of the request, of an upstream or of an exception is ever in one, but the names of refused query fields.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

MEDIA_TYPE = b"application/problem+json"
_TYPE = "urn:banyan:problem:"


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """One refused query parameter, path part or member: its name as the caller wrote it, and a stable word."""

    field: str
    code: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A kind of error: a stable word, its status, and what to do about it."""

    code: str
    status: int
    title: str
    detail: str


_PROBLEMS = (
    Problem(
        code="malformed",
        status=400,
        title="Malformed request",
        detail="The request is not valid HTTP for this interface.",
    ),
    Problem(
        code="invalid_query",
        status=400,
        title="Invalid query",
        detail="A query parameter is not understood; `errors` names it. Nothing is ignored.",
    ),
    Problem(
        code="invalid_key",
        status=400,
        title="Invalid key",
        detail="The key in the path has the wrong form; `errors` says which form is expected.",
    ),
    Problem(
        code="invalid_body",
        status=400,
        title="Invalid body",
        detail="The body is not a JSON object with one meaning; `errors` says why.",
    ),
    Problem(
        code="idempotency_key_missing",
        status=400,
        title="No idempotency key",
        detail='This route needs `Idempotency-Key: "<a text of your own>"`, the same for each repeat of one write.',
    ),
    Problem(
        code="idempotency_key_invalid",
        status=400,
        title="Invalid idempotency key",
        detail="`Idempotency-Key` is one text of 1 to 255 characters in double quotes (RFC 8941).",
    ),
    Problem(
        code="unauthenticated",
        status=401,
        title="Not signed in",
        detail="Send a valid access token: `Authorization: Bearer <token>`.",
    ),
    Problem(
        code="forbidden", status=403, title="Not allowed", detail="Your role does not allow this."
    ),
    Problem(
        code="not_found",
        status=404,
        title="Not found",
        detail="There is no such thing, or you may not see it.",
    ),
    Problem(
        code="file_not_here",
        status=404,
        title="No file yet",
        detail="The row is there, its file is not: it has not been put in place, or has not come over yet.",
    ),
    Problem(
        code="no_such_route",
        status=404,
        title="No such route",
        detail="/v2/openapi.json lists what is there; paths are exact.",
    ),
    Problem(
        code="method_not_allowed",
        status=405,
        title="Method not allowed",
        detail="`Allow` lists the methods of this route.",
    ),
    Problem(
        code="conflict",
        status=409,
        title="Conflict",
        detail="Another row is in the way; `errors` names the fields in which the two meet.",
    ),
    Problem(
        code="illegal_transition",
        status=409,
        title="Not from this state",
        detail="The row cannot go to that state from where it is; `legal` lists where it can go.",
    ),
    Problem(
        code="claimed",
        status=409,
        title="Somebody is at it",
        detail="Somebody else has claimed this. The claim ends in `Retry-After` seconds, if it is not renewed.",
    ),
    Problem(
        code="not_claimed",
        status=409,
        title="Not yours",
        detail="Whoever claims this first may do it. You have no claim, or somebody took it over when yours had ended.",
    ),
    Problem(
        code="idempotency_in_flight",
        status=409,
        title="Still running",
        detail="The first request with this idempotency key is not finished. Repeat it after `Retry-After` seconds.",
    ),
    Problem(
        code="not_available_at_stage",
        status=409,
        title="Not available yet",
        detail="Only the new service can do this, and you are not served by it yet.",
    ),
    Problem(
        code="authority_changed",
        status=409,
        title="Moved meanwhile",
        detail="These rows moved to the other side while you wrote; nothing was applied. Repeat the request.",
    ),
    Problem(
        code="not_here_yet",
        status=409,
        title="On its way",
        detail="The row has not come over to the side that takes your writes; nothing was applied. Repeat after `Retry-After` seconds.",
    ),
    Problem(
        code="version_changed",
        status=412,
        title="Changed meanwhile",
        detail="The row is not in the version that `If-Match` names. Read it again, and decide anew.",
    ),
    Problem(
        code="wrong_content_type",
        status=415,
        title="Unsupported media type",
        detail="Send `application/json`, or `application/merge-patch+json` with PATCH.",
    ),
    Problem(
        code="invalid_fields",
        status=422,
        title="Invalid fields",
        detail="Some members of the body are refused; `errors` names each. Nothing is ignored.",
    ),
    Problem(
        code="idempotency_mismatch",
        status=422,
        title="Another request",
        detail="This idempotency key belongs to another request. Use a new key for a new write.",
    ),
    Problem(
        code="wrong_host",
        status=421,
        title="Wrong host",
        detail="This server does not answer for that host.",
    ),
    Problem(
        code="request_timeout",
        status=408,
        title="Request too slow",
        detail="The request did not arrive in time. The connection is closed.",
    ),
    Problem(
        code="expectation_failed",
        status=417,
        title="Expectation failed",
        detail="Only `Expect: 100-continue` is understood.",
    ),
    Problem(
        code="unsupported_media",
        status=415,
        title="Unsupported body",
        detail="Send the body as it is, without a content coding.",
    ),
    Problem(
        code="rate_limited",
        status=429,
        title="Too many requests",
        detail="You have sent too many requests. Try again after `Retry-After` seconds.",
    ),
    Problem(
        code="not_implemented",
        status=501,
        title="Not implemented",
        detail="This server knows neither such a method nor such a transfer coding.",
    ),
    Problem(
        code="http_version",
        status=505,
        title="HTTP version not supported",
        detail="Speak HTTP/1.1.",
    ),
    Problem(
        code="too_large",
        status=413,
        title="Body too large",
        detail="The body is larger than this route takes.",
    ),
    Problem(
        code="uri_too_long",
        status=414,
        title="URI too long",
        detail="The path and query may have 8 KB together.",
    ),
    Problem(
        code="headers_too_large",
        status=431,
        title="Headers too large",
        detail="At most 100 header fields and 16 KB.",
    ),
    Problem(
        code="internal",
        status=500,
        title="Internal error",
        detail="Our mistake. The correlation id finds it in the logs.",
    ),
    Problem(
        code="upstream_broke",
        status=502,
        title="Bad answer from behind",
        detail="The answering system broke off or answered nonsense. Try again.",
    ),
    Problem(
        code="upstream_unreachable",
        status=503,
        title="Unavailable",
        detail="The answering system cannot be reached. Try again after `Retry-After` seconds.",
    ),
    Problem(
        code="upstream_busy",
        status=503,
        title="Busy",
        detail="Too many requests at once. Try again after `Retry-After` seconds.",
    ),
    Problem(
        code="overloaded",
        status=503,
        title="Overloaded",
        detail="Requests would wait too long here. Try again after `Retry-After` seconds.",
    ),
    Problem(
        code="storage_full",
        status=507,
        title="No space left",
        detail="The answering system cannot store anything more; nothing was applied.",
    ),
    Problem(
        code="not_announced",
        status=503,
        title="Unavailable",
        detail="The write cannot be announced to the other side, so it was not made. Try again after `Retry-After` seconds.",
    ),
    Problem(
        code="not_recorded",
        status=503,
        title="Unavailable",
        detail="The access cannot be recorded, so it is not given. Try again after `Retry-After` seconds.",
    ),
    Problem(
        code="stage_unknown",
        status=503,
        title="Unavailable",
        detail="It is not known where this is to be read. Try again after `Retry-After` seconds.",
    ),
    Problem(
        code="upstream_timeout",
        status=504,
        title="Too slow",
        detail="The answering system did not answer in time. Try again.",
    ),
)
PROBLEMS = {problem.code: problem for problem in _PROBLEMS}


def problem_body(
    code: str,
    correlation_id: str,
    errors: Sequence[FieldError] = (),
    *,
    legal: Sequence[str] | None = None,
    outcome: str = "",
) -> bytes:
    """The body of an error answer. KeyError for a code that is not in the table: a programming error.

    `legal`: states to which a row may go. `outcome`: what became of a write, `not_applied` or `unknown`.
    """
    problem = PROBLEMS[code]
    body: dict[str, object] = {
        "type": _TYPE + problem.code,
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "correlation_id": correlation_id,
    }
    if errors:
        body["errors"] = [{"field": error.field, "code": error.code} for error in errors]
    if legal is not None:
        body["legal"] = list(legal)
    if outcome:
        body["outcome"] = outcome
    return json.dumps(body, separators=(",", ":")).encode()
