"""The control API's endpoints for alerts: what has to be looked at, and who is on it."""

from dataclasses import asdict

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control_body import ReasonBody
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
from gateway.control_problem import BadBody, NotForYou
from routes.problem import FieldError
from runtime.alertdesk import AlertDesk
from runtime.alerts import Alerts

_KNOWN = frozenset({"resolved", "before", "limit"})
_BOOLEANS = {"true": True, "false": False}


class NothingBody(BaseModel):
    """No body, or an empty one."""

    model_config = ConfigDict(extra="forbid", strict=True)


async def listed(request: Request) -> Response:
    asked = query_of(request, _KNOWN)
    resolved = _BOOLEANS.get(asked.get("resolved", "false"))
    if resolved is None:
        raise BadBody(FieldError(field="resolved", code="expected_boolean"))
    alerts = await _alerts(request).page(
        resolved=resolved,
        before=number_of(asked, "before"),
        limit=min(number_of(asked, "limit") or 50, MOST_LISTED),
    )
    return answer({"items": [asdict(alert) for alert in alerts]})


async def acknowledge(request: Request) -> Response:
    operator = operator_of(request)
    operator.need("operator", "approver")
    await body_of(request, NothingBody)
    alert = await _desk(request).acknowledge(request.path_params["id"], by=operator.sub)
    if alert is None:
        raise NotForYou
    return answer({"alert": asdict(alert)})


async def resolve(request: Request) -> Response:
    operator = operator_of(request)
    operator.need("operator", "approver")
    body = await body_of(request, ReasonBody)
    need_reason(flags_of(request), body.reason)
    alert = await _desk(request).resolve(
        request.path_params["id"], by=operator.sub, reason=body.reason
    )
    if alert is None:
        raise NotForYou
    return answer({"alert": asdict(alert)})


def _alerts(request: Request) -> Alerts:
    alerts: Alerts = request.scope["banyan.alerts"]
    return alerts


def _desk(request: Request) -> AlertDesk:
    desk: AlertDesk = request.scope["banyan.desk"]
    return desk


ROUTES = (
    Route("/alerts", listed),
    Route("/alerts/{id:int}/acknowledge", acknowledge, methods=["POST"]),
    Route("/alerts/{id:int}/resolve", resolve, methods=["POST"]),
)
