"""OFREP, the OpenFeature Remote Evaluation Protocol: a signed-in user's own flags. Pure.

`POST /ofrep/v1/evaluate/flags` and `POST /ofrep/v1/evaluate/flags/{key}`. The value of a flag is the stage by which this
gateway routes the user (after floor, ceiling and panic), so frontend and gateway decide alike. Who the user is comes from
the verified token: the context in the body is read for its form only, and a `targetingKey` of somebody else is refused.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from catalog.stage import Stage
from runtime.flagset import Scope
from runtime.flagsnapshot import Answer, FlagUser, Snapshot

PREFIX: Final = b"/ofrep/"
LARGEST_BODY: Final = 64 * 1024
_FLAGS: Final = b"/ofrep/v1/evaluate/flags"
_PRIVATE: Final = ((b"cache-control", b"private, no-cache"), (b"vary", b"authorization"))


@dataclass(frozen=True, kw_only=True)
class OfrepAnswer:
    """What goes back, always as JSON; `headers` are those beside content type and length, in lower case."""

    status: int
    headers: Sequence[tuple[bytes, bytes]] = _PRIVATE
    body: bytes = b""


class Refused(Exception):
    """One of OpenFeature's error codes, its status, and a fixed sentence."""

    def __init__(self, status: int, code: str, details: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.details = details


def answer(
    snapshot: Snapshot, user: FlagUser, path: bytes, body: bytes, if_none_match: bytes | None
) -> OfrepAnswer:
    """The answer to a POST by this user. `path` is raw; `body` the whole body."""
    single = path.startswith(_FLAGS + b"/")
    key = _decoded(path[len(_FLAGS) + 1 :]) if single else ""
    try:
        if not single and path != _FLAGS:
            raise Refused(404, "GENERAL", "There is no such OFREP endpoint.")
        check_context(body, user)
        return _one(snapshot, user, key) if single else _all(snapshot, user, if_none_match)
    except Refused as refused:
        named = {"key": key} if single else {}
        return OfrepAnswer(
            status=refused.status,
            body=orjson.dumps(
                {**named, "errorCode": refused.code, "errorDetails": refused.details}
            ),
        )


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")


def check_context(body: bytes, user: FlagUser) -> None:
    """Raises Refused unless the body is a JSON object whose context, if any, is about the caller."""
    if len(body) > LARGEST_BODY:
        raise Refused(413, "GENERAL", f"The body may have {LARGEST_BODY} bytes.")
    try:
        orjson.loads(body)  # refuses NaN, numbers beyond a double, and halves of surrogate pairs
        found = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Refused(400, "PARSE_ERROR", "The body is not a JSON object.") from None
    if not isinstance(found, dict):
        raise Refused(400, "PARSE_ERROR", "The body is not a JSON object.")
    context = found.get("context", {})
    if not isinstance(context, dict):
        raise Refused(400, "INVALID_CONTEXT", "`context` is not an object.")
    if context.get("targetingKey") not in (None, "", user.sub):
        raise Refused(
            400,
            "INVALID_CONTEXT",
            "`targetingKey` is not yours: leave it out, or send your token's `sub`.",
        )


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError("a name stands twice in one object")
        found[name] = value
    return found


def _one(snapshot: Snapshot, user: FlagUser, key: str) -> OfrepAnswer:
    scope = next((scope for scope in snapshot.scopes() if scope.flag == key), None)
    if scope is None:
        raise Refused(404, "FLAG_NOT_FOUND", "There is no such flag.")
    stage, said = snapshot.flag_of(scope, user)
    evaluated = _evaluation(snapshot, scope.flag, stage, said)
    return OfrepAnswer(status=200, body=orjson.dumps(evaluated))


def _all(snapshot: Snapshot, user: FlagUser, if_none_match: bytes | None) -> OfrepAnswer:
    scopes = snapshot.scopes()
    tag = _etag(snapshot, user, scopes)
    headers = (*_PRIVATE, (b"etag", tag))
    if if_none_match is not None and _matches(if_none_match, tag):
        return OfrepAnswer(status=304, headers=headers)
    flags = [
        _evaluation(snapshot, flag, stage, said)
        for flag, (stage, said) in snapshot.flags_of(user).items()
    ]
    body = orjson.dumps({"flags": flags, "metadata": _metadata(snapshot)})
    return OfrepAnswer(status=200, headers=headers, body=body)


def _evaluation(snapshot: Snapshot, key: str, stage: Stage, said: Answer) -> Mapping[str, Any]:
    """Value and variant agree: both are what floor, ceiling and panic made of flagd's answer; the reason is flagd's."""
    evaluation = {"key": key, "value": stage, "metadata": _metadata(snapshot)}
    if said.stage is None:
        return {**evaluation, "reason": "DEFAULT"}
    return {**evaluation, "reason": said.reason, "variant": stage}


def _metadata(snapshot: Snapshot) -> Mapping[str, Any]:
    return {"version": snapshot.version}


def _etag(snapshot: Snapshot, user: FlagUser, scopes: Sequence[Scope]) -> bytes:
    """Changes with whatever the body is made of; from the remembered stages, so that a 304 evaluates nothing."""
    stages = [snapshot.stage(scope.entity, user, scope.partition or None) for scope in scopes]
    made_of = [
        *(snapshot.store, snapshot.version, snapshot.panic),
        *(user.sub, user.role, user.partner_id, sorted(user.cohorts)),
        *([scope.flag, stage] for scope, stage in zip(scopes, stages, strict=True)),
    ]
    return b'"%s"' % hashlib.sha256(orjson.dumps(made_of)).hexdigest()[:32].encode()


def _matches(if_none_match: bytes, tag: bytes) -> bool:
    """Weak comparison, as RFC 9110 has it for If-None-Match."""
    if if_none_match.strip() == b"*":
        return True
    return any(given.strip().removeprefix(b"W/") == tag for given in if_none_match.split(b","))
