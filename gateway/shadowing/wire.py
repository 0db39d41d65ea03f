"""What goes between a gateway process and its comparator: frames of a length and a msgpack document (`Keys` first, then `Job`s;
`Done`s back). Both ends are of one release: the gateway starts its comparator itself."""

from typing import Final

import msgspec

from shadow.finding import Finding
from shadow.tally import Counted

LENGTH_BYTES: Final = 4


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What evidence is tagged and sealed with, as the settings write them."""

    evidence: str
    field: str
    log_level: str


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One answer."""

    status: int
    content_type: str
    etag: str
    body: bytes


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What both were asked. `resource`: by its path; `order`: names, and whether they fall."""

    correlation_id: str
    resource: str
    staff: bool
    listed: bool
    order: tuple[tuple[str, bool], ...] = ()
    limit: int = 0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A pair to compare."""

    number: int
    question: Question
    primary: Side
    candidate: Side


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """`counted` None: the comparison itself has failed, which is a mistake of ours, and logged."""

    number: int
    counted: Counted | None
    findings: tuple[Finding, ...] = ()


_encoder = msgspec.msgpack.Encoder()
decode_keys = msgspec.msgpack.Decoder(Keys).decode
decode_job = msgspec.msgpack.Decoder(Job).decode
decode_done = msgspec.msgpack.Decoder(Done).decode


def frame(message: msgspec.Struct) -> bytes:
    content = _encoder.encode(message)
    return len(content).to_bytes(LENGTH_BYTES) + content


class Frames:
    """Bytes as they come, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        found, at = [], 0
        while len(self._buffer) - at >= LENGTH_BYTES:
            end = at + LENGTH_BYTES + int.from_bytes(self._buffer[at : at + LENGTH_BYTES])
            if len(self._buffer) < end:
                break
            found.append(bytes(self._buffer[at + LENGTH_BYTES : end]))
            at = end
        del self._buffer[:at]
        return found
