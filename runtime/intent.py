"""What travels in the mirror stream: that a write is about to be made, how it ended, and that the other side has it.

Keys and stamps, never a column's value (docs/decisions.md 23). The three kinds of one write lie in one partition, in
order. Gateways announce and close, the mirror worker settles; gateways read along, for the pins (data-rules section 5).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from catalog.stage import Side

TOPIC = "mirror"
_FORM = 1


class Outcome(StrEnum):
    """How a write ended at its authority."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    UNKNOWN = "unknown"
    """It was sent, and nobody has heard: it may be there, or still come."""


@dataclass(frozen=True, kw_only=True)
class Intent:
    """Announced before the write is sent. `key` holds canonical texts; None where the authority numbers the row."""

    id: str
    entity: str
    key: tuple[str, ...] | None
    authority: Side
    scope: str
    """What may stand on another side within the entity: the home of the row or its partition, as a tag; else empty."""
    user: str
    """Keyed tag of the user's id."""
    epoch: int
    correlation_id: str
    grace_seconds: float
    """After this time the write has ended, whether or not anybody has heard how."""


@dataclass(frozen=True, kw_only=True)
class Closed:
    """The gateway knows how it ended, or that it does not know. `key`: of the row that the authority has numbered."""

    id: str
    outcome: Outcome
    key: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The other side holds what the write made of the row, or something newer."""

    id: str


Said = Intent | Closed | Settled


class NotSaid(ValueError):
    """An entry that is none of ours, or of a later form."""


def stream_key(intent: Intent) -> bytes:
    """By which the three kinds share a partition: one row's writes are in order."""
    what = intent.id if intent.key is None else "~".join(intent.key)
    return f"{intent.entity}:{what}".encode()


def encode(said: Said) -> bytes:
    """The entry's value."""
    match said:
        case Intent():
            return orjson.dumps(
                {
                    "form": _FORM,
                    "kind": "intent",
                    "id": said.id,
                    "entity": said.entity,
                    "key": said.key,
                    "authority": said.authority,
                    "scope": said.scope,
                    "user": said.user,
                    "epoch": said.epoch,
                    "correlation_id": said.correlation_id,
                    "grace_seconds": said.grace_seconds,
                }
            )
        case Closed():
            closed: dict[str, Any] = {"form": _FORM, "kind": "closed", "id": said.id}
            return orjson.dumps({**closed, "outcome": said.outcome, "key": said.key})
        case Settled():
            return orjson.dumps({"form": _FORM, "kind": "settled", "id": said.id})


def decode(value: bytes) -> Said:
    """Raises NotSaid, whatever the bytes are."""
    try:
        found = orjson.loads(value)
        if found["form"] != _FORM:
            raise NotSaid("another form")
        kind = _KINDS[found["kind"]]
        return kind(found)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise NotSaid("not an entry of the mirror stream") from None


def _intent(found: Mapping[str, Any]) -> Intent:
    return Intent(
        id=_text(found["id"]),
        entity=_text(found["entity"]),
        key=_key(found["key"]),
        authority=Side(found["authority"]),
        scope=_text(found["scope"]),
        user=_text(found["user"]),
        epoch=int(found["epoch"]),
        correlation_id=_text(found["correlation_id"]),
        grace_seconds=float(found["grace_seconds"]),
    )


def _closed(found: Mapping[str, Any]) -> Closed:
    return Closed(id=_text(found["id"]), outcome=Outcome(found["outcome"]), key=_key(found["key"]))


def _settled(found: Mapping[str, Any]) -> Settled:
    return Settled(id=_text(found["id"]))


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Said]] = {
    "intent": _intent,
    "closed": _closed,
    "settled": _settled,
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _key(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_text, value))
