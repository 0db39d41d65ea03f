"""What every endpoint of the control API asks of its request, and how it answers."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.control_body import LARGEST_BODY, BodyType, parse
from gateway.control_edge import Operator
from gateway.control_flags import Flags
from gateway.control_problem import BadBody, TooLarge
from routes.problem import FieldError

MOST_LISTED = 500
"""Lines of one answer that lists what happened."""


def flags_of(request: Request) -> Flags:
    flags: Flags = request.scope["banyan.flags"]
    return flags


def operator_of(request: Request) -> Operator:
    """The edge has let this one in."""
    operator: Operator = request.scope["banyan.operator"]
    return operator


async def body_of(request: Request, model: type[BodyType]) -> BodyType:
    """The checked body. Raises BadBody or TooLarge."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY:
            raise TooLarge
    return parse(model, bytes(raw))


def need_reason(flags: Flags, reason: str) -> None:
    """Raises BadBody where changes must say why."""
    if flags.rules.reason_required and not reason.strip():
        raise BadBody(FieldError(field="reason", code="missing"))


def query_of(
    request: Request, known: frozenset[str], repeated: frozenset[str] = frozenset()
) -> Mapping[str, str]:
    """The query's parameters. Raises BadBody for one that is unknown or stands twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    wrong = {name: "unknown_parameter" for name in names if name not in known}
    wrong |= {n: "repeated" for n in names if names.count(n) > 1 and n not in repeated}
    if wrong:
        raise BadBody(*(FieldError(field=name[:64], code=code) for name, code in wrong.items()))
    return dict(request.query_params)


def number_of(asked: Mapping[str, str], name: str) -> int | None:
    """A parameter that is a whole number. Raises BadBody."""
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 19):
        raise BadBody(FieldError(field=name, code="expected_integer"))
    return int(text)


def answer(body: Any, *, status: int = 200, version: int | None = None) -> Response:
    """JSON; `version` is what If-Match takes."""
    headers = {} if version is None else {"etag": f'"{version}"'}
    return Response(
        orjson.dumps(body, default=_plain),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
