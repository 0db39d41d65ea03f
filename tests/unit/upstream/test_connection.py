"""One connection without a socket: which answers are taken, however they are cut, and what is never taken for one."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.wire_readers import Line, Read, by_connection
from runtime.upstream.connection import LARGEST_HEADERS, MOST_HEADERS, MOST_INTERIM

pytestmark = pytest.mark.unit

LENGTH = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\nhello\r\nyou\n"
)
CHUNKED = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    b"5;a=b\r\nhello\r\n00A\r\n0\r\n\r\n you\n\r\n0\r\nX-T: 1\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"
WHOLE = (LENGTH, CHUNKED, EMPTY)
CLEAN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean"


def broken(raw: bytes) -> bool:
    """Refused at once, not at the end of the connection."""
    line = Line()
    read = line.ask([raw], ends=False)
    assert read.complete != (read.error == "UpstreamBroke"), "neither yet"
    return not line.connection.usable and not read.complete


# --- however they are cut


@pytest.mark.parametrize("raw", WHOLE)
def test_an_answer_is_the_same_wherever_it_is_cut(raw: bytes) -> None:
    whole = by_connection([raw])
    assert whole.complete
    assert whole.kept
    for first in range(len(raw) + 1):
        assert by_connection([part for part in (raw[:first], raw[first:]) if part]) == whole
    assert by_connection(raw[at : at + 1] for at in range(len(raw))) == whole


@given(st.sampled_from(WHOLE), st.lists(st.integers(1, 150), max_size=6))
def test_an_answer_is_the_same_in_any_pieces(raw: bytes, cuts: list[int]) -> None:
    ends = sorted({min(cut, len(raw)) for cut in cuts} | {len(raw)})
    pieces = [raw[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    assert by_connection(pieces) == by_connection([raw])


@pytest.mark.parametrize("raw", WHOLE)
def test_an_answer_that_is_cut_off_is_never_whole(raw: bytes) -> None:
    for end in range(len(raw)):
        read = by_connection([raw[:end]] if end else [])
        assert not read.complete, raw[:end]
        assert read.error == "UpstreamBroke"


@given(st.sampled_from(WHOLE), st.data())
def test_an_answer_that_is_cut_off_in_any_pieces_is_never_whole(
    raw: bytes, data: st.DataObject
) -> None:
    end = data.draw(st.integers(0, len(raw) - 1))
    size = data.draw(st.integers(1, 40))
    assert not by_connection(raw[at : min(at + size, end)] for at in range(0, end, size)).complete


def test_bodies_are_unwrapped_and_nothing_else() -> None:
    read = by_connection([CHUNKED])
    assert (read.status, read.body) == (200, b"hello0\r\n\r\n you\n")
    assert [name for name, _ in read.headers] == [b"transfer-encoding", b"trailer"]


# --- what is no answer


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5000 + b"2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICE/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 No\r\n\r\n",
        b"HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
        b"HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\x7fb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX A: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 X\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nRTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_not_strict_http_is_broken(raw: bytes) -> None:
    assert broken(raw)
    assert broken(raw + CLEAN)
    assert not by_connection(raw[at : at + 1] for at in range(len(raw))).complete


@pytest.mark.parametrize("status", [100, 102, 103, 104, 150, 199])
@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_interim_answer_has_no_body(status: int, framing: bytes) -> None:
    """The parser would read one after some of them, and it would become part of the answer behind."""
    interim = b"HTTP/1.1 %d X\r\n" % status
    assert broken(interim + framing + b"\r\nhello" + CLEAN)
    assert by_connection([interim + b"X-A: 1\r\n\r\n" + CLEAN]) == by_connection([CLEAN])


def test_interim_answers_are_counted() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert not broken(interim * MOST_INTERIM + CLEAN)
    assert broken(interim * (MOST_INTERIM + 1) + CLEAN)


def test_headers_are_counted_and_measured() -> None:
    framing = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
    assert not broken(framing + b"A: b\r\n" * (MOST_HEADERS - 1) + b"\r\n")
    assert broken(framing + b"A: b\r\n" * MOST_HEADERS + b"\r\n")
    fits = LARGEST_HEADERS - len("content-length0") - len("a") - 8
    assert not broken(framing + b"A: " + b"b" * fits + b"\r\n\r\n")
    assert broken(framing + b"A: " + b"b" * (fits + 1) + b"\r\n\r\n")


def test_a_small_head_before_a_large_body_in_one_segment_is_no_large_head() -> None:
    body = b"b" * (3 * LARGEST_HEADERS)
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    assert by_connection([raw]).body == body


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200 OK\r\nA: ",
        b"HTTP/1.1 200 OK\r\nA",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 9,
    ],
    ids=["reason", "value", "name", "extension", "trailer", "chunk size"],
)
def test_what_never_ends_is_given_up_before_it_fills_the_memory(begin: bytes) -> None:
    line = Line()
    fed = 0

    def pieces() -> Iterator[bytes]:
        nonlocal fed
        yield begin
        for _ in range(100):
            fed += 4096
            yield b"0" * 4096 if begin.endswith(b"0" * 9) else b"a" * 4096

    read = line.ask((piece for piece in pieces() if line.connection.usable), ends=False)
    assert read.error == "UpstreamBroke"
    assert not read.complete
    assert not line.connection.usable


# --- what is kept


@pytest.mark.parametrize(
    ("method", "raw", "kept"),
    [
        ("GET", CLEAN, True),
        ("GET", EMPTY, True),
        ("GET", b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", True),
        ("GET", b"HTTP/1.1 200 X\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok", True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", False),
        ("GET", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", False),
        ("GET", b"HTTP/1.0 200 OK\r\nConnection: close, keep-alive\r\nContent-Length: 0\r\n\r\n", False),
        ("GET", b"HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 2\r\n\r\nok", False),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n", False),
        ("GET", CLEAN + b"x", False),
        ("GET", CLEAN + CLEAN, False),
        ("GET", EMPTY + b"hello", False),
        ("GET", b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\nhello", False),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
    ],
)  # fmt: skip
def test_when_a_connection_may_carry_another_answer(method: str, raw: bytes, kept: bool) -> None:
    line = Line()
    read = line.ask([raw], method)
    assert read.complete
    assert line.kept is kept
    if kept:
        assert line.ask([CLEAN]).body == b"clean"


def test_a_byte_on_an_idle_connection_ends_it() -> None:
    line = Line()
    assert line.ask([CLEAN, b"\n"]).complete
    assert not line.kept
    assert not line.connection.usable


def test_only_the_wanted_echo_is_an_answer() -> None:
    answer = b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok"
    mine, other = b"X-Correlation-ID: mine-1234\r\n", b"x-correlation-id: other-123\r\n"
    for lines, complete in (
        (mine, True),
        (mine + mine, True),
        (b"", False),
        (other, False),
        (mine + other, False),
        (b"X-Correlation-ID: mine-12345\r\n", False),
    ):
        read = Line().ask([answer % lines], echo=b"mine-1234")
        assert read.complete is complete, lines
        assert Line().ask([answer % lines]).complete


def test_the_echo_of_an_interim_answer_does_not_count() -> None:
    raw = b"HTTP/1.1 103 X\r\nX-Correlation-ID: mine-1234\r\n\r\n" + CLEAN
    assert not Line().ask([raw], echo=b"mine-1234").complete


def test_what_was_delivered_before_a_break_is_not_delivered_as_whole() -> None:
    read = by_connection([LENGTH[:-8], LENGTH[-8:-4]])
    assert (read.complete, read.status, read.error) == (False, 200, "UpstreamBroke")
    assert read.body == b"hello\r\n"


def test_an_answer_that_ends_in_a_pause_leaves_no_pause_to_the_next() -> None:
    """Loops may bring what they had read already."""
    line = Line()
    paused: list[bool] = []

    def pieces() -> Iterator[bytes]:
        yield CLEAN[:-3]
        assert line.exchange is not None
        line.exchange.pause()
        paused.append(line.transport.paused)
        yield CLEAN[-3:]

    assert line.ask(pieces()).body == b"clean"
    assert paused == [True]
    assert line.kept
    assert not line.transport.paused


def test_a_connection_is_no_asyncio_surprise() -> None:
    """The end may be told more than once, in any order."""
    line = Line()
    assert line.ask([CLEAN]) == Read(
        complete=True, status=200, headers=((b"content-length", b"5"),), body=b"clean", kept=True
    )
    line.connection.connection_lost(None)
    line.connection.connection_lost(OSError())
    line.connection.eof_received()
    line.connection.data_received(b"late")
    assert not line.connection.usable
