"""A laboratory's message about one of its orders: who signed it, which order, where that leaves it, and its trail.

The event id is the idempotency key, of this vendor and route. A message about an order that is not here is not
remembered: it may have overtaken the write that gives the order its reference.
"""

import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from starlette.responses import Response

from routes.idempotency import fingerprinted
from routes.json_body import BodyRefused, canonical_json, read_object, write_json
from routes.key import Key
from routes.lifecycle import Fill, Lifecycle
from routes.operation import read_members
from routes.problem import FieldError
from routes.refused import InvalidBody, InvalidFields, NotFound, Unauthenticated
from routes.resource import Resource
from routes.written import Values
from runtime.repeats import Repeatable
from services.attempt import Attempt, respond, run
from services.body import JSON
from services.deps import Deps
from services.diagnostics.signature import HEADER, TOLERANCE_SECONDS, signer
from services.diagnostics.trail import IGNORED, LABORATORY, TOLD, Trail, last_told
from services.diagnostics.vendor import STATES, way_forward
from services.idempotency import Answer
from services.operations import Call
from services.reads import headers
from services.rules import NONE
from services.transaction import Transaction, system_author


@dataclass(frozen=True, kw_only=True)
class Update:
    """What a laboratory says. `members` are the message's own; `state` is ours for its word, `at` its instant."""

    vendor: str
    reference: str
    state: str
    at: datetime
    members: Values

    @property
    def told(self) -> Values:
        """What of it the order's row keeps."""
        found = {"vendor_status": self.members["status"]}
        for member, column in (("payload", "vendor_payload"), ("result_summary", "result_summary")):
            if member in self.members:
                found[column] = self.members[member]
        return found

    @property
    def named(self) -> Values:
        """By which the trail knows it."""
        return {"event_id": self.members["event_id"], "vendor_status": self.members["status"]}


async def vendor_update(call: Call, deps: Deps) -> Response:
    """200 with `applied` and the order's state. Raises Refused, and what `attempt.run` raises."""
    now = time.time()
    vendor = signer(headers(call.request, HEADER), call.raw, now, deps.vendors)
    update = read_update(call, vendor, now)
    attempt = replace(
        call.attempt,
        author=replace(system_author(LABORATORY), now=update.members["occurred_at"]),
        repeat=_repeat(call, update),
        forgotten=(NotFound,),
    )
    return respond(await run(attempt, partial(_apply, attempt, update, deps), deps))


def read_update(call: Call, vendor: str, now: float) -> Update:
    """The message of a vendor that has proved itself; `now` in unix seconds. Raises Unauthenticated, InvalidBody, InvalidFields."""
    try:
        given = read_object(call.raw)
    except BodyRefused as refused:
        raise InvalidBody(refused.code) from None
    if given.get("vendor") != vendor:
        raise Unauthenticated
    members = read_members(call.operation, given)
    at = datetime.fromisoformat(members["occurred_at"])
    errors = [
        FieldError(field=name, code="expected_a_value")
        for name in ("vendor_reference", "event_id")
        if not members[name]
    ]
    if members["status"] not in STATES:
        errors.append(FieldError(field="status", code="unknown_value"))
    if at.timestamp() > now + TOLERANCE_SECONDS:
        errors.append(FieldError(field="occurred_at", code="ahead_of_the_clock"))
    if errors:
        raise InvalidFields(errors)
    return Update(
        vendor=vendor,
        reference=members["vendor_reference"],
        state=STATES[members["status"]],
        at=at,
        members=members,
    )


def _repeat(call: Call, update: Update) -> Repeatable:
    return Repeatable(
        sub=f"vendor:{update.vendor}",
        route=f"{call.operation.method} {call.operation.pattern}",
        key=update.members["event_id"],
        fingerprint=fingerprinted(
            call.operation.method,
            call.operation.pattern.encode(),
            b"",
            canonical_json(update.members),
        ),
    )


async def _apply(attempt: Attempt, update: Update, deps: Deps, transaction: Transaction) -> Answer:
    resource, trail = attempt.resource, Trail(deps.ids)
    key, row = await _order(resource, update, transaction)
    (lifecycle,) = resource.lifecycles
    steps = way_forward(lifecycle.ways, row["status"], update.state)
    last = await last_told(transaction, row["id"])
    if steps is None or (not steps and last is not None and update.at < last):
        payload = {**update.named, **update.told}
        await trail.add(
            transaction, row["id"], IGNORED, before=row["status"], after=update.state,
            payload=payload,
        )  # fmt: skip
        return _answer(applied=False, status=row["status"])

    values = {**update.told, **_reached(lifecycle, row, steps, update)}
    rules = deps.rules.get(resource.entity, NONE)
    values = await rules.change(transaction, row, values)
    await transaction.update(resource, key, values)
    for before, after in zip((row["status"], *steps), steps, strict=False):
        await rules.written(
            transaction, resource, {**row, "status": before}, {**row, **values, "status": after}
        )
    await trail.add(
        transaction, row["id"], TOLD, before=row["status"], after=update.state, payload=update.named
    )
    return _answer(applied=True, status=update.state)


async def _order(
    resource: Resource, update: Update, transaction: Transaction
) -> tuple[Key, Values]:
    """The order under the vendor's own number, locked. Raises NotFound."""
    found = await transaction.connection.fetchval(
        "select id from diagnostics.lab_order where vendor = $1 and vendor_reference = $2",
        update.vendor,
        update.reference,
    )
    current = await transaction.locked(resource, (str(found),)) if found else None
    # Looked at again behind the lock: the number may have gone to another order meanwhile.
    if current is None or (current.row["vendor"], current.row["vendor_reference"]) != (
        update.vendor,
        update.reference,
    ):
        raise NotFound
    return (str(found),), current.row


def _reached(
    lifecycle: Lifecycle, row: Values, steps: tuple[str, ...], update: Update
) -> dict[str, Any]:
    """The last state, and the moments of all states gone through that the row does not know yet."""
    if not steps:
        return {}
    moments = [
        name for s in steps for name, f in lifecycle.fills.get(s, {}).items() if f is Fill.NOW
    ]
    at = update.members["occurred_at"]
    return {lifecycle.column: steps[-1], **{name: at for name in moments if row[name] is None}}


def _answer(*, applied: bool, status: str) -> Answer:
    body = write_json({"applied": applied, "status": status}).encode()
    return Answer(status=200, body=body, headers={"content-type": JSON})
