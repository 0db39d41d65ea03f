"""Which requests are compared: told from the correlation id alone, so that every process, and whoever looks it up later, says
the same, and a greater share holds all of a smaller one."""

from hashlib import blake2b

_BYTES = 8
_ALL = 1 << (8 * _BYTES)


def sampled(correlation_id: str, share: float, *, what: bytes = b"shadow") -> bool:
    """`share`: 0 to 1 of all requests. `what` the sample is for: those of two words are independent of each other."""
    digest = blake2b(correlation_id.encode(), digest_size=_BYTES, person=b"banyan." + what).digest()
    return int.from_bytes(digest) < share * _ALL
