"""The control API's endpoints, each a few lines between a checked request and `Flags`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control_body import (
    LARGEST_BODY,
    AllowBody,
    ApprovalBody,
    BodyType,
    ChangeBody,
    OverrideBody,
    PanicBody,
    RampBody,
    UnsetBody,
    entity_named,
    parse,
    scope_to_change,
)
from gateway.control_edge import Operator
from gateway.control_flags import Flags, Made
from gateway.control_problem import BadBody, TooLarge
from gateway.control_view import entity_view, whole_view
from routes.problem import FieldError
from runtime.flagchange import percent
from runtime.flagset import Scope, scope_of
from runtime.flagsnapshot import FlagUser, Snapshot

MOST_HISTORY = 500
_EXPLAIN = frozenset({"user", "entity", "partition", "role", "partner", "cohort"})
_HISTORY = frozenset({"entity", "before", "limit"})


async def show_all(request: Request) -> Response:
    flags = _flags(request)
    snapshot = await flags.snapshot()
    return _json(whole_view(snapshot, kill_switch=flags.kill_switch), version=snapshot.version)


async def show_one(request: Request) -> Response:
    snapshot = await _flags(request).snapshot()
    decides = scope_of(entity_named(request.path_params["entity"])).entity
    view = {"version": snapshot.version, **entity_view(snapshot, decides)}
    return _json(view, version=snapshot.version)


async def ramp(request: Request) -> Response:
    return await _change(request, await _body(request, RampBody))


async def override(request: Request) -> Response:
    if request.method == "POST":
        return await _change(request, await _body(request, OverrideBody))
    return await _change(request, await _body(request, UnsetBody))


async def allow(request: Request) -> Response:
    return await _change(request, await _body(request, AllowBody))


async def _change(request: Request, body: ChangeBody) -> Response:
    operator, flags = _operator(request), _flags(request)
    operator.need("operator")
    _need_reason(flags, body.reason)
    scope = scope_to_change(request.path_params["entity"], body.partition)
    made = await flags.change(
        body.change(scope),
        who=operator.sub,
        reason=body.reason,
        approval_id=body.approval,
        if_version=_if_match(request),
    )
    return _json(_made_view(made, scope), version=made.changed.stored.version)


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
    operator, flags = _operator(request), _flags(request)
    operator.need("approver")
    body = await _body(request, ApprovalBody)
    scope = scope_to_change(body.entity, body.change.partition)
    approval = await flags.approve(body.change.change(scope), approver=operator.sub)
    shown = asdict(approval)
    return _json({"approval": shown.pop("id"), **shown}, status=201)


async def explain(request: Request) -> Response:
    asked = _query(request, _EXPLAIN, repeated=frozenset({"cohort"}))
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
    snapshot = await _flags(request).snapshot()
    return _json(asdict(snapshot.explain(entity, user, partition or None)))


async def history(request: Request) -> Response:
    asked = _query(request, _HISTORY)
    entity = asked.get("entity")
    entries = await _flags(request).store.history(
        entity=scope_of(entity_named(entity)).entity if entity else None,
        before=_number(asked, "before"),
        limit=min(_number(asked, "limit") or 50, MOST_HISTORY),
    )
    return _json({"items": [asdict(entry) for entry in entries]})


async def panic(request: Request) -> Response:
    operator, flags = _operator(request), _flags(request)
    operator.need("operator", "approver")
    body = await _body(request, PanicBody)
    _need_reason(flags, body.reason)
    act = flags.panic if request.method == "POST" else flags.calm
    return _json(await act(who=operator.sub, reason=body.reason))


async def health(request: Request) -> Response:
    return _json({"status": "ok"})


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


def _flags(request: Request) -> Flags:
    flags: Flags = request.scope["banyan.flags"]
    return flags


def _operator(request: Request) -> Operator:
    operator: Operator = request.scope["banyan.operator"]
    return operator


async def _body(request: Request, model: type[BodyType]) -> BodyType:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY:
            raise TooLarge
    return parse(model, bytes(raw))


def _need_reason(flags: Flags, reason: str) -> None:
    if flags.rules.reason_required and not reason.strip():
        raise BadBody(FieldError(field="reason", code="missing"))


def _if_match(request: Request) -> int | None:
    """The version that the caller saw, from `If-Match: "<version>"`."""
    given = request.headers.get("if-match")
    if given is None or given == "*":
        return None
    text = given.strip().removeprefix('"').removesuffix('"')
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadBody(FieldError(field="If-Match", code="expected_a_version"))
    return int(text)


def _query(
    request: Request, known: frozenset[str], repeated: frozenset[str] = frozenset()
) -> Mapping[str, str]:
    """The query's parameters. Raises BadBody for one that is unknown or stands twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    wrong = {name: "unknown_parameter" for name in names if name not in known}
    wrong |= {n: "repeated" for n in names if names.count(n) > 1 and n not in repeated}
    if wrong:
        raise BadBody(*(FieldError(field=name[:64], code=code) for name, code in wrong.items()))
    return dict(request.query_params)


def _number(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 19):
        raise BadBody(FieldError(field=name, code="expected_integer"))
    return int(text)


def _json(body: Any, *, status: int = 200, version: int | None = None) -> Response:
    headers = {} if version is None else {"etag": f'"{version}"'}
    return Response(
        orjson.dumps(body, default=_plain),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
