"""One attempt at a write: its transaction, its repeats, and what becomes of a refusal."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
from starlette.requests import Request
from starlette.responses import Response

from routes.problem import MEDIA_TYPE, PROBLEMS, problem_body
from routes.refused import (
    Claimed,
    Fenced,
    IdempotencyInFlight,
    IdempotencyMismatch,
    Malformed,
    Refused,
)
from routes.resource import Resource
from runtime.failpoint import reach
from runtime.repeats import Repeatable
from services.deps import Deps
from services.errors import Busy
from services.idempotency import Answer
from services.transaction import Author, Transaction, writing
from services.write_errors import refusal

EPOCH_HEADER = "x-banyan-epoch"
_ATTEMPTS = 3
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_TRANSIENT = (Claimed, Fenced, IdempotencyInFlight, IdempotencyMismatch)
"""Refusals that say nothing about the write itself, so a repeat is a new attempt."""

Work = Callable[[Transaction], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Who writes what, as far as every write is alike. `repeat` is None for a request without an idempotency key.

    `forgotten`: refusals that are not remembered for its repeats, because what they say may soon be otherwise.
    """

    resource: Resource
    author: Author
    correlation_id: str
    epoch: int | None
    repeat: Repeatable | None
    forgotten: tuple[type[Refused], ...] = ()


async def run(attempt: Attempt, work: Work, deps: Deps) -> Answer:
    """The answer of `work`, or of the first request with this key. Raises Refused, Busy, OutcomeUnknown."""
    for _ in range(_ATTEMPTS):
        try:
            answer = await _once(attempt, work, deps)
        except _AGAIN:
            continue
        reach("W3")
        return answer
    raise Busy


async def _once(attempt: Attempt, work: Work, deps: Deps) -> Answer:
    reach("W1")
    async with writing(
        deps.pool,
        deps.service,
        attempt.author,
        attempt.correlation_id,
        wait=deps.pool_wait,
        deadline=deps.write_deadline,
    ) as transaction:
        if attempt.repeat is not None:
            earlier = await deps.idempotency.earlier(transaction, attempt.repeat)
            if earlier is not None:
                return earlier
        try:
            answer = await _work(attempt, work, transaction)
        except Refused as refused:
            if attempt.repeat is None or isinstance(refused, (*_TRANSIENT, *attempt.forgotten)):
                raise
            answer = problem(refused, attempt.correlation_id)
        if attempt.repeat is not None:
            await deps.idempotency.remember(transaction, attempt.repeat, answer)
        reach("W2")
        return answer


async def _work(attempt: Attempt, work: Work, transaction: Transaction) -> Answer:
    """In a savepoint, so that a refusal leaves nothing of the work and the record of it can still commit."""
    try:
        async with transaction.connection.transaction():
            await transaction.admit(attempt.resource.entity, attempt.epoch)
            answer = await work(transaction)
            await transaction.check_constraints()
            return answer
    except asyncpg.PostgresError as error:
        refused = refusal(attempt.resource, error)
        if refused is None:
            raise
        raise refused from None


def problem(refused: Refused, correlation_id: str) -> Answer:
    """A refusal as an answer that can be kept."""
    body = problem_body(refused.code, correlation_id, refused.errors, legal=refused.legal)
    return Answer(
        status=PROBLEMS[refused.code].status,
        body=body,
        headers={"content-type": MEDIA_TYPE.decode()},
    )


def respond(answer: Answer) -> Response:
    return Response(answer.body, status_code=answer.status, headers=answer.headers)


def epoch_of(request: Request) -> int | None:
    """The gateway's fencing number for the entity (data-rules section 7). Raises Malformed."""
    given = request.headers.get(EPOCH_HEADER)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise Malformed
    return int(given)
