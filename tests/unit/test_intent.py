"""What the mirror stream carries reads as it was written, and nothing else is taken for it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.stage import Side
from runtime.intent import (
    Closed,
    Intent,
    NotSaid,
    Outcome,
    Said,
    Settled,
    decode,
    encode,
    stream_key,
)

pytestmark = pytest.mark.unit

INTENT = Intent(
    id="0190b1a2-0000-7000-8000-000000000001",
    entity="lab_orders",
    key=("6f9619ff-8b86-d011-b42d-00cf4fc964ff",),
    authority=Side.LEGACY,
    scope="",
    user="e1:abc",
    epoch=7,
    correlation_id="corr-0001",
    grace_seconds=22.5,
)
SAID: tuple[Said, ...] = (
    INTENT,
    Closed(id="a", outcome=Outcome.UNKNOWN),
    Closed(id="a", outcome=Outcome.APPLIED, key=("1", "b~c")),
    Settled(id="a"),
)


@pytest.mark.parametrize("said", SAID)
def test_what_is_said_is_heard(said):
    assert decode(encode(said)) == said


@given(st.binary(max_size=40))
def test_bytes_of_others_are_not_taken(data):
    with pytest.raises(NotSaid):
        decode(data)


@pytest.mark.parametrize(
    "change",
    [
        {"form": 2},
        {"kind": "other"},
        {"authority": "nobody"},
        {"key": [1]},
        {"key": "text"},
        {"epoch": None},
        {"id": 5},
    ],
)
def test_what_is_not_whole_is_refused(change):
    with pytest.raises(NotSaid):
        decode(json.dumps({**json.loads(encode(INTENT)), **change}).encode())


def test_a_row_s_writes_share_a_partition_and_unnumbered_ones_their_own():
    other = Intent(**{**vars(INTENT), "id": "b", "authority": Side.SERVICE})
    assert stream_key(INTENT) == stream_key(other)
    unnumbered = [Intent(**{**vars(INTENT), "id": id_, "key": None}) for id_ in "ab"]
    assert len({stream_key(one) for one in unnumbered}) == 2
