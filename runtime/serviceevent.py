"""`ServiceEvent`: what a service says of a row that a user has written there, as a CloudEvent 1.0 on topic `service.<entity>`.

Key and stamps, never a column's value (docs/decisions.md 23): whoever hears it reads the row. One key's events lie in one
partition, in the order of the writes. They come at least once; the id is the same each time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

CONTENT_TYPE = "application/json"


@dataclass(frozen=True, kw_only=True)
class ServiceEvent:
    """Instants are ISO 8601 texts with microseconds and offset, as PostgreSQL wrote them: no clock type touches them."""

    id: str
    type: str
    """`banyan.<entity>.created`, `.updated` or `.deleted`."""
    service: str
    entity: str
    key: tuple[str, ...]
    """Canonical texts."""
    subject: str
    """The key as one text, as a path would hold it."""
    updated_at: str
    origin: str
    row_version: int
    seen_at: str | None
    correlation_id: str | None
    time: str
    """When the service recorded it."""


class NotAnEvent(ValueError):
    """An entry that is none of ours."""


def topic_of(entity: str) -> str:
    return f"service.{entity}"


def log_key(event: ServiceEvent) -> bytes:
    return f"{event.entity}:{event.subject}".encode()


def encode(event: ServiceEvent) -> bytes:
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": f"/banyan/services/{event.service}",
            "type": event.type,
            "subject": event.subject,
            "time": event.time,
            "datacontenttype": CONTENT_TYPE,
            "data": {
                "entity": event.entity,
                "key": event.key,
                "stamps": {
                    "updated_at": event.updated_at,
                    "origin": event.origin,
                    "row_version": event.row_version,
                    "seen_at": event.seen_at,
                },
                "correlation_id": event.correlation_id,
            },
        }
    )


def decode(value: bytes) -> ServiceEvent:
    """Raises NotAnEvent, whatever the bytes are."""
    try:
        found: Mapping[str, Any] = orjson.loads(value)
        if found["specversion"] != "1.0":
            raise NotAnEvent("another version of CloudEvents")
        data = found["data"]
        stamps = data["stamps"]
        return ServiceEvent(
            id=_text(found["id"]),
            type=_text(found["type"]),
            service=_text(found["source"]).rpartition("/")[2],
            entity=_text(data["entity"]),
            key=tuple(map(_text, data["key"])),
            subject=_text(found["subject"]),
            updated_at=_text(stamps["updated_at"]),
            origin=_text(stamps["origin"]),
            row_version=int(stamps["row_version"]),
            seen_at=_optional(stamps["seen_at"]),
            correlation_id=_optional(data["correlation_id"]),
            time=_text(found["time"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise NotAnEvent("not an event of a service") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)
