"""The query language: everything is understood, or refused and named."""

from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog.column import ORDERED, Column
from routes import resources
from routes.query import (
    DEFAULT_LIMIT,
    MAX_IN,
    MAX_LIMIT,
    Filter,
    ListQuery,
    Op,
    QueryError,
    Sort,
    pairs,
    parse_list,
)
from routes.resource import Resource

pytestmark = pytest.mark.unit

KEY = b"0123456789abcdef0123456789abcdef"
ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
BY_PATH = {resource.path: resource for resource in resources()}
ORDERS, EVENTS, STOCK, SUBMISSIONS, TEMPERATURES, CHECKINS = (
    BY_PATH[path]
    for path in (
        "/lab-orders",
        "/lab-orders/{id}/events",
        "/partner/stock",
        "/submissions",
        "/partner/temperature-logs",
        "/partner/checkins",
    )
)
RESOURCES = [pytest.param(resource, id=resource.path) for resource in resources()]


def ask(
    query: str | bytes = "", resource: Resource = ORDERS, *, staff: bool = False, key: bytes = KEY
) -> ListQuery:
    raw = query if isinstance(query, bytes) else query.encode()
    parent = ID if resource.nested else None
    return parse_list(resource, raw, staff=staff, parent=parent, cursor_key=key)


def refusal(
    query: str | bytes, resource: Resource = ORDERS, *, staff: bool = False, key: bytes = KEY
) -> tuple[str, str]:
    with pytest.raises(QueryError) as refused:
        ask(query, resource, staff=staff, key=key)
    assert str(refused.value) == f"{refused.value.field}: {refused.value.code}"
    return refused.value.field, refused.value.code


def column(name: str, resource: Resource = ORDERS) -> Column:
    found = resource.asset.by_target[name]
    assert isinstance(found, Column)
    return found


# ---- filters


@pytest.mark.parametrize(
    ("query", "resource", "name", "op", "values"),
    [
        ("status=sent", ORDERS, "status", Op.EQ, ("sent",)),
        ("status[ne]=sent", ORDERS, "status", Op.NE, ("sent",)),
        ("status[in]=sent,draft", ORDERS, "status", Op.IN, ("sent", "draft")),
        ("status%5Bin%5D=sent%2Cdraft", ORDERS, "status", Op.IN, ("sent", "draft")),
        ("priority[lt]=3", ORDERS, "priority", Op.LT, ("3",)),
        ("priority[lte]=03", ORDERS, "priority", Op.LTE, ("3",)),
        ("order_number[gt]=-0", ORDERS, "order_number", Op.GT, ("0",)),
        ("price_minor[gte]=1250", ORDERS, "price_minor", Op.GTE, ("1250",)),
        ("price_minor[is]=null", ORDERS, "price_minor", Op.IS_NULL, ()),
        ("ordered_at[is]=not_null", ORDERS, "ordered_at", Op.NOT_NULL, ()),
        ("vendor=", ORDERS, "vendor", Op.EQ, ("",)),
        ("vendor", ORDERS, "vendor", Op.EQ, ("",)),
        ("vendor=a+b%2Bc=d", ORDERS, "vendor", Op.EQ, ("a b+c=d",)),
        ("vendor=null", ORDERS, "vendor", Op.EQ, ("null",)),
        ("vendor=a,b", ORDERS, "vendor", Op.EQ, ("a,b",)),
        ("vendor[in]=a,,b", ORDERS, "vendor", Op.IN, ("a", "", "b")),
        (f"requester_id={ID.upper()}", ORDERS, "requester_id", Op.EQ, (ID,)),
        (
            "created_at[gte]=2025-03-30T03:00:00%2B02:00",
            ORDERS,
            "created_at",
            Op.GTE,
            ("2025-03-30T01:00:00+00:00",),
        ),
        ("temperature_c[lt]=-40.50", TEMPERATURES, "temperature_c", Op.LT, ("-40.5",)),
        ("is_excursion=true", TEMPERATURES, "is_excursion", Op.EQ, ("true",)),
        ("expires_on[gt]=2025-12-31", CHECKINS, "expires_on", Op.GT, ("2025-12-31",)),
    ],
)
def test_filters(query, resource, name, op, values):
    assert ask(query, resource).filters == (
        Filter(column=column(name, resource), op=op, values=values),
    )


def test_filters_are_all_kept_in_order():
    query = ask("status=sent&vendor=a&status=draft&vendor=a")
    assert [(f.column.target, f.values) for f in query.filters] == [
        ("status", ("sent",)),
        ("vendor", ("a",)),
        ("status", ("draft",)),
        ("vendor", ("a",)),
    ]


@pytest.mark.parametrize("resource", RESOURCES)
def test_exactly_the_declared_columns_filter_and_sort(resource):
    """Whoever asks: a column that is internal, merged or not declared is unknown; staff columns are unknown to others."""
    for staff in (False, True):
        for found in resource.asset.kept:
            shown = found.public and (staff or found.target not in resource.staff_only)
            filters, sorts = shown and found.filter, shown and found.sort
            word = f"{found.target}[is]=null"
            order = f"order={found.target}"
            if filters:
                assert ask(word, resource, staff=staff).filters[0].column is found
            else:
                assert refusal(word, resource, staff=staff)[1] == "unknown_parameter"
            if sorts:
                assert ask(order, resource, staff=staff).order[0].column is found
            else:
                assert refusal(order, resource, staff=staff) == ("order", "unknown_field")


@pytest.mark.parametrize(
    "resource",
    [pytest.param(resource, id=resource.path) for resource in resources()],
)
def test_ranges_are_for_types_with_an_order(resource):
    texts = {
        "smallint": "1",
        "integer": "1",
        "bigint": "1",
        "numeric": "1",
        "date": "2025-01-01",
        "timestamptz": "2025-01-01T00:00:00Z",
    }
    for found in resource.asset.kept:
        if not (isinstance(found, Column) and found.filter and found.public):
            continue
        for op in ("lt", "lte", "gt", "gte"):
            word = f"{found.target}[{op}]={texts.get(found.type, 'x')}"
            if found.type in ORDERED:
                assert ask(word, resource, staff=True).filters[0].op == op
            else:
                expected = (f"{found.target}[{op}]", "no_range_on_this_field")
                assert refusal(word, resource, staff=True) == expected


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("colour=red", "colour", "unknown_parameter"),
        ("Status=sent", "Status", "unknown_parameter"),
        ("result_summary=x", "result_summary", "unknown_parameter"),
        ("vendor_payload=x", "vendor_payload", "unknown_parameter"),
        ("price=12.50", "price", "unknown_parameter"),
        ("select=id", "select", "unknown_parameter"),
        ("or=(a.eq.1)", "or", "unknown_parameter"),
        ("limit[eq]=5", "limit[eq]", "unknown_parameter"),
        ("_=1", "_", "unknown_parameter"),
        ("=x", "", "unknown_parameter"),
        ("&", "", "unknown_parameter"),
        ("status=sent&", "", "unknown_parameter"),
        ("status=sent;vendor=x", "status", "unknown_value"),
        ("status[eq]=sent", "status[eq]", "unknown_operator"),
        ("status[]=sent", "status[]", "unknown_operator"),
        ("status[IN]=sent", "status[IN]", "unknown_operator"),
        ("status[in=sent", "status[in", "unknown_operator"),
        ("status[in]x=sent", "status[in]x", "unknown_operator"),
        ("status[in]]=sent", "status[in]]", "unknown_operator"),
        ("status[like]=s*", "status[like]", "unknown_operator"),
        ("status[is_null]=x", "status[is_null]", "unknown_operator"),
        ("status]=sent", "status]", "unknown_parameter"),
        ("vendor[is]=", "vendor[is]", "expected_null_or_not_null"),
        ("vendor[is]=NULL", "vendor[is]", "expected_null_or_not_null"),
        ("status[gt]=sent", "status[gt]", "no_range_on_this_field"),
        ("vendor[lt]=a", "vendor[lt]", "no_range_on_this_field"),
        ("id[gte]=" + ID, "id[gte]", "no_range_on_this_field"),
        ("status=sent_to_vendor", "status", "unknown_value"),
        ("status[in]=sent,", "status[in]", "unknown_value"),
        ("priority=high", "priority", "expected_integer"),
        ("priority[in]=1, 2", "priority[in]", "expected_integer"),
        ("price_minor=12.50", "price_minor", "expected_integer"),
        ("id=1", "id", "expected_uuid"),
        ("created_at=yesterday", "created_at", "expected_timestamp_with_offset"),
        (
            "created_at[gt]=2025-03-30T01:00:00+02:00",
            "created_at[gt]",
            "blank_in_timestamp_write_Z_or_%2B",
        ),
        ("vendor[in]=" + "a," * MAX_IN, "vendor[in]", "too_many_values"),
        ("vendor=%ff", "vendor", "not_utf8"),
        ("%ff=a", "%ff", "not_utf8"),
        (b"\xff=a", "?", "not_utf8"),
        ("vendor=%00", "vendor", "nul_byte"),
        ("a%00=a", "a%00", "nul_byte"),
        ("vendor=100%", "vendor", "broken_percent_escape"),
        ("%5=a", "%5", "broken_percent_escape"),
    ],
)
def test_refusals(query, field, code):
    assert refusal(query) == (field, code)


def test_the_documented_bounds():
    assert (DEFAULT_LIMIT, MAX_LIMIT, MAX_IN) == (50, 200, 200)


def test_as_many_values_as_allowed():
    assert len(ask("vendor[in]=" + "a," * (MAX_IN - 1)).filters[0].values) == MAX_IN


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("é" * 10, "?" * 10),
        ("a" * 1000, "a" * 64),
        ("a\r\nb\tc\x7f", "a??b?c?"),
        ("<script>", "<script>"),
    ],
)
def test_a_refused_name_is_short_and_printable(name, shown):
    assert refusal(f"{quote(name)}=1") == (shown, "unknown_parameter")


# ---- order and limit


@pytest.mark.parametrize(
    ("resource", "query", "words"),
    [
        (ORDERS, "", ["-created_at", "id"]),
        (ORDERS, "order=ordered_at", ["ordered_at", "id"]),
        (ORDERS, "order=-id", ["-id"]),
        (ORDERS, "order=-priority,-id,created_at", ["-priority", "-id", "created_at"]),
        (ORDERS, "order=priority%2C-id", ["priority", "-id"]),
        (STOCK, "", ["partner_id", "site_code", "sku"]),
        (STOCK, "order=-on_hand", ["-on_hand", "partner_id", "site_code", "sku"]),
        (STOCK, "order=-partner_id", ["-partner_id", "site_code", "sku"]),
        (EVENTS, "", ["occurred_at", "id"]),
    ],
)
def test_order_is_total(resource, query, words):
    assert [sort.word for sort in ask(query, resource).order] == words


def test_order_names_columns_and_directions():
    assert ask("order=-priority,id").order == (
        Sort(column=column("priority"), descending=True),
        Sort(column=column("id")),
    )


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("order=", "unknown_field"),
        ("order=colour", "unknown_field"),
        ("order=status", "unknown_field"),
        ("order=vendor", "unknown_field"),
        ("order=price_minor", "unknown_field"),
        ("order=--id", "unknown_field"),
        ("order=+id", "unknown_field"),
        ("order=id.desc", "unknown_field"),
        ("order=id,", "unknown_field"),
        ("order=id, priority", "unknown_field"),
        ("order=id,id", "repeated"),
        ("order=id,-id", "repeated"),
        ("order=id&order=priority", "repeated"),
    ],
)
def test_no_order(query, code):
    assert refusal(query) == ("order", code)


@pytest.mark.parametrize(
    ("query", "limit"),
    [("", DEFAULT_LIMIT), ("limit=1", 1), ("limit=200", 200), ("limit=0050", 50)],
)
def test_limit(query, limit):
    assert ask(query).limit == limit


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "201", "1.0", "1e2", "%2B1", "ten", "00001", "٥", "²", "9" * 5000]
)
def test_no_limit(text):
    assert refusal(f"limit={quote(text, safe='%')}") == ("limit", f"expected_1_to_{MAX_LIMIT}")


def test_a_repeated_limit_is_refused():
    assert refusal("limit=1&limit=1") == ("limit", "repeated")


# ---- nested collections


def test_a_nested_collection_is_filtered_by_its_parent():
    query = ask("kind=created", EVENTS)
    assert query.filters == (
        Filter(column=column("kind", EVENTS), op=Op.EQ, values=("created",)),
        Filter(column=column("lab_order_id", EVENTS), op=Op.EQ, values=(ID,)),
    )
    assert query.path == f"/v2/lab-orders/{ID}/events"
    assert ask().path == "/v2/lab-orders"


# ---- cursors


def test_a_cursor_goes_on_behind_its_position():
    position = ("2025-03-30T01:00:00+00:00", ID)
    first = ask("status=sent&vendor[in]=a,b&limit=10")
    cursor = first.cursor(position, KEY)
    again = ask(f"limit=20&vendor[in]=a,b&cursor={cursor}&status=sent")
    assert (first.after, again.after) == (None, position)
    assert again.limit == 20


@pytest.mark.parametrize(
    ("query", "resource", "staff"),
    [
        ("status=draft", ORDERS, False),
        ("status=sent&status=sent", ORDERS, False),
        ("status[ne]=sent", ORDERS, False),
        ("status[in]=sent", ORDERS, False),
        ("status=sent&order=id", ORDERS, False),
        ("status=sent&order=created_at", ORDERS, False),
        ("", ORDERS, False),
        ("status=sent", ORDERS, True),
        ("", STOCK, False),
    ],
)
def test_a_cursor_of_another_query_is_refused(query, resource, staff):
    cursor = ask("status=sent").cursor(("x", ID), KEY)
    parameter = f"{query}&cursor={cursor}" if query else f"cursor={cursor}"
    assert refusal(parameter, resource, staff=staff) == ("cursor", "cursor_of_another_query")


def test_a_cursor_of_another_parent_is_refused():
    cursor = ask("", EVENTS).cursor(("x", "1"), KEY)
    other = ID.replace("6", "7")
    with pytest.raises(QueryError, match="cursor_of_another_query"):
        parse_list(EVENTS, f"cursor={cursor}".encode(), staff=False, parent=other, cursor_key=KEY)


@pytest.mark.parametrize("text", ["", "x", "null", "AAAA", "é", "A" * 5000])
def test_no_cursor(text):
    assert refusal(f"cursor={quote(text)}") == ("cursor", "invalid_cursor")


def test_a_cursor_of_another_key_is_refused():
    cursor = ask().cursor(("x", ID), KEY)
    assert refusal(f"cursor={cursor}", key=KEY[::-1]) == ("cursor", "invalid_cursor")


def test_two_cursors_are_refused():
    cursor = ask().cursor(("x", ID), KEY)
    assert refusal(f"cursor={cursor}&cursor={cursor}") == ("cursor", "repeated")


# ---- a query's own text


@pytest.mark.parametrize("after", [None, ("2025-03-30T01:00:00+00:00", None, ID)])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "status=sent&vendor[ne]=a%26b%3Dc%2C%25&vendor[in]=a,+,%C3%A9&limit=7",
        "ordered_at[is]=null&vendor[is]=not_null&order=-ordered_at,priority",
        "created_at[gte]=2025-03-30T01:00:00%2B02:00&order_number[lt]=007",
    ],
)
def test_a_querys_text_parses_to_the_query(query, after):
    first = ask(query)
    if after is not None:
        first = ask(f"{first.text(KEY)}&cursor={first.cursor(after, KEY)}")
    assert ask(first.text(KEY)) == first


def test_a_nested_querys_text_leaves_the_parent_to_the_path():
    query = ask("kind=created&limit=3", EVENTS)
    assert "lab_order_id" not in query.text(KEY)
    assert ask(query.text(KEY), EVENTS) == query


# ---- anything at all

NAMES = sorted(
    {column.target for resource in resources() for column in resource.asset.kept}
    | {"order", "limit", "cursor", "", "x"}
)
OPERATORS = [
    "",
    "[ne]",
    "[lt]",
    "[lte]",
    "[gt]",
    "[gte]",
    "[in]",
    "[is]",
    "[",
    "]",
    "[eq]",
    "[in][in]",
]
VALUES = [
    "null",
    "not_null",
    "true",
    "sent",
    "5",
    "-id",
    "id,id",
    ID,
    "2025-03-30",
    "%",
    "%00",
    "+",
    ",",
]
words = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(OPERATORS),
    st.sampled_from(VALUES) | st.text(max_size=20),
).map(lambda parts: f"{parts[0]}{parts[1]}={quote(parts[2], safe=',+%[]')}")


@given(
    st.sampled_from(resources()),
    st.booleans(),
    st.lists(words, max_size=4).map("&".join) | st.text() | st.binary(),
)
@example(ORDERS, False, "&".join(["status=sent"] * 2000))
@example(ORDERS, False, "[" * 5000)
@example(SUBMISSIONS, True, "safeguarding_concern=true&guardian[is]=null")
@settings(deadline=None, max_examples=400)
def test_hostile_queries_are_understood_or_refused(resource, staff, query):
    raw = query if isinstance(query, bytes) else query.encode("utf-8", "surrogatepass")
    try:
        parsed, refused = ask(raw, resource, staff=staff), None
    except QueryError as error:
        parsed, refused = None, error
    if refused is not None:
        assert refused.field.isascii()
        assert refused.field == "" or refused.field.isprintable()
        assert len(refused.field) <= 64
        assert refused.code.isascii()
    else:
        assert isinstance(parsed, ListQuery)
        assert_everything_was_taken(parsed, raw)
        assert ask(parsed.text(KEY), resource, staff=staff) == parsed


def assert_everything_was_taken(parsed: ListQuery, raw: bytes) -> None:
    """Each parameter is a filter, the order, the limit or the cursor of the result; none is dropped."""
    filters = len(parsed.filters) - parsed.resource.nested
    others = [name for name, _ in pairs(raw) if name in ("order", "limit", "cursor")]
    assert filters + len(others) == (raw.count(b"&") + 1 if raw else 0)


@given(st.lists(st.tuples(st.binary(), st.binary()), min_size=1))
@settings(deadline=None)
def test_pairs_read_what_was_encoded(wanted):
    raw = "&".join(
        f"{quote_from_bytes(a, safe='')}={quote_from_bytes(b, safe='')}" for a, b in wanted
    )
    clean = all(b"\x00" not in a + b and is_utf8(a) and is_utf8(b) for a, b in wanted)
    try:
        found = pairs(raw.encode())
    except QueryError:
        found = None
    assert found == ([(a.decode(), b.decode()) for a, b in wanted] if clean else None)


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
