"""The way of an operation through a service: which one, who asks, what is asked, and then the service's own handler.

A service's package holds them in `services/<name>/operations.py` as `OPERATIONS`, by method and path, as in
`POST /lab-orders/vendor-updates`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from catalog.service import Service
from routes.asked import asked_key
from routes.idempotency import fingerprinted
from routes.json_body import canonical_json
from routes.key import Key
from routes.match import Match
from routes.operation import Body, Operation, read_members
from routes.query import QueryError, pairs
from routes.refused import InvalidFields, InvalidQuery, MethodNotAllowed, NoSuchRoute
from runtime.repeats import Repeatable
from services.attempt import Attempt, epoch_of
from services.body import read_bytes, read_json
from services.deps import Deps
from services.identify import identify
from services.transaction import Author, author_of, system_author
from services.writes import idempotency_key


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request for an operation, checked as far as all are alike.

    `members` are those of the body or the query. `key` names the row of a path that has one; a streamed body is still to
    come from `request`. Of a signed request nothing is believed yet: `raw` is its whole body, there are no `members` and
    the author is nobody until the handler has looked at the signature.
    """

    operation: Operation
    request: Request
    members: Mapping[str, Any]
    raw: bytes
    key: Key | None
    attempt: Attempt


Handler = Callable[[Call, Deps], Awaitable[Response]]


@cache
def handlers(service: Service) -> Mapping[str, Handler]:
    """What a service's own package does; one without the module does nothing beside rows."""
    name = f"services.{service}.operations"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return {}
    found: Mapping[str, Handler] = module.OPERATIONS
    return found


async def operate(
    request: Request, found: Match, operations: Mapping[str, Operation], deps: Deps
) -> Response:
    """Raises Refused, and what handlers raise."""
    operation = operations.get("GET" if request.method == "HEAD" else request.method)
    if operation is None:
        raise MethodNotAllowed(", ".join(_methods(operations)))
    handler = handlers(deps.service).get(f"{operation.method} {operation.path}")
    if handler is None:
        raise NoSuchRoute
    author = await _author(request, operation, deps)
    members, raw = await _members(request, operation)
    attempt = Attempt(
        resource=found.resource,
        author=author,
        correlation_id=request.state.correlation_id,
        epoch=epoch_of(request),
        repeat=_repeatable(request, operation, author, members),
    )
    key = None if found.item is None else asked_key(found)
    call = Call(
        operation=operation, request=request, members=members, raw=raw, key=key, attempt=attempt
    )
    return await handler(call, deps)


def _methods(operations: Mapping[str, Operation]) -> list[str]:
    return [*sorted(operations), *(["HEAD"] if "GET" in operations else [])]


async def _author(request: Request, operation: Operation, deps: Deps) -> Author:
    if operation.signed:
        return system_author("unknown")
    return author_of(await identify(request, deps.verifier))


async def _members(request: Request, operation: Operation) -> tuple[Mapping[str, Any], bytes]:
    if operation.method == "GET":
        try:
            given = pairs(request.scope["query_string"])
        except QueryError as refused:
            raise InvalidQuery(refused.field, refused.code) from None
        if len(dict(given)) != len(given):
            raise InvalidQuery("query", "repeated")
        return _parameters(operation, dict(given)), b""
    if operation.signed:
        # Not even parsed: the handler looks at the signature first, and at these bytes.
        return {}, await read_bytes(request)
    if operation.body is Body.JSON:
        return read_members(operation, await read_json(request)), b""
    return {}, b""


def _parameters(operation: Operation, given: Mapping[str, str]) -> Mapping[str, Any]:
    """A query is refused as one: the first parameter that is not understood is named."""
    try:
        return read_members(operation, given)
    except InvalidFields as refused:
        first = refused.errors[0]
        raise InvalidQuery(first.field, first.code) from None


def _repeatable(
    request: Request, operation: Operation, author: Author, members: Mapping[str, Any]
) -> Repeatable | None:
    # A signed message has a key of its own; a file that is put twice is the same file.
    if operation.signed or operation.body is Body.STREAM:
        return None
    key = idempotency_key(request, required=operation.keyed)
    if key is None:
        return None
    return Repeatable(
        sub=author.sub,
        route=f"{operation.method} {operation.pattern}",
        key=key,
        fingerprint=fingerprinted(
            request.method, request.scope["raw_path"], b"", canonical_json(dict(members))
        ),
    )
