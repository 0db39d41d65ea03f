"""The label queue: a printer claims a label, prints it, and says how that went.

A claim is a lease in the label's own row, under the row's lock, so no two printers have one label at a time. The lease
ends when a printer dies; then the label is printed by another one, and only the one that has it now may say it is done.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from starlette.responses import Response

from routes.key import Key
from routes.refused import IllegalTransition, NotClaimed
from routes.written import Values
from services.attempt import respond, run
from services.deps import Deps
from services.idempotency import Answer
from services.lease import DEFAULT_SECONDS, Lease
from services.operations import Call
from services.transaction import Transaction
from services.writes import locked, row_answer, store

MOST_ATTEMPTS = 5
"""A label that failed so often waits for a person."""


async def claim(call: Call, deps: Deps) -> Response:
    """A queued label, one that a dead printer left, or one's own for longer. Raises Refused, and what `attempt.run` raises."""
    return respond(await run(call.attempt, partial(_claim, call, deps), deps))


async def printed(call: Call, deps: Deps) -> Response:
    """By the claimer alone; said again, the same answer. Raises as `claim` does."""
    return respond(await run(call.attempt, partial(_printed, call, deps), deps))


async def failed(call: Call, deps: Deps) -> Response:
    """By the claimer alone: back to the queue, or to a person. Raises as `claim` does."""
    return respond(await run(call.attempt, partial(_failed, call, deps), deps))


async def _claim(call: Call, deps: Deps, transaction: Transaction) -> Answer:
    row = await locked(call.attempt.resource, _key(call), (), transaction)
    printer, now = call.members["printer"], await transaction.clock()
    lease = _lease(row)
    if row["status"] == "printing" and lease is not None:
        lease.check(printer, now)
    elif row["status"] != "queued":
        # Printing without an end was begun on legacy: a person puts it back, or it might be printed twice.
        raise IllegalTransition("status", _ways(call, row))
    renewed = lease is not None and lease.holder == printer and lease.until > now
    seconds = call.members.get("lease_seconds", DEFAULT_SECONDS)
    values: Values = {
        "status": "printing",
        "attempts": row["attempts"] + (0 if renewed else 1),
        "claimed_by": printer,
        "claimed_until": (now + timedelta(seconds=seconds)).isoformat(),
    }
    return await store(call.attempt.resource, _key(call), row, values, deps, transaction)


async def _printed(call: Call, deps: Deps, transaction: Transaction) -> Answer:
    row = await locked(call.attempt.resource, _key(call), (), transaction)
    printer, now = call.members["printer"], await transaction.clock()
    if row["status"] == "printed" and row["claimed_by"] == printer:
        stored = await transaction.read(call.attempt.resource, _key(call))
        return row_answer(call.attempt.resource, stored, status=200)
    _check_claim(call, row, now)
    values: Values = {"status": "printed", "claimed_until": None, "printed_at": now.isoformat()}
    return await store(call.attempt.resource, _key(call), row, values, deps, transaction)


async def _failed(call: Call, deps: Deps, transaction: Transaction) -> Answer:
    row = await locked(call.attempt.resource, _key(call), (), transaction)
    _check_claim(call, row, await transaction.clock())
    again = call.members.get("retry", True) and row["attempts"] < MOST_ATTEMPTS
    values: Values = {
        "status": "queued" if again else "failed",
        "claimed_by": None,
        "claimed_until": None,
        "last_error": call.members["error"],
    }
    return await store(call.attempt.resource, _key(call), row, values, deps, transaction)


def _check_claim(call: Call, row: Values, now: datetime) -> None:
    """Raises Claimed, NotClaimed, IllegalTransition."""
    if row["status"] == "queued":
        raise NotClaimed
    if row["status"] != "printing":
        raise IllegalTransition("status", _ways(call, row))
    if row["claimed_by"] != call.members["printer"]:
        lease = _lease(row)
        if lease is not None:
            lease.check(call.members["printer"], now)
        raise NotClaimed


def _ways(call: Call, row: Values) -> Sequence[str]:
    return call.attempt.resource.lifecycles[0].ways[row["status"]]


def _lease(row: Values) -> Lease | None:
    if row["claimed_by"] is None or row["claimed_until"] is None:
        return None
    return Lease(
        holder=row["claimed_by"],
        until=datetime.fromisoformat(row["claimed_until"]),
    )


def _key(call: Call) -> Key:
    assert call.key is not None  # noqa: S101 - the paths of these operations have one
    return call.key
