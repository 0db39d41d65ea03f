"""Which ids are taken from callers, and that made ones are version 7 UUIDs."""

from uuid import UUID

import pytest

from runtime.correlation import correlation_id, ordered_uuid7, uuid7

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "given", [b"abcdefgh", b"0198c5f0-0000-7000-8000-000000000000", b"a" * 64, b"A.b_c-d1"]
)
def test_a_well_formed_id_is_kept(given: bytes) -> None:
    assert correlation_id([given]) == (given.decode(), False)


@pytest.mark.parametrize(
    "given",
    [
        [b"short12"],
        [b"a" * 65],
        [b"abcdefgh\n"],
        [b"-abcdefgh"],
        [b"abc defgh"],
        [b"abcdefg\x01"],
        [b"abcdefg\xe9"],
        [b"abcdefgh", b"abcdefgh"],
        [b""],
    ],
)
def test_another_is_replaced_and_that_is_told(given: list[bytes]) -> None:
    made, rejected = correlation_id(given)
    assert rejected
    assert UUID(made).version == 7


def test_none_is_made() -> None:
    made, rejected = correlation_id([])
    assert not rejected
    assert UUID(made).variant == "specified in RFC 4122"


def test_made_ids_are_distinct_and_begin_with_the_time() -> None:
    ids = [uuid7() for _ in range(5000)]
    assert len(set(ids)) == 5000
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)
    assert {UUID(i).version for i in ids} == {7}


def test_ids_of_one_clock_sort_by_time() -> None:
    made = []
    for _ in range(200):
        made.append(ordered_uuid7())
        sum(range(200))  # longer than a quarter of a microsecond
    assert made == sorted(made)
    assert {UUID(one).version for one in made} == {7}
    assert len({one[19] for one in made} - set("89ab")) == 0
    milliseconds = [int(one.replace("-", "")[:12], 16) for one in (uuid7(), made[0], uuid7())]
    assert abs(milliseconds[2] - milliseconds[0]) < 60_000
