"""Select, order, filters and logic, from text to terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.supabase import grammar
from sandbox.supabase.errors import RestError
from sandbox.supabase.grammar import NoOperator
from sandbox.supabase.terms import Arrow, Column, Condition, Embed, Field, Logic, Order

pytestmark = pytest.mark.unit


def plain(name: str) -> Column:
    return Column(field=Field(name=name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("*", (plain("*"),)),
        ("id, name", (plain("id"), plain("name"))),
        ("who:name", (Column(field=Field(name="name"), alias="who"),)),
        ("id::text", (Column(field=Field(name="id"), cast="text"),)),
        ("n:id::int", (Column(field=Field(name="id"), alias="n", cast="int"),)),
        ('"a.b","c:d"', (plain("a.b"), plain("c:d"))),
        ("a-b", (plain("a-b"),)),
        ("rel(*)", (Embed(name="rel", items=(plain("*"),)),)),
        ("rel()", (Embed(name="rel", items=()),)),
        ("rel!inner(id)", (Embed(name="rel", items=(plain("id"),), inner=True),)),
        ("rel!left(id)", (Embed(name="rel", items=(plain("id"),)),)),
        ("rel!fk!inner(id)", (Embed(name="rel", items=(plain("id"),), hint="fk", inner=True),)),
        ("a:rel!fk(id)", (Embed(name="rel", items=(plain("id"),), hint="fk", alias="a"),)),
        ("...rel(id)", (Embed(name="rel", items=(plain("id"),), spread=True),)),
        ("a(b(c),d)", (Embed(name="a", items=(Embed(name="b", items=(plain("c"),)), plain("d"))),)),
        ("rel(count)", (Embed(name="rel", items=(plain("count"),)),)),
    ],
)
def test_select(text: str, expected: tuple[object, ...]) -> None:
    assert grammar.parse_select(text) == expected


def test_json_paths_and_their_labels() -> None:
    (item,) = grammar.parse_select("meta->pet->>name")
    assert isinstance(item, Column)
    assert item.field.arrows == (
        Arrow(key="pet", index=False, as_text=False),
        Arrow(key="name", index=False, as_text=True),
    )
    assert item.field.label == "name"
    (first,) = grammar.parse_select("meta->list->0")
    assert isinstance(first, Column)
    assert first.field.arrows[-1] == Arrow(key="0", index=True, as_text=False)
    assert first.field.label == "list"


@pytest.mark.parametrize(
    "text", ["id,,name", "id,", "rel(id", "id!x", ":id", "a::", "->x", "m->>--1"]
)
def test_broken_selects(text: str) -> None:
    with pytest.raises(RestError) as refused:
        grammar.parse_select(text)
    assert (refused.value.code, refused.value.status) == ("PGRST100", 400)


@pytest.mark.parametrize("text", ["count()", "age.sum()", "x:age.max()", "age.avg()::int"])
def test_aggregates_are_switched_off(text: str) -> None:
    with pytest.raises(RestError) as refused:
        grammar.parse_select(text)
    assert refused.value.code == "PGRST123"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", Order(field=Field(name="a"))),
        ("a.asc", Order(field=Field(name="a"), descending=False)),
        ("a.desc.nullslast", Order(field=Field(name="a"), descending=True, nulls="last")),
        ("a.nullsfirst", Order(field=Field(name="a"), nulls="first")),
        ("rel(a).desc", Order(field=Field(name="a"), descending=True, relation="rel")),
    ],
)
def test_order(text: str, expected: Order) -> None:
    assert grammar.parse_order(text) == (expected,)


@pytest.mark.parametrize("text", ["a.up", "a.desc.nullslasttt", "a.asc.desc", "", "a,"])
def test_broken_orders(text: str) -> None:
    with pytest.raises(RestError):
        grammar.parse_order(text)


@pytest.mark.parametrize(
    ("value", "operator", "operand", "negated", "quantifier"),
    [
        ("eq.1", "eq", "1", False, None),
        ("eq.", "eq", "", False, None),
        ("not.eq.a.b", "eq", "a.b", True, None),
        ("gte.2024-01-01T00:00:00Z", "gte", "2024-01-01T00:00:00Z", False, None),
        ("eq(any).{1,2}", "eq", "{1,2}", False, "any"),
        ("like(all).{a*,*b}", "like", "{a*,*b}", False, "all"),
        ("is.NULL", "is", "null", False, None),
        ("is.not_null", "is", "not_null", False, None),
        ("isdistinct.x", "isdistinct", "x", False, None),
        ("in.(1,2)", "in", ("1", "2"), False, None),
        ('in.("a,b",c)', "in", ("a,b", "c"), False, None),
        (r'in.("say \"hi\"")', "in", ('say "hi"',), False, None),
        ('in.("say "hi"")', "in", ('"say "hi""',), False, None),
        ("in.()", "in", (), False, None),
        ("in.( 1,2)", "in", ("1", "2"), False, None),
    ],
)
def test_filters(
    value: str, operator: str, operand: object, negated: bool, quantifier: str | None
) -> None:
    path, found = grammar.parse_filter("a.col", value)
    assert path == ("a",)
    assert found.field == Field(name="col")
    assert (found.operator, found.value, found.negated, found.quantifier) == (
        operator,
        operand,
        negated,
        quantifier,
    )


@pytest.mark.parametrize("value", ["1", "equals.1", "eq", "eqx.1", "neq(any).1", ""])
def test_no_operator(value: str) -> None:
    with pytest.raises(NoOperator):
        grammar.parse_filter("id", value)


@pytest.mark.parametrize("value", ["not.1", "is.maybe", "in.1"])
def test_half_an_operator_is_an_error(value: str) -> None:
    with pytest.raises(RestError) as refused:
        grammar.parse_filter("id", value)
    assert refused.value.code == "PGRST100"


@pytest.mark.parametrize("value", ["fts.x", "plfts(german).x", "not.wfts.x", "sl.(1,2)", "adj.x"])
def test_operators_that_are_not_built(value: str) -> None:
    with pytest.raises(RestError) as refused:
        grammar.parse_filter("id", value)
    assert refused.value.code == "PGRST127"


def test_logic_nests() -> None:
    path, found = grammar.parse_logic(
        "rel.or", "(a.eq.1,and(b.gt.2,c.not.is.null),not.or(d.in.(1,2)))"
    )
    assert path == ("rel",)
    assert found.connective == "or"
    first, second, third = found.terms
    assert isinstance(first, Condition)
    assert isinstance(second, Logic)
    assert isinstance(third, Logic)
    assert first.value == "1"
    assert (second.connective, len(second.terms), second.negated) == ("and", 2, False)
    assert (third.connective, third.negated) == ("or", True)
    (inner,) = third.terms
    assert isinstance(inner, Condition)
    assert inner.value == ("1", "2")


def test_logic_in_a_key() -> None:
    assert grammar.parse_logic("not.and", "(a.eq.1)")[1].negated
    path, found = grammar.parse_logic("a.not.or", "(b.eq.1)")
    assert (path, found.negated, found.connective) == (("a",), True, "or")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('(a.eq."x,y)")', "x,y)"),
        ("(a.cs.{1,2})", "{1,2}"),
        ("(a.eq.x y)", "x y"),
        ('(a.eq."x"y)', '"x"y'),
    ],
)
def test_values_inside_logic(value: str, expected: str) -> None:
    (term,) = grammar.parse_logic("or", value)[1].terms
    assert isinstance(term, Condition)
    assert term.value == expected


@pytest.mark.parametrize(
    "value", ["", "()", "(a.eq.1", "(a)", "(a.xx.1)", "a.eq.1", "(not.a.eq.1)"]
)
def test_broken_logic(value: str) -> None:
    with pytest.raises(RestError) as refused:
        grammar.parse_logic("or", value)
    assert refused.value.code == "PGRST100"


@given(st.text(alphabet='a1.,()"\\:-> *!{}not', max_size=30))
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Whatever comes, the answer is terms or an error of ours, and nobody loops."""
    for parse in (
        grammar.parse_select,
        grammar.parse_order,
        lambda value: grammar.parse_filter("a", value),
        lambda value: grammar.parse_filter(value, "eq.1"),
        lambda value: grammar.parse_logic("or", value),
    ):
        try:
            assert parse(text) is not None
        except (RestError, NoOperator):
            continue


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_quoted_items_come_back_as_they_were(items: list[str]) -> None:
    escaped = [item.replace("\\", "\\\\").replace('"', '\\"') for item in items]
    written = ",".join(f'"{item}"' for item in escaped)
    assert grammar.parse_filter("a", f"in.({written})")[1].value == tuple(items)
