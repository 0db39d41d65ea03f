"""Writing statements."""

import pytest

from sandbox.supabase import embed, query, write
from sandbox.supabase.errors import RestError
from sandbox.supabase.sql import Statement
from sandbox.supabase.terms import Filter, Window
from sandbox.supabase.write import Answer, Conflict, Payload
from tests.fakes.supabase_schema import ORDERS, SCHEMA

pytestmark = pytest.mark.unit

ONE = Payload(text='{"status":"x"}', columns=("status",), single=True)


def answer(raw: bytes = b"", *, representation: bool = False, location: bool = False) -> Answer:
    asked = query.parse(raw)
    root = embed.build(asked, ORDERS, SCHEMA, window=Window(), max_rows=None, read=False)
    return Answer(root=root, shape="array", representation=representation, location=location)


def written(statement: Statement) -> str:
    return statement.text.partition(", page as")[0]


def test_minimal_returns_no_column() -> None:
    statement = write.insert(ONE, answer(), SCHEMA)
    assert written(statement) == (
        'with written as (insert into "public"."orders" as "~" ("status") select "~body"."status" from'
        ' json_to_record($1::text::json) as "~body"("status" text) returning 1 as done)'
    )
    assert statement.values == ('{"status":"x"}',)


def test_a_representation_returns_what_it_needs() -> None:
    wanted = answer(b"select=status,doctor_id(name)&order=price", representation=True)
    text = written(write.delete(wanted, SCHEMA, where=()))
    assert text.endswith('returning "~"."doctor_id", "~"."id", "~"."price", "~"."status")')
    star = answer(b"", representation=True)
    assert written(write.delete(star, SCHEMA, where=())).endswith('returning "~".*)')


def test_a_location_returns_the_key() -> None:
    text = write.insert(ONE, answer(b"select=status", location=True), SCHEMA).text
    assert 'returning "~"."id", "~"."status")' in text
    assert "where k.key in ('id')" in text


def test_several_rows_and_defaults() -> None:
    many = Payload(text="[]", columns=("meta", "price"), single=False)
    assert 'json_to_recordset($1::text::json) as "~body"("meta" jsonb, "price" numeric)' in written(
        write.insert(many, answer(), SCHEMA)
    )
    filled = Payload(text="[]", columns=("price",), single=False, defaults=True)
    assert "jsonb_to_recordset((select coalesce(jsonb_agg(jsonb_build_object() || item), '[]')" in (
        written(write.insert(filled, answer(), SCHEMA))
    )


def test_no_columns_at_all() -> None:
    nothing = Payload(text="{}", columns=(), single=True)
    assert 'select  from (values (1)) as "~body"' in written(
        write.insert(nothing, answer(), SCHEMA)
    )
    assert write.insert(nothing, answer(), SCHEMA).values == ()
    assert "where false" in written(write.update(nothing, answer(), SCHEMA, where=()))


def test_upserts() -> None:
    merge = write.insert(ONE, answer(), SCHEMA, conflict=Conflict(columns=("id",), merge=True))
    assert (
        'on conflict ("id") do update set "status" = excluded."status" where set_config'
        in merge.text
    )
    ignore = write.insert(ONE, answer(), SCHEMA, conflict=Conflict(columns=("id",), merge=False))
    assert 'on conflict ("id") do nothing' in ignore.text


def test_updates_and_deletes_by_filter() -> None:
    asked = query.parse(b"status=eq.a&or=(price.gt.1,price.is.null)")
    where: tuple[Filter, ...] = (
        *(term for _, term in asked.filters),
        *(term for _, term in asked.logic),
    )
    text = written(write.update(ONE, answer(), SCHEMA, where=where))
    assert 'update "public"."orders" as "~" set "status" = "~body"."status" from' in text
    assert 'where ("~"."status" = $2::text::text) and (("~"."price" > $3::text::numeric) or' in text
    assert "where" not in written(write.delete(answer(), SCHEMA, where=()))


def test_an_unknown_column() -> None:
    unknown = Payload(text="{}", columns=("shoe",), single=True)
    with pytest.raises(RestError) as refused:
        write.insert(unknown, answer(), SCHEMA)
    assert (refused.value.code, refused.value.status) == ("PGRST204", 400)
