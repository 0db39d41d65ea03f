"""The security corpus against a real gateway, case by case."""

import pytest

from benchmarks import security
from benchmarks.corpus import page
from benchmarks.corpus.answers import ANSWERS
from benchmarks.corpus.hostile import Hostile
from benchmarks.corpus.line import Unreadable, read_answer
from benchmarks.corpus.mixed import mix
from benchmarks.corpus.play import play
from benchmarks.corpus.provoke import Scripted, provoke
from benchmarks.corpus.requests import REQUESTS
from benchmarks.corpus.strict import h11_agrees, read_all
from benchmarks.corpus.under_test import under_test, user
from benchmarks.corpus.upstream import Upstream
from benchmarks.size import Size

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
async def recording(tmp_path_factory):
    """A gateway and its recording upstream."""
    async with Upstream().serving() as upstream:
        with under_test(tmp_path_factory.mktemp("corpus"), upstream.url) as gateway:
            yield gateway, upstream


@pytest.fixture(scope="module")
async def misbehaving(tmp_path_factory):
    """A gateway and an upstream that follows scripts."""
    scripted = Scripted()
    async with Upstream(scripted).serving() as upstream:
        with under_test(tmp_path_factory.mktemp("answers"), upstream.url) as gateway:
            yield gateway, scripted


@pytest.mark.parametrize("case", REQUESTS.values(), ids=lambda case: case.name)
async def test_a_request_goes_as_its_row_says(recording, case):
    gateway, upstream = recording
    outcome = await play(case, gateway, upstream, user(1))
    assert outcome.problems == []


@pytest.mark.parametrize("case", ANSWERS.values(), ids=lambda case: case.name)
async def test_what_a_misbehaving_upstream_shows_its_client(misbehaving, case):
    gateway, scripted = misbehaving
    sight = await provoke(case, gateway, scripted, user(1), user(2))
    assert sight.problems == []


async def test_nobody_gets_anothers_answer_from_a_hostile_upstream(tmp_path):
    users = [user(number) for number in range(4)]
    hostile = Hostile(users, seed=5)
    async with Upstream(hostile).serving() as upstream:
        with under_test(tmp_path, upstream.url) as gateway:
            mixture = await mix(gateway, hostile, users, requests=1_000, connections=8)
    assert mixture.examples == []
    assert mixture.foreign_bytes == mixture.wrong == mixture.hung == 0
    # It was hostile, and most went well all the same.
    assert len(hostile.did) > 15
    assert mixture.statuses[200] + mixture.statuses[304] > 600


async def test_the_claims_about_it_are_made():
    claims = [claim async for claim in security.mixed(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert [claim.n >= 1_600 for claim in claims] == [True, True]


# --- that the rig itself would notice


def test_the_corpus_is_as_large_as_promised():
    assert len(REQUESTS) + len(ANSWERS) >= 150
    assert sum(case.refused for case in REQUESTS.values()) > 200


def test_every_row_of_the_rules_has_its_cases():
    assert page.unproven(1, REQUESTS.values()) == []
    assert page.unproven(2, ANSWERS.values()) == []
    assert page.unknown([*REQUESTS.values(), *ANSWERS.values()]) == []


def test_the_page_is_up_to_date():
    written = page.PAGE.read_text(encoding="utf-8")
    assert written == page.render(), "run: python -m benchmarks.corpus.page"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiXX0\r\n\r\n",
    ],
    ids=[
        "two-lengths",
        "two-framings",
        "plus",
        "no-framing",
        "old",
        "bare-lf",
        "blank",
        "chunk-end",
    ],
)
def test_the_client_takes_no_liberties(data):
    with pytest.raises(Unreadable):
        read_answer(data)


def test_the_reader_stops_where_two_readers_could_part():
    good = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
    hidden = b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert [seen.target for seen in read_all(good + hidden + good)] == [b"/a"]
    assert all(h11_agrees(seen) for seen in read_all(good + good))
