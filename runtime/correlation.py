"""One id through everything: taken from the caller if it is well-formed, else made (http-rules section 3)."""

import os
import re
import time
from collections.abc import Sequence

_WELL_FORMED = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", re.ASCII)


def correlation_id(given: Sequence[bytes]) -> tuple[str, bool]:
    """The id, and whether the caller sent one that was rejected (badly formed, or two of them)."""
    if len(given) == 1 and _WELL_FORMED.fullmatch(given[0]):
        return given[0].decode(), False
    return uuid7(), bool(given)


class _Random:
    """os.urandom in blocks: a call per request costs more than the rest of the id."""

    def __init__(self) -> None:
        self._block = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._block):
            self._block, self._at = os.urandom(4096), 0
        taken = self._block[self._at : self._at + size]
        self._at += size
        return taken


_random = _Random()


def uuid7() -> str:
    """A version 7 UUID (RFC 9562 section 5.7): milliseconds of the clock, then 74 random bits."""
    bits = int.from_bytes(_random.take(10))
    value = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (bits >> 68) << 64
    value |= 0b10 << 62 | bits & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
