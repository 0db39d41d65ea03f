"""Which requests are compared: told from the correlation id alone, so that every process, and whoever looks it up later, says
the same, and a greater share holds all of a smaller one."""

from hashlib import blake2b

_BYTES = 8
_ALL = 1 << (8 * _BYTES)


def sampled(correlation_id: str, share: float) -> bool:
    """`share`: 0 to 1 of all requests."""
    digest = blake2b(correlation_id.encode(), digest_size=_BYTES, person=b"banyan.shadow").digest()
    return int.from_bytes(digest) < share * _ALL
