"""The way of a /v2 write through a service: who asks, what the body means, one transaction, the row."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
from starlette.requests import Request
from starlette.responses import Response

from catalog.asset import Asset
from catalog.column import Type
from routes.asked import asked_key, asked_parent
from routes.etag import etag, strongly_matches
from routes.idempotency import fingerprinted, read_idempotency_key, row_id
from routes.json_body import canonical_json
from routes.key import Key, write_key
from routes.match import Match
from routes.problem import FieldError
from routes.refused import (
    Forbidden,
    IdempotencyKeyMissing,
    IdempotencyMismatch,
    IllegalTransition,
    InvalidFields,
    InvalidQuery,
    MethodNotAllowed,
    NotFound,
    VersionChanged,
)
from routes.resource import Resource
from routes.written import Values, Writer, changed, created
from runtime.correlation import uuid7
from runtime.identity import Identity
from runtime.repeats import Repeatable
from services.attempt import Attempt, epoch_of, respond, run
from services.body import JSON, MERGE_PATCH, read_json
from services.deps import Deps
from services.idempotency import Answer
from services.identify import identify
from services.reads import headers
from services.rules import NONE
from services.transaction import Author, Stored, Transaction, author_of
from services.write_errors import is_own_key
from services.write_sql import same_statement

_METHODS = ("POST", "PATCH", "DELETE")


async def write(request: Request, found: Match, deps: Deps) -> Response:
    """POST on a collection, PATCH or DELETE on an item. Raises Refused, and what `attempt.run` and `identify` raise."""
    resource = found.resource
    if request.method not in allowed(found):
        raise MethodNotAllowed(", ".join(("GET", "HEAD", *allowed(found))))
    caller = await identify(request, deps.verifier)
    if request.scope["query_string"]:
        raise InvalidQuery("query", "a_write_takes_none")
    body: dict[str, Any] = {}
    if request.method != "DELETE":
        body = await read_json(request, *([MERGE_PATCH] if request.method == "PATCH" else []))
    attempt = Attempt(
        resource=resource,
        author=author_of(caller),
        correlation_id=request.state.correlation_id,
        epoch=epoch_of(request),
        repeat=repeatable(request, found, caller, body),
        forgotten=(NotFound,),  # the row may be on its way from legacy
    )
    match request.method:
        case "POST":
            work = await _creating(attempt, found, body, deps)
        case "PATCH":
            if_match = headers(request, b"if-match")
            work = partial(_change, attempt, asked_key(found), body, if_match, deps)
        case _:
            if_match = headers(request, b"if-match")
            work = partial(_remove, attempt, asked_key(found), if_match, deps)
    return respond(await run(attempt, work, deps))


def allowed(found: Match) -> Sequence[str]:
    """The writing methods of a path."""
    methods = found.resource.writes.methods
    on_item = {"PATCH", "DELETE"}
    return [m for m in _METHODS if m in methods and (m in on_item) == (found.item is not None)]


def repeatable(
    request: Request, found: Match, caller: Identity, body: dict[str, Any]
) -> Repeatable | None:
    """None without an idempotency key. Raises IdempotencyKeyInvalid, IdempotencyKeyMissing."""
    create = found.resource.writes.create
    keyed = request.method == "POST" and create is not None and create.keyed
    key = idempotency_key(request, required=keyed)
    if key is None:
        return None
    return Repeatable(
        sub=caller.sub,
        route=f"{request.method} {found.pattern}",
        key=key,
        fingerprint=fingerprinted(
            request.method,
            request.scope["raw_path"],
            request.scope["query_string"],
            canonical_json(body),
        ),
    )


def writer(author: Author) -> Writer:
    return Writer(
        sub=author.sub,
        partner_id=author.partner_id,
        staff=author.staff,
        now=author.now,
    )


def idempotency_key(request: Request, *, required: bool) -> str | None:
    """Raises IdempotencyKeyInvalid, and IdempotencyKeyMissing where it is required."""
    key = read_idempotency_key(headers(request, b"idempotency-key"))
    if key is None and required:
        raise IdempotencyKeyMissing
    return key


# --- create


@dataclass(frozen=True, kw_only=True)
class _New:
    """A row that is to be made. `derived`: its key follows from the request, so a row of that key may be this one."""

    values: Values
    asked: Values
    """What the body names."""
    derived: Key | None


async def _creating(
    attempt: Attempt, found: Match, body: dict[str, Any], deps: Deps
) -> partial[Any]:
    resource, asset = attempt.resource, attempt.resource.asset
    key = new_key(attempt)
    values = created(resource, body, writer(attempt.author), key, asked_parent(found))
    for name in asset.minted:
        values[name] = await deps.ids.take(asset.entity, name)
    derived = key if attempt.repeat is not None else None
    new = _New(values=values, asked={n: values[n] for n in body}, derived=derived)
    return partial(_create, attempt, new, deps)


def new_key(attempt: Attempt) -> Key | None:
    """Known before anything is written, where nobody numbers the row and it has no natural key."""
    asset = attempt.resource.asset
    if not _has_made_up_key(asset):
        return None
    if attempt.repeat is None:
        return (uuid7(),)
    return (str(row_id(asset.entity, attempt.author.sub, attempt.repeat.key)),)


def _has_made_up_key(asset: Asset) -> bool:
    return len(asset.key_columns) == 1 and asset.key_columns[0].type is Type.UUID


async def _create(attempt: Attempt, new: _New, deps: Deps, transaction: Transaction) -> Answer:
    resource = attempt.resource
    await known_subject(resource, new.values, transaction)
    rules = deps.rules.get(resource.entity, NONE)
    values = await rules.complete(transaction, new.values, new.asked)
    values = await rules.create(transaction, values)
    try:
        async with transaction.connection.transaction():
            stored = await transaction.insert(resource, values)
    except asyncpg.UniqueViolationError as error:
        if new.derived is None or not is_own_key(resource, error):
            raise
        return await _replayed(attempt, new, new.derived, transaction)
    await rules.written(transaction, resource, None, values)
    return row_answer(resource, stored, status=201)


async def _replayed(attempt: Attempt, new: _New, key: Key, transaction: Transaction) -> Answer:
    """The record of the first attempt is lost, its row is not: the same content is the same request."""
    resource = attempt.resource
    statement = same_statement(resource, key, new.asked)
    same = await transaction.connection.fetchval(statement.text, *statement.values)
    if not same:
        raise IdempotencyMismatch
    stored = await transaction.read(resource, key)
    return row_answer(resource, stored, status=201)


async def known_subject(resource: Resource, values: Values, transaction: Transaction) -> None:
    """What is written about a submission that is not here, or not yet, would hang in the air."""
    asset = resource.asset
    subject = values.get(asset.subject) if asset.subject not in ("", *asset.key) else None
    if subject is not None and not await transaction.knows_subject(subject):
        raise InvalidFields([FieldError(field=asset.subject, code="does_not_exist")])


# --- change and remove


async def _change(
    attempt: Attempt,
    key: Key,
    patch: dict[str, Any],
    if_match: Sequence[bytes],
    deps: Deps,
    transaction: Transaction,
) -> Answer:
    resource = attempt.resource
    row = await locked(resource, key, if_match, transaction)
    values = changed(resource, patch, row, writer(attempt.author))
    check_ways(resource, row, values)
    values = await deps.rules.get(resource.entity, NONE).change(transaction, row, values)
    return await store(resource, key, row, values, deps, transaction)


async def store(
    resource: Resource,
    key: Key,
    row: Values,
    values: Values,
    deps: Deps,
    transaction: Transaction,
) -> Answer:
    """New values of a locked row, with what its entity does behind a change; answers the row."""
    stored = await transaction.update(resource, key, values)
    rules = deps.rules.get(resource.entity, NONE)
    await rules.written(transaction, resource, row, {**row, **values})
    return row_answer(resource, stored, status=200)


async def _remove(
    attempt: Attempt,
    key: Key,
    if_match: Sequence[bytes],
    deps: Deps,
    transaction: Transaction,
) -> Answer:
    row = await locked(attempt.resource, key, if_match, transaction)
    await deps.rules.get(attempt.resource.entity, NONE).remove(transaction, row)
    if not await transaction.delete(attempt.resource, key):
        raise Forbidden
    return Answer(status=204, body=b"", headers={})


async def locked(
    resource: Resource, key: Key, if_match: Sequence[bytes], transaction: Transaction
) -> Values:
    """The row, which nobody else changes from here on. Raises NotFound, Forbidden, VersionChanged."""
    current = await transaction.locked(resource, key)
    if current is None:
        raise Forbidden if await transaction.sees(resource, key) else NotFound
    tag = etag(current.stamp, current.origin)
    if if_match and not strongly_matches(b",".join(if_match).decode("latin-1"), tag):
        raise VersionChanged
    return current.row


def check_ways(resource: Resource, row: Values, values: Values) -> None:
    """Raises IllegalTransition for a state to which no way leads."""
    for lifecycle in resource.lifecycles:
        before, after = row[lifecycle.column], values.get(lifecycle.column)
        if after is not None and not lifecycle.allows(before, after):
            raise IllegalTransition(lifecycle.column, lifecycle.ways[before])


# --- answers


def row_answer(resource: Resource, stored: Stored, *, status: int) -> Answer:
    found = {"content-type": JSON, "etag": etag(stored.stamp, stored.origin)}
    if status == 201 and not resource.nested:
        found["location"] = f"{resource.collection_path}/{write_key(stored.key)}"
    return Answer(status=status, body=stored.text.encode(), headers=found)
