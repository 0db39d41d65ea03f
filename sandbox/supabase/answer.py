"""From the row that PostgreSQL gave to the HTTP answer: status, Content-Range, Location, Preference-Applied. Pure.

Stand-in, not PostgREST, never for production.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never
from urllib.parse import quote

import orjson
from starlette.responses import Response

from sandbox.supabase.errors import RestError
from sandbox.supabase.plan import Call, Plan


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one statement answered. `body` is ready to send."""

    body: bytes
    rows: int
    total: int | None = None
    location: str | None = None
    updated: int = 0
    response_headers: str | None = None
    response_status: str | None = None


def check(call: Call, plan: Plan, outcome: Outcome) -> None:
    """Raises what must roll the transaction back: not exactly one row, too many rows, a PUT beside its key."""
    if plan.kind == "put":
        if outcome.rows != 1:
            raise RestError("PGRST115", "Payload values do not match URL in primary key column(s)")
    elif call.media.single and outcome.rows != 1:
        raise RestError(
            "PGRST116",
            "Cannot coerce the result to a single JSON object",
            details=f"The result contains {outcome.rows} rows",
        )
    limit = call.prefer.max_affected
    counted = plan.kind in ("update", "delete", "call") and call.prefer.strict
    if counted and limit is not None and outcome.rows > limit:
        raise RestError(
            "PGRST124",
            "Query result exceeds max-affected preference constraint",
            details=f"The query affects {outcome.rows} rows",
        )


def respond(call: Call, plan: Plan, outcome: Outcome) -> Response:
    """The whole answer."""
    status, headers, body = _by_kind(call, plan, outcome)
    applied = call.prefer.applied(plan.kind)
    if plan.kind == "insert" and not plan.resolves:
        applied = ", ".join(
            part for part in applied.split(", ") if part and not part.startswith("resolution=")
        )
    if applied:
        headers["Preference-Applied"] = applied
    status = _overridden(outcome, status, headers)
    response = Response(body, status_code=status, headers=headers)
    if call.head or status == 204:
        del response.headers["content-length"]
    return response


def _by_kind(call: Call, plan: Plan, outcome: Outcome) -> tuple[int, dict[str, str], bytes]:
    match plan.kind:
        case "read" | "call":
            return _read(call, plan, outcome)
        case "insert":
            return _insert(call, plan, outcome)
        case "update":
            return _written(call, plan, outcome, lower=0, upper=outcome.rows - 1)
        case "delete":
            return _written(call, plan, outcome, lower=1, upper=0)
        case "put":
            return _put(call, plan, outcome)
        case _:
            assert_never(plan.kind)


def content_range(lower: int, upper: int, total: int | None) -> str:
    """`0-9/57`; the rows are `*` when there are none, the total when it is not known."""
    rows = f"{lower}-{upper}" if lower <= upper and total != 0 else "*"
    return f"{rows}/{'*' if total is None else total}"


def _read(call: Call, plan: Plan, outcome: Outcome) -> tuple[int, dict[str, str], bytes]:
    lower, total = plan.window.lower, outcome.total
    headers = {"Content-Range": content_range(lower, lower + outcome.rows - 1, total)}
    if plan.function is not None and plan.function.returns_void:
        return 204, headers, b""
    status = 200
    if total is not None:
        status = 416 if lower > total else 206 if outcome.rows < total else 200
    body = outcome.body
    if status == 416:
        body = RestError(
            "PGRST103",
            "Requested range not satisfiable",
            details=f"An offset of {lower} was requested, but there are only {total} rows.",
        ).body()
    if plan.kind == "read":
        asked = f"?{plan.query.canonical}" if plan.query.canonical else ""
        headers["Content-Location"] = f"/{quote(plan.resource)}{asked}"
    headers |= _content(call, plan)
    return status, headers, b"" if call.head else body


def _insert(call: Call, plan: Plan, outcome: Outcome) -> tuple[int, dict[str, str], bytes]:
    merged = call.prefer.resolution == "merge-duplicates"
    status = 200 if merged and outcome.rows - outcome.updated <= 0 else 201
    headers = {"Content-Range": content_range(1, 0, _known_total(call, outcome))}
    if outcome.location is not None and outcome.rows == 1:
        headers["Location"] = f"/{quote(plan.resource)}{_key_filter(outcome.location)}"
    if call.prefer.returning == "representation":
        return status, headers | _content(call, plan), outcome.body
    return status, headers, b""


def _written(
    call: Call, plan: Plan, outcome: Outcome, *, lower: int, upper: int
) -> tuple[int, dict[str, str], bytes]:
    headers = {"Content-Range": content_range(lower, upper, _known_total(call, outcome))}
    if call.prefer.returning == "representation":
        return 200, headers | _content(call, plan), outcome.body
    return 204, headers, b""


def _put(call: Call, plan: Plan, outcome: Outcome) -> tuple[int, dict[str, str], bytes]:
    if call.prefer.returning == "representation":
        return 200 if outcome.updated else 201, _content(call, plan), outcome.body
    return 204, {}, b""


def _known_total(call: Call, outcome: Outcome) -> int | None:
    return outcome.rows if call.prefer.count in ("exact", "estimated") else None


def _content(call: Call, plan: Plan) -> dict[str, str]:
    return {"Content-Type": call.media.content_type, "Content-Profile": plan.schema}


def _key_filter(location: str) -> str:
    values: Mapping[str, str | None] = orjson.loads(location)
    terms = [
        f"{quote(name, safe='')}={'is.null' if value is None else 'eq.' + quote(value, safe='')}"
        for name, value in sorted(values.items())
    ]
    return "?" + "&".join(terms)


def _overridden(outcome: Outcome, status: int, headers: dict[str, str]) -> int:
    """`response.headers` and `response.status`, which SQL may have set."""
    if outcome.response_headers is not None:
        try:
            given: list[dict[str, Any]] = orjson.loads(outcome.response_headers)
            headers.update({name: str(value) for each in given for name, value in each.items()})
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            raise RestError(
                "PGRST111", "response.headers guc must be a JSON array of objects"
            ) from None
    if outcome.response_status is not None:
        if not outcome.response_status.isdecimal():
            raise RestError("PGRST112", "response.status guc must be a valid status code")
        return int(outcome.response_status)
    return status
