"""An answer is kept by reference, up to a length, and compared without being put together."""

import pytest

from gateway.shadowing.told import LARGEST, Told

pytestmark = pytest.mark.unit


def told(*pieces: bytes, status: int = 200, content_type: bytes = b"j", etag: bytes = b"") -> Told:
    one = Told(status, content_type, etag)
    for piece in pieces:
        one.take(piece)
    return one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((b"abc",), (b"abc",)),
        ((b"abc",), (b"a", b"", b"bc")),
        ((b"a", b"bc"), (b"ab", b"c")),
        ((), ()),
    ],
)
def test_the_same_bytes_however_they_came(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> None:
    assert told(*one).is_same(told(*other))


@pytest.mark.parametrize(
    "other",
    [
        told(b"abd"),
        told(b"ab"),
        told(b"abc", b"d"),
        told(b"b", b"ac"),
        told(b"a", b"cb"),
        told(b"abc", status=201),
        told(b"abc", content_type=b"k"),
        told(b"abc", etag=b"1"),
    ],
    ids=["byte", "short", "long", "order", "later", "status", "type", "etag"],
)
def test_anything_else_is_another_answer(other: Told) -> None:
    assert not told(b"abc").is_same(other)
    assert not other.is_same(told(b"abc"))


def test_of_what_is_too_long_nothing_is_kept() -> None:
    one = Told(200, b"j", b"")
    assert one.take(b"x" * LARGEST)
    assert one.whole
    assert not one.take(b"x")
    assert (one.whole, one.pieces, one.size) == (False, [], LARGEST + 1)
    assert not one.take(b"more")
    assert one.pieces == []


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        (told(b'{"items":[],"next":null}'), False),
        (told(b'{"items":[{"id":1}],"next":null}'), True),
        (told(b'{"id":1}'), True),
        (told(b'{"code":"not_found"}', status=404), False),
        (told(status=304), False),
    ],
    ids=["empty", "list", "item", "refusal", "unchanged"],
)
def test_whether_it_shows_rows(answer: Told, *, rows: bool) -> None:
    assert answer.has_rows is rows
