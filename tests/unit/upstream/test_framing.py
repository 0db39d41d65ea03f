"""The pool's reading of answers beside h11's; `python -m benchmarks` does the same with 100,000."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import framing
from benchmarks.size import Size
from benchmarks.wire_answers import WireAnswer, WireAnswers
from benchmarks.wire_readers import (
    LENIENCIES,
    LINE_ENDS,
    by_connection,
    by_h11,
    disagreement,
    leniency,
)

pytestmark = pytest.mark.unit


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_whatever_we_take_for_whole_h11_reads_alike(seed: int) -> None:
    answers = WireAnswers(seed)
    for _ in range(10):
        answer = answers.one()
        assert not disagreement(answer) or leniency(answer), answer


async def test_the_claims_hold_at_a_small_size() -> None:
    claims = [claim async for claim in framing.run(Size.SMALL)]
    assert len(claims) == 2
    assert all(claim.ok for claim in claims), claims


EXAMPLES = {
    LINE_ENDS: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
    "empty lines between an interim and the final answer": (
        b"HTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ),
    "more than 20 digits of a chunk size, most of them leading zeros": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"0" * 20
        + b"2\r\nok\r\n0\r\n\r\n"
    ),
    "NUL, VT or FF in the reason phrase": b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok",
}


def test_every_leniency_is_real() -> None:
    assert set(EXAMPLES) == {LINE_ENDS, *LENIENCIES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_leniency_explains_its_own_case(name: str) -> None:
    answer = WireAnswer(method="GET", pieces=(EXAMPLES[name],))
    assert disagreement(answer)
    assert leniency(answer) == name
    assert by_connection(answer.pieces).body == b"ok"


def test_a_leniency_excuses_nothing_else() -> None:
    """A body that differs, a connection that is kept for bytes that are no line ends."""
    raw = EXAMPLES[LINE_ENDS]
    other = WireAnswer(method="GET", pieces=(raw[:-2] + b"x",))
    assert by_h11(other.raw).behind == b"x"
    assert not by_connection(other.pieces).kept
    assert not disagreement(other)


def test_the_supply_is_the_same_for_the_same_seed_and_of_every_kind() -> None:
    one, two = WireAnswers(3), WireAnswers(3)
    answers = [one.one() for _ in range(500)]
    assert answers == [two.one() for _ in range(500)]
    reads = [by_connection(answer.pieces, answer.method) for answer in answers]
    assert any(read.complete and read.body for read in reads)
    assert any(read.kept for read in reads)
    assert any(not read.complete for read in reads)
    assert any(len(answer.pieces) > 5 for answer in answers)
