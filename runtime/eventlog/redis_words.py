"""Entries and positions in the words of a Redis stream.

A position is an id's two halves in one number. Fields of an entry: `t` (ms), `k`, `v`, and `h:<name>` for each header.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from runtime.eventlog.protocol import Entry, Message, Position

_HALF = 64
_LOWER = (1 << _HALF) - 1
_HEADER = b"h:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def id_of(position: Position) -> str:
    return f"{position >> _HALF}-{position & _LOWER}"


def position_of(stream_id: bytes) -> Position:
    upper, _, lower = stream_id.partition(b"-")
    return Position(int(upper) << _HALF | int(lower))


def follows(position: Position, after: Position) -> bool:
    """Whether nothing lies between them."""
    return position == after + 1


def words_of(message: Message) -> list[bytes]:
    """Names and values by turns, without the time, which is Redis's."""
    words = [b"k", message.key, b"v", message.value]
    for name, value in message.headers.items():
        words += (_HEADER + name.encode(), value)
    return words


def entry_of(topic: str, partition: int, stream_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    return Entry(
        topic=topic,
        partition=partition,
        position=position_of(stream_id),
        key=fields[b"k"],
        value=fields[b"v"],
        headers={
            name.removeprefix(_HEADER).decode(): value
            for name, value in fields.items()
            if name.startswith(_HEADER)
        },
        at=_EPOCH + timedelta(milliseconds=int(fields[b"t"])),
    )


def milliseconds(moment: datetime) -> int:
    """Since the epoch; the moment carries its zone."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
