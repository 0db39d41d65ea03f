"""SQL of v2 queries: the shape decides the text, values are parameters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import assets
from catalog.asset import Asset
from catalog.column import Column
from routes import resources
from routes.cursor import Position
from routes.query import ListQuery, parse_list
from routes.resource import Resource
from services.sql import (
    Statement,
    count_statement,
    item_statement,
    known_statement,
    list_statement,
)

pytestmark = pytest.mark.unit

KEY = b"k" * 32
BY_PATH = {resource.path: resource for resource in resources()}
ONE, TWO = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def ask(
    path: str, query: str = "", *, staff: bool = True, after: Position | None = None
) -> ListQuery:
    parent = ONE if BY_PATH[path].nested else None
    parsed = parse_list(BY_PATH[path], query.encode(), staff=staff, parent=parent, cursor_key=KEY)
    if after is None:
        return parsed
    words = f"{query}&cursor={parsed.cursor(after, KEY)}".removeprefix("&").encode()
    return parse_list(BY_PATH[path], words, staff=staff, parent=parent, cursor_key=KEY)


def tail(statement: Statement) -> str:
    """From the inner `from` on."""
    return statement.text.partition(" from (select ")[2].partition(" from ")[2]


def test_a_plain_list_shows_the_viewer_s_columns_in_the_catalog_s_order() -> None:
    statement = list_statement(ask("/submissions", staff=False))
    columns = [column.target for column in BY_PATH["/submissions"].columns(staff=False)]
    assert "safeguarding_notes" not in columns
    assert statement.text == (
        f"select row_to_json(r)::text as item from (select {', '.join(f't.{name}' for name in columns)}"
        " from intake.submission t order by t.created_at desc, t.id limit $1::integer) r"
    )
    assert statement.values == (51,)


@pytest.mark.parametrize(
    ("query", "condition", "values"),
    [
        ("status=sent", "t.status = $1::text::diagnostics.lab_order_status", ("sent",)),
        (
            "status[in]=sent,draft",
            "t.status = any($1::text[]::diagnostics.lab_order_status[])",
            (["sent", "draft"],),
        ),
        ("test_code=A", "t.test_code = $1::text", ("A",)),
        ("test_code[in]=A,B", "t.test_code = any($1::text[])", (["A", "B"],)),
        ("vendor[ne]=A", "t.vendor <> $1::text", ("A",)),
        ("vendor[is]=null", "t.vendor is null", ()),
        ("vendor[is]=not_null", "t.vendor is not null", ()),
        ("priority[lt]=3", "t.priority < $1::text::smallint", ("3",)),
        ("order_number[lte]=3", "t.order_number <= $1::text::bigint", ("3",)),
        (
            "created_at[gt]=2024-01-01T00:00:00Z",
            "t.created_at > $1::text::timestamptz",
            ("2024-01-01T00:00:00+00:00",),
        ),
        (
            "price_minor[gte]=1&priority=2",
            "t.price_minor >= $1::text::bigint and t.priority = $2::text::smallint",
            ("1", "2"),
        ),
    ],
)
def test_filters(query: str, condition: str, values: tuple[object, ...]) -> None:
    parsed = ask("/lab-orders", query)
    statement = list_statement(parsed)
    assert f" where {condition} order by " in statement.text
    assert statement.values == (*values, 51)
    counted = count_statement(parsed)
    assert counted.text == f"select count(*) from diagnostics.lab_order t where {condition}"
    assert counted.values == values


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ("id", "t.id"),
        ("-id", "t.id desc"),
        ("-created_at", "t.created_at desc, t.id"),
        ("ordered_at", "t.ordered_at, t.id"),
        ("-ordered_at", "t.ordered_at desc nulls last, t.id"),
        ("-priority,ordered_at,-id", "t.priority desc, t.ordered_at, t.id desc"),
    ],
)
def test_nulls_are_last_and_what_is_never_null_can_use_its_index(order: str, text: str) -> None:
    statement = list_statement(ask("/lab-orders", f"order={order}"))
    assert f" order by {text} limit " in statement.text


@pytest.mark.parametrize(
    ("order", "after", "condition", "values"),
    [
        # One direction, never null: PostgreSQL compares the whole row, and an index can start there.
        ("id", (ONE,), "(t.id) > ($1::text::uuid)", (ONE,)),
        (
            "-priority,-id",
            ("3", ONE),
            "(t.priority, t.id) < ($1::text::smallint, $2::text::uuid)",
            ("3", ONE),
        ),
        # Mixed: spelt out, with a bound for the index in front.
        (
            "-priority",
            ("3", ONE),
            "t.priority <= $1::text::smallint and (t.priority < $1::text::smallint"
            " or t.priority = $1::text::smallint and t.id > $2::text::uuid)",
            ("3", ONE),
        ),
    ],
)
def test_behind_a_position(
    order: str, after: Position, condition: str, values: tuple[str, ...]
) -> None:
    statement = list_statement(ask("/lab-orders", f"order={order}", after=after))
    assert f" where {condition} order by " in statement.text
    assert statement.values == (*values, 51)


def test_behind_a_value_of_a_nullable_column_come_the_nulls_too() -> None:
    at = "2024-01-01T00:00:00+00:00"
    statement = list_statement(ask("/lab-orders", "order=-ordered_at", after=(at, ONE)))
    place = "$1::text::timestamptz"
    assert (
        f" where ((t.ordered_at < {place} or t.ordered_at is null)"
        f" or t.ordered_at = {place} and t.id > $2::text::uuid) order by "
    ) in statement.text


def test_behind_a_null_come_only_nulls() -> None:
    statement = list_statement(ask("/lab-orders", "order=-ordered_at", after=(None, ONE)))
    assert " where (t.ordered_at is null and t.id > $1::text::uuid) order by " in statement.text
    assert statement.values == (ONE, 51)


def test_a_nested_list_is_the_parent_s() -> None:
    statement = list_statement(ask("/lab-orders/{id}/events"))
    assert (
        " where t.lab_order_id = $1::text::uuid order by t.occurred_at, t.id limit "
        in statement.text
    )


def test_an_item_brings_what_its_entity_tag_is_made_of() -> None:
    orders = item_statement(BY_PATH["/lab-orders"], (ONE,), staff=False)
    assert " to_json(t.updated_at) #>> '{}' as stamp, t.origin" in orders.text
    assert "vendor_payload" not in orders.text
    assert orders.text.endswith(" from diagnostics.lab_order t where t.id = $1::text::uuid")
    logs = item_statement(BY_PATH["/partner/temperature-logs"], ("7",), staff=False)
    assert "to_json(t.created_at)" in logs.text
    stock = item_statement(BY_PATH["/partner/stock"], (ONE, "A", "B"), staff=False)
    assert stock.text.endswith(
        " where t.partner_id = $1::text::uuid and t.site_code = $2::text and t.sku = $3::text"
    )
    assert stock.values == (ONE, "A", "B")


def test_known_asks_rows_and_tombstones_by_the_types_of_the_key() -> None:
    statement = known_statement(
        assets()["partner_stock_levels"], [(ONE, "A", "B"), (TWO, "C", "D")]
    )
    assert statement.values == ([ONE, TWO], ["A", "C"], ["B", "D"])
    assert "unnest($1::text[], $2::text[], $3::text[])" in statement.text
    assert "u.partner_id::uuid as partner_id, u.site_code::text as site_code" in statement.text
    assert "partner_ops.tombstones" in statement.text
    assert "d.entity = 'partner_stock_levels'" in statement.text


def every_column(asset: Asset) -> list[Column]:
    return [column for column in asset.kept if isinstance(column, Column)]


@pytest.mark.parametrize("path", BY_PATH)
@given(data=st.data())
def test_the_text_depends_on_the_shape_alone(path: str, data: st.DataObject) -> None:
    """Two queries that differ in values only are one prepared statement; no value is ever in a text."""
    resource = BY_PATH[path]
    texts = {column: f"planted{n}" for n, column in enumerate(text_filters(resource))}
    chosen = data.draw(st.lists(st.sampled_from([*texts, "limit"]), unique=True))
    values = data.draw(
        st.lists(st.text(st.characters(codec="ascii"), min_size=1), min_size=2, max_size=2)
    )

    def statement(value: str) -> Statement:
        words = [f"{name}={'7' if name == 'limit' else quoted(value)}" for name in chosen]
        return list_statement(ask(path, "&".join(words)))

    first, second = (statement(f"planted{value}") for value in values)
    assert first.text == second.text
    assert "planted" not in first.text
    places = {int(n) for n in re.findall(r"\$(\d+)", first.text)}
    assert places == set(range(1, len(first.values) + 1))


def text_filters(resource: Resource) -> list[str]:
    return [
        column.target
        for column in every_column(resource.asset)
        if column.filter and column.public and column.type == "text"
    ]


def quoted(value: str) -> str:
    return "".join(f"%{byte:02X}" for byte in value.replace("\x00", "").encode())


def test_every_name_in_a_statement_is_a_plain_identifier() -> None:
    """Statements hold the catalog's names unquoted."""
    names = {
        name
        for asset in assets().values()
        for name in (asset.entity, asset.service, asset.target, *(c.target for c in asset.kept))
    }
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []
