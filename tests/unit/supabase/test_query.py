"""Whole query strings, windows, and what is reserved."""

import pytest

from sandbox.supabase.errors import RestError
from sandbox.supabase.query import parse, split
from sandbox.supabase.terms import Window

pytestmark = pytest.mark.unit


def test_plus_is_a_blank_and_percent_is_decoded() -> None:
    assert split(b"a=x+y%2Bz&b&c=&d%3De=f=g") == [
        ("a", "x y+z"),
        ("b", None),
        ("c", ""),
        ("d=e", "f=g"),
    ]


def test_reserved_keys_are_no_filters_and_all_others_are() -> None:
    found = parse(
        b"select=id&order=a&limit=1&offset=2&columns=a,b&on_conflict=c&or=(a.eq.1)&x.order=b&x=eq.1&x=lt.2"
    )
    assert [(path, condition.field.name) for path, condition in found.filters] == [
        ((), "x"),
        ((), "x"),
    ]
    assert found.columns == ("a", "b")
    assert found.on_conflict == ("c",)
    assert [path for path, _ in found.orders] == [(), ("x",)]
    assert [path for path, _ in found.logic] == [()]


@pytest.mark.parametrize("raw", [b"_=123", b"page=2", b"limits=1"])
def test_an_unknown_key_without_operator_is_refused(raw: bytes) -> None:
    with pytest.raises(RestError) as refused:
        parse(raw)
    assert (refused.value.code, refused.value.status) == ("PGRST100", 400)


def test_in_a_call_by_get_it_is_an_argument() -> None:
    found = parse(b"a=1&b=eq.2&a=3", call_by_get=True)
    assert found.arguments == (("a", "1"), ("a", "3"))
    assert [condition.field.name for _, condition in found.filters] == ["b"]


def test_the_canonical_query_is_sorted() -> None:
    assert parse(b"select=id&id=eq.1").canonical == "id=eq.1&select=id"


@pytest.mark.parametrize(
    ("raw", "header", "expected"),
    [
        (b"", None, Window()),
        (b"limit=3", None, Window(lower=0, upper=2)),
        (b"limit=3&offset=2", None, Window(lower=2, upper=4)),
        (b"offset=-4", None, Window()),
        (b"limit=few", None, Window()),
        (b"limit=0&offset=9", None, Window(lower=0, upper=-1)),
        (b"", "0-1", Window(lower=0, upper=1)),
        (b"", "5-", Window(lower=5)),
        (b"limit=10", "2-3", Window(lower=2, upper=3)),
        (b"limit=2", "0-9", Window(lower=0, upper=1)),
        (b"", "bytes=0-1", Window()),
    ],
)
def test_windows(raw: bytes, header: str | None, expected: Window) -> None:
    assert parse(raw).window(header) == expected


@pytest.mark.parametrize(
    ("raw", "header"), [(b"limit=-1", None), (b"", "3-1"), (b"limit=2", "5-9")]
)
def test_windows_without_rows(raw: bytes, header: str | None) -> None:
    with pytest.raises(RestError) as refused:
        parse(raw).window(header)
    assert (refused.value.code, refused.value.status) == ("PGRST103", 416)
