"""The control API's view of the audit chain: what was done here, by whom and why."""

from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control_exchange import MOST_LISTED, answer, number_of, query_of
from runtime.auditrecord import Record
from runtime.audittrail import AuditTrail

_WRITER = "control"
_KNOWN = frozenset({"before", "limit"})


async def listed(request: Request) -> Response:
    asked = query_of(request, _KNOWN)
    trail: AuditTrail = request.scope["banyan.audit"]
    records = await trail.page(
        _WRITER,
        before=number_of(asked, "before"),
        limit=min(number_of(asked, "limit") or 50, MOST_LISTED),
    )
    return answer({"items": [_shown(record) for record in records]})


def _shown(record: Record) -> dict[str, Any]:
    shown = asdict(record)
    hashes = {"previous": record.previous.hex(), "hash": record.hash.hex()}
    return {**shown, "at": f"{record.at}Z", "subject": orjson.loads(record.subject), **hashes}


ROUTES = (Route("/audit", listed),)
