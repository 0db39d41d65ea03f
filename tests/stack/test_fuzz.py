"""The fuzzers in small, and that they would notice."""

import pytest

from benchmarks import fuzz
from benchmarks.corpus.canonical import ambiguity
from benchmarks.size import Size

pytestmark = pytest.mark.stack


async def test_raw_bytes_bring_no_failure_no_hang_and_no_disagreement():
    claims = [claim async for claim in fuzz.raw(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 3


async def test_what_the_checks_accept_means_one_thing():
    claims = [claim async for claim in fuzz.canonical(Size.SMALL)]
    assert [claim.how for claim in claims if not claim.ok] == []
    assert len(claims) == 2


@pytest.mark.parametrize(
    "path",
    [
        b"/a/%2e%2e/b",
        b"/a/%252e%252e/b",
        b"/a/%25%32%65%25%32%65/b",
        b"/a%2fb",
        b"/a%255cb",
        b"/a%00",
        b"/a%250d",
        b"/a//b",
        b"/a/./b",
    ],
    ids=lambda path: path.decode(),
)
def test_a_second_meaning_is_noticed(path):
    assert ambiguity(path, path, b"") != ""


@pytest.mark.parametrize("path", [b"/", b"/v2/lab-orders", b"/a%20b", b"/a/%c3%a9/", b"/a.b/..c"])
def test_one_meaning_is_left_alone(path):
    assert ambiguity(path, path, b"") == ""
