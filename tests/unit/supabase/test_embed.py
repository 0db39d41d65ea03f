"""Which relation an embed means, and what belongs to which relation."""

import pytest

from sandbox.supabase import embed, query
from sandbox.supabase.embed import Node, Relation, find_relation
from sandbox.supabase.errors import RestError
from sandbox.supabase.schema_cache import Table
from sandbox.supabase.terms import Embed, Window
from tests.fakes.supabase_schema import CLUBS, NAMES, ORDERS, PEOPLE, SCHEMA

pytestmark = pytest.mark.unit


def relation(origin: Table, name: str, hint: str | None = None) -> Relation:
    return find_relation(SCHEMA, origin, Embed(name=name, items=(), hint=hint))


def build(
    raw: bytes, *, read: bool = True, max_rows: int | None = None, table: Table = ORDERS
) -> Node:
    asked = query.parse(raw)
    return embed.build(
        asked, table, SCHEMA, window=asked.window(None), max_rows=max_rows, read=read
    )


@pytest.mark.parametrize(
    ("origin", "name", "hint", "constraint", "to_one"),
    [
        (ORDERS, "orders_patient", None, "orders_patient", True),
        (ORDERS, "doctor_id", None, "orders_doctor", True),
        (ORDERS, "people", "orders_doctor", "orders_doctor", True),
        (ORDERS, "people", "patient_id", "orders_patient", True),
        (PEOPLE, "orders", "orders_patient", "orders_patient", False),
        (PEOPLE, "orders", "doctor_id", "orders_doctor", False),
        (PEOPLE, "badges", None, "badges_person", True),
        (PEOPLE, "people", None, "people_boss", False),
        (PEOPLE, "boss_id", None, "people_boss", True),
        (PEOPLE, "people", "boss_id", "people_boss", False),
    ],
)
def test_one_relation(
    origin: Table, name: str, hint: str | None, constraint: str, to_one: bool
) -> None:
    found = relation(origin, name, hint)
    assert (found.constraint, found.to_one) == (constraint, to_one)


def test_through_a_junction() -> None:
    found = relation(PEOPLE, "clubs")
    assert found.junction is not None
    assert found.junction.table.name == "members"
    assert found.target == CLUBS
    assert relation(PEOPLE, "clubs", "members") == found
    assert relation(CLUBS, "people").origin_columns == ("id",)


@pytest.mark.parametrize(
    ("origin", "name", "code"),
    [
        (ORDERS, "people", "PGRST201"),
        (PEOPLE, "orders", "PGRST201"),
        (ORDERS, "clubs", "PGRST200"),
        (ORDERS, "nobody", "PGRST200"),
        (ORDERS, "names", "PGRST127"),
        (NAMES, "people", "PGRST127"),
        (PEOPLE, "full_name", "PGRST127"),
    ],
)
def test_none_or_several(origin: Table, name: str, code: str) -> None:
    with pytest.raises(RestError) as refused:
        relation(origin, name)
    assert refused.value.code == code


def test_filters_orders_and_windows_find_their_relation() -> None:
    root = build(
        b"select=id,boss:doctor_id(id,badges(code))&boss.name=eq.x&boss.badges.code=like.A*"
        b"&boss.order=name&boss.limit=2&boss.offset=1&boss.or=(id.eq.1,id.eq.2)&status=eq.y&limit=5"
    )
    boss = root.children[0]
    badges = boss.children[0]
    assert (len(root.filters), len(boss.filters), len(badges.filters)) == (1, 2, 1)
    assert [term.field.name for term in boss.order] == ["name"]
    assert boss.window == Window(lower=1, upper=2)
    assert root.window == Window(lower=0, upper=4)
    assert len({node.alias for node in (root, boss, badges)}) == 3


def test_a_relation_that_is_not_embedded() -> None:
    for raw in (
        b"select=id&people.name=eq.x",
        b"select=id&people.order=name",
        b"select=id&order=people(name)",
    ):
        with pytest.raises(RestError) as refused:
            build(raw)
        assert refused.value.code == "PGRST108"


def test_an_order_by_a_to_many_relation() -> None:
    with pytest.raises(RestError) as refused:
        build(b"select=id,badges(code),clubs(id)&order=clubs(id)", table=PEOPLE)
    assert refused.value.code == "PGRST118"


def test_a_write_keeps_its_own_filters_to_itself() -> None:
    root = build(b"select=id,doctor_id(name)&status=eq.x&doctor_id.name=eq.y&limit=1", read=False)
    assert root.filters == []
    assert len(root.children[0].filters) == 1
    assert root.window == Window()


def test_max_rows_caps_every_level() -> None:
    root = build(b"select=id,clubs(id)&clubs.limit=2", table=PEOPLE, max_rows=3)
    assert root.window == Window(lower=0, upper=2)
    assert root.children[0].window == Window(lower=0, upper=1)


def test_an_embed_without_columns_shows_nothing() -> None:
    root = build(b"select=id,clubs(people())", table=PEOPLE)
    assert not root.children[0].shows
    assert root.shows
