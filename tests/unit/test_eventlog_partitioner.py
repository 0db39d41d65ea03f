"""A key's partition is what Kafka's clients say."""

from collections import Counter

import pytest

from runtime.eventlog.partitioner import murmur2, partition_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_kafkas(key: bytes, hashed: int) -> None:
    """The values that Kafka's own tests hold its clients to, as signed numbers."""
    assert murmur2(key) == hashed % 2**32
    assert partition_of(key, 8) == (hashed & 0x7FFFFFFF) % 8


def test_keys_spread() -> None:
    spread = Counter(partition_of(b"key %d" % number, 8) for number in range(8_000))
    assert len(spread) == 8
    assert min(spread.values()) > 800


@pytest.mark.parametrize("key", [b"", b"\x00", b"\xff" * 7])
def test_any_bytes_have_a_partition(key: bytes) -> None:
    assert 0 <= partition_of(key, 3) < 3
    assert partition_of(key, 1) == 0
