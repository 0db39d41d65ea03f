"""v2 queries in PostgREST's words."""

from urllib.parse import unquote

import pytest

from gateway.postgrest import item_target, list_target, select
from routes.cursor import write_cursor
from routes.match import match
from routes.query import parse_list
from routes.resource import Resource

pytestmark = pytest.mark.unit

KEY = b"k" * 32


def resource(path: bytes) -> Resource:
    found = match(path)
    assert found is not None
    return found.resource


def asked(path: bytes, query: str) -> dict[str, list[str]]:
    """The parameters of the page that is asked from legacy, decoded."""
    what = resource(path)
    parsed = parse_list(what, query.encode(), staff=True, parent=None, cursor_key=KEY)
    target = list_target(parsed, what.columns(staff=True), limit=parsed.limit + 1).decode()
    found: dict[str, list[str]] = {}
    for pair in target.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        found.setdefault(name, []).append(unquote(value))
    return found


def test_columns_are_renamed_by_postgrest_itself() -> None:
    words = select(resource(b"/v2/submissions").columns(staff=False)).split(",")
    assert "given_name:first_name" in words
    assert "_guardian_phone:guardian_phone" in words
    assert "id" in words
    assert not [word for word in words if "safeguarding" in word]


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("status=sent", "status", "eq.sent_to_vendor"),
        ("status[ne]=sent", "status", "neq.sent_to_vendor"),
        ("status[in]=sent,failed", "status", 'in.("sent_to_vendor","failed")'),
        ("price_minor[gte]=1250", "price", "gte.12.50"),
        ("price_minor=5", "price", "eq.0.05"),
        ("requester_id[is]=null", "ordered_by", "is.null"),
        ("requester_id[is]=not_null", "ordered_by", "not.is.null"),
        ("test_code=a.b,(c)%22%5C", "test_code", 'eq.a.b,(c)"\\'),
        ('test_code[in]=a"b,c\\d', "test_code", 'in.("a\\"b","c\\\\d")'),
        (
            "created_at[lt]=2024-01-01T01:00:00%2B01:00",
            "created_at",
            "lt.2024-01-01T00:00:00+00:00",
        ),
    ],
)
def test_filters(query: str, name: str, value: str) -> None:
    assert asked(b"/v2/lab-orders", query)[name] == [value]


def test_order_and_limit_ask_for_one_more_row() -> None:
    words = asked(b"/v2/compliance", "order=-due_at,priority&limit=7")
    assert words["order"] == ["due_at.desc.nullslast,priority.asc.nullslast,id.asc.nullslast"]
    assert words["limit"] == ["8"]


def behind(position: tuple[str | None, ...]) -> str:
    what = resource(b"/v2/compliance")
    text = "order=-due_at"
    query = parse_list(what, text.encode(), staff=True, parent=None, cursor_key=KEY)
    cursor = write_cursor(position, query.fingerprint, KEY)
    return asked(b"/v2/compliance", f"{text}&cursor={cursor}")["or"][0]


def test_a_cursor_becomes_what_stands_behind_it() -> None:
    assert behind(("2024-01-01T00:00:00+00:00", "x")) == (
        '(due_at.lt."2024-01-01T00:00:00+00:00",due_at.is.null,'
        'and(due_at.eq."2024-01-01T00:00:00+00:00",id.gt."x"))'
    )
    assert behind((None, "x")) == '(and(due_at.is.null,id.gt."x"))'


def test_items_are_asked_by_key_and_with_what_the_tag_needs() -> None:
    what = resource(b"/v2/partner/stock")
    key = ("6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "LON 1", "a&b=c")
    target = item_target(what.asset, key, what.columns(staff=True)).decode()
    assert target.startswith("/rest/v1/partner_stock_levels?select=")
    assert target.endswith(
        "_origin:origin&partner_id=eq.6f9619ff-8b86-4d01-b42d-00cf4fc964ff&site_code=eq.LON%201&sku=eq.a%26b%3Dc&limit=1"
    )
