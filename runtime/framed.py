"""`framed`: several parts as one text of bytes that no other parts have, for keyed hashes and authenticated data."""

_LENGTH_BYTES = 4


def framed(*parts: bytes) -> bytes:
    """Each part behind its length: ("ab", "c") and ("a", "bc") are not the same. A part of 4 GiB raises OverflowError."""
    return b"".join(len(part).to_bytes(_LENGTH_BYTES) + part for part in parts)
