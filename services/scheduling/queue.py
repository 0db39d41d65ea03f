"""The request queue: staff claim a request, and confirm it into an appointment or decline it.

Each works on the request's locked row, so of several answers at once one is given. A claim is no condition for an answer,
but somebody else's live one stands in its way.
"""

from datetime import timedelta
from functools import partial

import asyncpg
import msgspec
from starlette.responses import Response

from routes.appointments import RESOURCES
from routes.idempotency import row_id
from routes.key import Key
from routes.refused import Forbidden, IdempotencyMismatch, IllegalTransition
from routes.written import Values, created
from services.attempt import respond, run
from services.body import JSON
from services.deps import Deps
from services.idempotency import Answer
from services.lease import DEFAULT_SECONDS
from services.operations import Call
from services.rules import NONE
from services.scheduling.claims import check_free, drop, take
from services.transaction import Transaction
from services.write_errors import is_own_key, refusal
from services.write_sql import same_statement
from services.writes import known_subject, locked, row_answer, store, writer

(_APPOINTMENTS,) = RESOURCES


async def claim(call: Call, deps: Deps) -> Response:
    """For a while, or for longer; answers the lease. Raises Refused, and what `attempt.run` raises."""
    _check_staff(call)
    return respond(await run(call.attempt, partial(_claim, call), deps))


async def confirm(call: Call, deps: Deps) -> Response:
    """Makes the appointment and answers the request, which names it; both or none. Raises as `claim` does."""
    _check_staff(call)
    return respond(await run(call.attempt, partial(_confirm, call, deps), deps))


async def decline(call: Call, deps: Deps) -> Response:
    """Raises as `claim` does."""
    _check_staff(call)
    return respond(await run(call.attempt, partial(_decline, call, deps), deps))


def _check_staff(call: Call) -> None:
    """Row security would let a patient change a request of its own. Raises Forbidden."""
    if not call.attempt.author.staff:
        raise Forbidden


async def _claim(call: Call, transaction: Transaction) -> Answer:
    await _free(call, await locked(call.attempt.resource, _key(call), (), transaction), transaction)
    seconds = call.members.get("lease_seconds", DEFAULT_SECONDS)
    lease = await take(transaction, _key(call), timedelta(seconds=seconds))
    body = {
        "id": _key(call)[0],
        "claimed_by": lease.holder,
        "claimed_until": lease.until.isoformat(),
    }
    return Answer(status=200, body=msgspec.json.encode(body), headers={"content-type": JSON})


async def _decline(call: Call, deps: Deps, transaction: Transaction) -> Answer:
    row = await locked(call.attempt.resource, _key(call), (), transaction)
    await _free(call, row, transaction)
    await drop(transaction, _key(call))
    values: Values = {"status": "declined"}
    return await store(call.attempt.resource, _key(call), row, values, deps, transaction)


async def _confirm(call: Call, deps: Deps, transaction: Transaction) -> Answer:
    row = await locked(call.attempt.resource, _key(call), (), transaction)
    appointment = _appointment_id(call)
    if row["status"] == "confirmed" and row["appointment_id"] == appointment:
        return await _replayed(call, appointment, row, transaction)
    await _free(call, row, transaction)
    await _book(call, appointment, row, deps, transaction)
    await drop(transaction, _key(call))
    values: Values = {"status": "confirmed", "appointment_id": appointment}
    return await store(call.attempt.resource, _key(call), row, values, deps, transaction)


async def _free(call: Call, row: Values, transaction: Transaction) -> None:
    """Raises IllegalTransition for a request that has its answer, Claimed while somebody else works on it."""
    if row["status"] != "pending":
        ways = call.attempt.resource.lifecycles[0].ways
        raise IllegalTransition("status", ways[row["status"]])
    await check_free(transaction, _key(call))


async def _book(
    call: Call, appointment: str, row: Values, deps: Deps, transaction: Transaction
) -> None:
    # Not admitted by an epoch: the gateway's is that of the requests. A closed table refuses by its own trigger.
    values = created(
        _APPOINTMENTS, _asked(call, row), writer(call.attempt.author), (appointment,), None
    )
    await known_subject(_APPOINTMENTS, values, transaction)
    rules = deps.rules.get(_APPOINTMENTS.entity, NONE)
    values = await rules.create(transaction, values)
    try:
        async with transaction.connection.transaction():
            await transaction.insert(_APPOINTMENTS, values)
    except asyncpg.UniqueViolationError as error:
        if not is_own_key(_APPOINTMENTS, error):
            raise
        raise IdempotencyMismatch from None
    except asyncpg.PostgresError as error:
        refused = refusal(_APPOINTMENTS, error)
        if refused is None:
            raise
        raise refused from None
    await rules.written(transaction, _APPOINTMENTS, None, values)


async def _replayed(call: Call, appointment: str, row: Values, transaction: Transaction) -> Answer:
    """The record of the first attempt is lost, its rows are not: the same appointment is the same request."""
    statement = same_statement(_APPOINTMENTS, (appointment,), _asked(call, row))
    if not await transaction.connection.fetchval(statement.text, *statement.values):
        raise IdempotencyMismatch
    stored = await transaction.read(call.attempt.resource, _key(call))
    return row_answer(call.attempt.resource, stored, status=200)


def _asked(call: Call, row: Values) -> Values:
    return {**call.members, "submission_id": row["submission_id"]}


def _appointment_id(call: Call) -> str:
    """Known before anything is written, as for any new row (data-rules section 4)."""
    repeat = call.attempt.repeat
    assert repeat is not None  # noqa: S101 - the operation requires a key
    return str(row_id(_APPOINTMENTS.entity, call.attempt.author.sub, repeat.key))


def _key(call: Call) -> Key:
    assert call.key is not None  # noqa: S101 - the paths of these operations have one
    return call.key
