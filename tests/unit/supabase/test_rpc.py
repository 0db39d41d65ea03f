"""Functions: which one is meant, and how it is called."""

import pytest

from sandbox.supabase import rpc
from sandbox.supabase.errors import RestError
from sandbox.supabase.schema_cache import Parameter
from tests.fakes.supabase_schema import ADD, GREET, SCHEMA, WHOLE, function

pytestmark = pytest.mark.unit


def find(name: str, *given: str, json_body: bool = True) -> object:
    return rpc.find(SCHEMA, "public", name, frozenset(given), json_body=json_body)


def test_by_the_names_of_the_arguments() -> None:
    assert find("add", "a", "b") is ADD
    assert find("greet") is GREET
    assert find("greet", "name") is GREET
    assert find("whole", "anything") is WHOLE


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("add", ("a",), "PGRST202"),
        ("add", ("a", "b", "c"), "PGRST202"),
        ("nobody", (), "PGRST202"),
        ("twice", ("v",), "PGRST203"),
    ],
)
def test_none_or_several(name: str, given: tuple[str, ...], code: str) -> None:
    with pytest.raises(RestError) as refused:
        find(name, *given)
    assert refused.value.code == code


def test_a_whole_body_needs_a_json_body() -> None:
    with pytest.raises(RestError):
        find("whole", json_body=False)


def test_a_call_by_get_binds_each_argument() -> None:
    made = rpc.call_with_query(
        ADD, [("a", "1"), ("b", "2"), ("a", "3")], None, SCHEMA, shape="array", count="exact"
    )
    assert (
        '"public"."add"("a" := $1::text::integer, "b" := $2::text::integer) as "value"' in made.text
    )
    assert made.values == ("3", "2")
    assert "1 as rows, 1::bigint as total" in made.text


def test_variadic_arguments_are_collected() -> None:
    total = function("total", Parameter(name="v", type="integer[]", variadic=True))
    made = rpc.call_with_query(
        total, [("v", "1"), ("v", "2")], None, SCHEMA, shape="array", count=None
    )
    assert 'variadic "v" := $1::text[]::integer[]' in made.text
    assert made.values == (["1", "2"],)


def test_a_call_by_post_takes_only_what_is_given() -> None:
    made = rpc.call_with_body(
        ADD, '{"b":2,"a":1}', frozenset({"a", "b"}), None, SCHEMA, shape="array", count=None
    )
    assert (
        'json_to_record($1::text::json) as "~args"("a" integer, "b" integer), lateral' in made.text
    )
    none = rpc.call_with_body(GREET, "{}", frozenset(), None, SCHEMA, shape="array", count=None)
    assert '"public"."greet"()' in none.text
    assert none.values == ()


def test_one_thing_is_answered_bare_and_a_set_as_an_array() -> None:
    one = rpc.call_with_body(GREET, "{}", frozenset(), None, SCHEMA, shape="array", count=None)
    assert """coalesce(json_agg("~row"."value")->0, 'null')::text as body""" in one.text
    numbers = function("numbers", returns_set=True)
    many = rpc.call_with_body(numbers, "{}", frozenset(), None, SCHEMA, shape="array", count=None)
    assert """coalesce(json_agg("~row"."value"), '[]')::text as body""" in many.text
