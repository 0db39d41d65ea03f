"""Which partition a key belongs to: as Kafka's clients decide, so that whoever appends (a Kafka connector, too) agrees with us.

32-bit murmur2 of the key's bytes, seed 0x9747b28c, the sign bit cleared, modulo the number of partitions.
"""

import struct

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_WORD = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The same answer in every process and for ever, for one number of partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """As an unsigned number."""
    length = len(data)
    whole = length & ~3
    h = _SEED ^ length
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = (k * _FACTOR) & _WORD
        k ^= k >> 24
        h = ((h * _FACTOR) & _WORD) ^ ((k * _FACTOR) & _WORD)
    if whole < length:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * _FACTOR) & _WORD
    h ^= h >> 13
    h = (h * _FACTOR) & _WORD
    return h ^ (h >> 15)
