"""The control API's endpoints, each a few lines between a checked request and `Flags`."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control_body import (
    AllowBody,
    ApprovalBody,
    ChangeBody,
    OverrideBody,
    PanicBody,
    RampBody,
    UnsetBody,
    entity_named,
    scope_to_change,
)
from gateway.control_exchange import (
    MOST_LISTED,
    answer,
    body_of,
    flags_of,
    need_reason,
    number_of,
    operator_of,
    query_of,
)
from gateway.control_flags import Made
from gateway.control_problem import BadBody
from gateway.control_view import entity_view, whole_view
from routes.problem import FieldError
from runtime.flagchange import percent
from runtime.flagset import Scope, scope_of
from runtime.flagsnapshot import FlagUser, Snapshot

_EXPLAIN = frozenset({"user", "entity", "partition", "role", "partner", "cohort"})
_HISTORY = frozenset({"entity", "before", "limit"})


async def show_all(request: Request) -> Response:
    flags = flags_of(request)
    snapshot = await flags.snapshot()
    return answer(whole_view(snapshot, kill_switch=flags.kill_switch), version=snapshot.version)


async def show_one(request: Request) -> Response:
    snapshot = await flags_of(request).snapshot()
    decides = scope_of(entity_named(request.path_params["entity"])).entity
    view = {"version": snapshot.version, **entity_view(snapshot, decides)}
    return answer(view, version=snapshot.version)


async def ramp(request: Request) -> Response:
    return await _change(request, await body_of(request, RampBody))


async def override(request: Request) -> Response:
    if request.method == "POST":
        return await _change(request, await body_of(request, OverrideBody))
    return await _change(request, await body_of(request, UnsetBody))


async def allow(request: Request) -> Response:
    return await _change(request, await body_of(request, AllowBody))


async def _change(request: Request, body: ChangeBody) -> Response:
    operator, flags = operator_of(request), flags_of(request)
    operator.need("operator")
    need_reason(flags, body.reason)
    scope = scope_to_change(request.path_params["entity"], body.partition)
    made = await flags.change(
        body.change(scope),
        who=operator.sub,
        reason=body.reason,
        approval_id=body.approval,
        if_version=_if_match(request),
    )
    return answer(_made_view(made, scope), version=made.changed.stored.version)


def _made_view(made: Made, scope: Scope) -> dict[str, Any]:
    stored, effect = made.changed.stored, made.effect
    snapshot = Snapshot(stored.flag_set, version=stored.version, store=stored.store)
    return {
        "version": stored.version,
        "changed": made.changed.changed,
        "published": made.changed.published,
        "down": list(effect.down),
        "points": percent(effect.tenths),
        "warnings": list(effect.warnings),
        "entity": entity_view(snapshot, scope.entity),
    }


async def approve(request: Request) -> Response:
    operator, flags = operator_of(request), flags_of(request)
    operator.need("approver")
    body = await body_of(request, ApprovalBody)
    scope = scope_to_change(body.entity, body.change.partition)
    approval = await flags.approve(body.change.change(scope), approver=operator.sub)
    shown = asdict(approval)
    return answer({"approval": shown.pop("id"), **shown}, status=201)


async def explain(request: Request) -> Response:
    asked = query_of(request, _EXPLAIN, repeated=frozenset({"cohort"}))
    missing = [name for name in ("user", "entity") if not asked.get(name)]
    if missing:
        raise BadBody(*(FieldError(field=name, code="missing") for name in missing))
    entity, partition = entity_named(asked["entity"]), asked.get("partition", "")
    scope_of(entity, partition)
    user = FlagUser(
        sub=asked["user"],
        role=asked.get("role", ""),
        partner_id=asked.get("partner", ""),
        cohorts=frozenset(request.query_params.getlist("cohort")),
    )
    snapshot = await flags_of(request).snapshot()
    return answer(asdict(snapshot.explain(entity, user, partition or None)))


async def history(request: Request) -> Response:
    asked = query_of(request, _HISTORY)
    entity = asked.get("entity")
    entries = await flags_of(request).store.history(
        entity=scope_of(entity_named(entity)).entity if entity else None,
        before=number_of(asked, "before"),
        limit=min(number_of(asked, "limit") or 50, MOST_LISTED),
    )
    return answer({"items": [asdict(entry) for entry in entries]})


async def panic(request: Request) -> Response:
    operator, flags = operator_of(request), flags_of(request)
    operator.need("operator", "approver")
    body = await body_of(request, PanicBody)
    need_reason(flags, body.reason)
    act = flags.panic if request.method == "POST" else flags.calm
    return answer(await act(who=operator.sub, reason=body.reason))


async def health(request: Request) -> Response:
    return answer({"status": "ok"})


ROUTES = (
    Route("/healthz", health),
    Route("/flags", show_all),
    Route("/flags/{entity}", show_one),
    Route("/flags/{entity}/ramp", ramp, methods=["POST"]),
    Route("/flags/{entity}/overrides", override, methods=["POST", "DELETE"]),
    Route("/entities/{entity}", allow, methods=["PUT"]),
    Route("/approvals", approve, methods=["POST"]),
    Route("/explain", explain),
    Route("/history", history),
    Route("/panic", panic, methods=["POST", "DELETE"]),
)


def _if_match(request: Request) -> int | None:
    """The version that the caller saw, from `If-Match: "<version>"`."""
    given = request.headers.get("if-match")
    if given is None or given == "*":
        return None
    text = given.strip().removeprefix('"').removesuffix('"')
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadBody(FieldError(field="If-Match", code="expected_a_version"))
    return int(text)
