"""The control API's view of the audit chains: what was done here and past it, by whom and why."""

from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control_exchange import MOST_LISTED, answer, number_of, query_of
from gateway.control_problem import BadBody
from routes.problem import FieldError
from runtime.auditrecord import Record
from runtime.audittrail import AuditTrail

_KNOWN = frozenset({"writer", "before", "limit"})


async def listed(request: Request) -> Response:
    asked = query_of(request, _KNOWN)
    trail: AuditTrail = request.scope["banyan.audit"]
    before, limit = number_of(asked, "before"), min(number_of(asked, "limit") or 50, MOST_LISTED)
    if "writer" in asked:
        records = await trail.page(asked["writer"], before=before, limit=limit)
    elif before is not None:
        # Each chain counts for itself.
        raise BadBody(FieldError(field="before", code="needs_writer"))
    else:
        records = await trail.newest(limit=limit)
    return answer({"items": [_shown(record) for record in records]})


def _shown(record: Record) -> dict[str, Any]:
    shown = asdict(record)
    hashes = {"previous": record.previous.hex(), "hash": record.hash.hex()}
    return {**shown, "at": f"{record.at}Z", "subject": orjson.loads(record.subject), **hashes}


ROUTES = (Route("/audit", listed),)
