"""Request bodies."""

import pytest

from sandbox.supabase.body import read_arguments, read_form, read_rows
from sandbox.supabase.errors import RestError
from sandbox.supabase.write import Payload

pytestmark = pytest.mark.unit

JSON = "application/json"


def rows(raw: bytes, kind: str | None = JSON, columns: tuple[str, ...] | None = None) -> Payload:
    return read_rows(raw, kind, columns=columns, defaults=False)


def test_one_object_and_several() -> None:
    one = rows(b'{"b":1,"a":2.50}')
    assert (one.columns, one.single, one.text) == (("a", "b"), True, '{"b":1,"a":2.50}')
    many = rows(b'[{"a":1},{"a":2}]', "application/json; charset=utf-8")
    assert (many.columns, many.single) == (("a",), False)


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"x"', b"null"])
def test_nothing_to_write(raw: bytes) -> None:
    assert rows(raw) == Payload(text="[]", columns=(), single=False)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"}{", b'{"a":NaN}', b"\xff", b"[" * 100_000, b'[{"a":1},{"b":1}]', b'[{"a":1},1]'],
)
def test_what_is_refused(raw: bytes) -> None:
    with pytest.raises(RestError) as refused:
        rows(raw)
    assert (refused.value.code, refused.value.status) == ("PGRST102", 400)


def test_with_columns_the_body_is_not_looked_into() -> None:
    found = rows(b' [{"a":1},{"b":1}]', columns=("a", "b"))
    assert (found.columns, found.single) == (("a", "b"), False)


def test_csv_and_forms_become_json() -> None:
    assert rows(b'a,b\r\n1,NULL\r\n2,"x,y"', "text/csv").text == (
        '[{"a": "1", "b": null}, {"a": "2", "b": "x,y"}]'
    )
    assert rows(b"a=x+y&b=", "application/x-www-form-urlencoded").text == '{"a": "x y", "b": ""}'
    for raw in (b"a,b\n1", b"a\n1,2", b'a\n"'):
        with pytest.raises(RestError):
            rows(raw, "text/csv")


def test_other_types_are_refused() -> None:
    with pytest.raises(RestError) as refused:
        rows(b"x", "text/plain")
    assert refused.value.code == "PGRST102"
    with pytest.raises(RestError) as raw:
        read_arguments(b"x", "application/octet-stream")
    assert raw.value.code == "PGRST127"


def test_arguments() -> None:
    assert read_arguments(b"", None) == ("{}", {})
    assert read_arguments(b'{"a":1}', JSON) == ('{"a":1}', {"a": 1})
    assert read_form(b"a=1&a=2", "application/x-www-form-urlencoded") == [("a", "1"), ("a", "2")]
    assert read_form(b"{}", JSON) is None
