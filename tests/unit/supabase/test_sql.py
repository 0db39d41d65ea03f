"""Statements: identifiers quoted, values bound, casts by the column's type. No word of the caller's in the text."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.supabase import embed, query, sql
from sandbox.supabase.errors import RestError
from sandbox.supabase.schema_cache import Table
from sandbox.supabase.sql import Statement
from tests.fakes.supabase_schema import ORDERS, PEOPLE, SCHEMA

pytestmark = pytest.mark.unit


def read(raw: bytes, *, table: Table = ORDERS, count: str | None = None) -> Statement:
    asked = query.parse(raw)
    root = embed.build(asked, table, SCHEMA, window=asked.window(None), max_rows=None, read=True)
    return sql.read(root, SCHEMA, shape="array", count=count)


@pytest.mark.parametrize(
    ("raw", "part", "values"),
    [
        (b"id=eq.1", '("~"."id" = $1::text::uuid)', ("1",)),
        (b"id=not.eq.1", 'not ("~"."id" = $1::text::uuid)', ("1",)),
        (b"price=gte.1.5", '("~"."price" >= $1::text::numeric)', ("1.5",)),
        (b"id=in.(a,b)", '("~"."id" = any($1::text[]::uuid[]))', (["a", "b"],)),
        (b"status=like.a*", '("~"."status" like $1::text::text)', ("a%",)),
        (b"status=ilike(any).{a*,b}", '("~"."status" ilike any($1::text::text[]))', ("{a%,b}",)),
        (b"price=eq(all).{1,2}", '("~"."price" = all($1::text::numeric[]))', ("{1,2}",)),
        (b"tags=cs.{x}", '("~"."tags" @> $1::text::text[])', ("{x}",)),
        (b"status=is.null", '("~"."status" is null)', ()),
        (b"price=isdistinct.1", '("~"."price" is distinct from $1::text::numeric)', ("1",)),
        (b"meta->a->>b=eq.1", '("~"."meta"->$1::text->>$2::text = $3::text::text)', ("a", "b", "1")),
        (b"meta->a=eq.1", '("~"."meta"->$1::text = $2::text::jsonb)', ("a", "1")),
        (b"tags->0=eq.1", '(to_jsonb("~"."tags")->$1::text::int = $2::text::jsonb)', ("0", "1")),
        (b"or=(id.eq.1,not.and(price.gt.2,price.lt.3))",
         '(("~"."id" = $1::text::uuid) or not (("~"."price" > $2::text::numeric) and'
         ' ("~"."price" < $3::text::numeric)))', ("1", "2", "3")),
    ],
)  # fmt: skip
def test_filters(raw: bytes, part: str, values: tuple[object, ...]) -> None:
    statement = read(raw)
    assert f"where {part}" in statement.text
    assert statement.values == values


def test_select_order_and_window() -> None:
    statement = read(
        b"select=no:id,price::text,meta->>a&order=price.desc.nullslast,id&limit=2&offset=1"
    )
    assert (
        'select "~"."id" as "no", cast("~"."price" as text) as "price", "~"."meta"->>$1::text as "a"'
        ' from "public"."orders" as "~" order by "~"."price" desc nulls last, "~"."id"'
        " limit $2::text::bigint offset $3::text::bigint"
    ) in statement.text
    assert statement.values == ("a", "2", "1")


def test_the_total_is_counted_without_the_window() -> None:
    text = read(b"id=eq.1&limit=2", count="exact").text
    assert '(select count(*) from (select 1 from "public"."orders" as "~" where' in text
    assert "null::bigint as total" in read(b"id=eq.1").text


def test_embeds_join_on_their_key() -> None:
    text = read(b"select=id,doctor:doctor_id!inner(name)", count="exact").text
    assert (
        'inner join lateral (select "~1"."name" as "name" from "public"."people" as "~1"'
        ' where "~1"."id" = "~"."doctor_id" ) as "~1" on true'
    ) in text
    assert 'row_to_json("~1".*)::jsonb as "doctor"' in text
    assert (
        'exists (select 1 from "public"."people" as "~1" where "~1"."id" = "~"."doctor_id")' in text
    )


def test_embeds_through_a_junction() -> None:
    text = read(b"select=id,clubs(name)", table=PEOPLE).text
    assert 'from "public"."clubs" as "~1", "public"."members" as "~1j"' in text
    assert '"~1j"."person_id" = "~"."id" and "~1j"."club_id" = "~1"."id"' in text
    assert """coalesce("~1"."rows", '[]') as "clubs\"""" in text


@pytest.mark.parametrize("raw", [b"nope=eq.1", b"select=nope", b"order=nope", b"or=(nope.eq.1)"])
def test_unknown_columns(raw: bytes) -> None:
    with pytest.raises(RestError) as refused:
        read(raw)
    assert (refused.value.code, refused.value.status) == ("42703", 400)


def test_computed_columns_are_not_built() -> None:
    with pytest.raises(RestError) as refused:
        read(b"select=full_name", table=PEOPLE)
    assert refused.value.code == "PGRST127"


HOSTILE = st.text(alphabet="""'"; -\\$%()abcselect""", min_size=1, max_size=20)


@given(value=HOSTILE)
def test_a_value_never_gets_into_the_text(value: str) -> None:
    marked = f"zq{value}qz"
    for operator in ("eq.{}", "like.{}", "cs.{}", "isdistinct.{}"):
        statement = read(f"status={quote(operator.format(marked))}".encode())
        assert "zq" not in statement.text
        assert marked in statement.values


@given(alias=HOSTILE)
def test_an_alias_is_quoted(alias: str) -> None:
    escaped = alias.replace("\\", "\\\\").replace('"', '\\"')
    selected = quote(f'"{escaped}":id')
    text = read(f"select={selected}".encode()).text
    quoted = alias.replace('"', '""')
    assert f'"~"."id" as "{quoted}" from' in text


@given(cast=st.text(max_size=12))
def test_a_cast_is_a_name_or_refused(cast: str) -> None:
    try:
        text = read(f"select={quote(f'id::{cast}')}".encode()).text
    except RestError:
        return
    found = re.search(r'cast\("~"\."id" as (.*?)\) as "id"', text)
    assert found is not None
    assert re.fullmatch(r"[A-Za-z0-9_ $]+", found[1], re.ASCII)
