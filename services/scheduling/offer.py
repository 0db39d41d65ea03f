"""`GET /v2/appointments/slots`: free times of a clinician, for whoever is signed in."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.responses import Response

from routes.refused import InvalidQuery
from services.body import JSON
from services.deps import Deps
from services.operations import Call
from services.scheduling.calendar import read_calendar
from services.scheduling.slots import Interval, Slot, free_slots
from services.snapshot import snapshot

LONGEST = timedelta(days=31)
MOST_SLOTS = 500
DEFAULT_MINUTES = 30
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Between these no time zone runs out of a calendar."""


async def slots(call: Call, deps: Deps) -> Response:
    """At most MOST_SLOTS, and in `next` the `from` by which a caller goes on. Raises InvalidQuery, and what `snapshot` raises."""
    asked = _asked(call.members)
    async with snapshot(deps.pool, deps.service, wait=deps.pool_wait) as view:
        calendar = await read_calendar(
            view, call.members["clinician_id"], asked, claims=call.attempt.author.claims
        )
    duration = timedelta(minutes=call.members.get("duration_minutes", DEFAULT_MINUTES))
    found = free_slots(calendar.spans, calendar.busy, asked, duration)
    next_ = found[MOST_SLOTS].starts_at if len(found) > MOST_SLOTS else None
    items = [_item(call.members["clinician_id"], slot) for slot in found[:MOST_SLOTS]]
    # With Z: a plus would be a blank in the query that it is meant for.
    page = {"items": items, "next": next_ and next_.isoformat().replace("+00:00", "Z")}
    return Response(msgspec.json.encode(page), media_type=JSON)


def _asked(members: Mapping[str, Any]) -> Interval:
    begin, end = (datetime.fromisoformat(members[name]) for name in ("from", "to"))
    if end <= begin:
        raise InvalidQuery("to", "not_behind_from")
    if end - begin > LONGEST:
        raise InvalidQuery("to", "more_than_31_days")
    if begin < _FIRST or end > _LAST:
        raise InvalidQuery("from", "too_far_away")
    return begin, end


def _item(clinician_id: str, slot: Slot) -> Mapping[str, str]:
    return {
        "clinician_id": clinician_id,
        "starts_at": slot.starts_at.isoformat(),
        "ends_at": slot.ends_at.isoformat(),
        "time_zone": slot.time_zone,
    }
