"""A matched path, its query and its wishes become one question, or one of the documented refusals."""

import pytest

from routes import resources
from routes.asked import AskedItem, AskedList, read_asked, wanted_wait, wants_count
from routes.match import match
from routes.query import parse_list
from routes.refused import InvalidKey, InvalidQuery, Refused

pytestmark = pytest.mark.unit

KEY = b"0123456789abcdef0123456789abcdef"
ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
ORDERS, EVENTS = (
    next(resource for resource in resources() if resource.entity == entity)
    for entity in ("lab_orders", "lab_order_events")
)


def ask(path: str, query: bytes = b"", *prefer: bytes, staff: bool = False):
    found = match(path.encode())
    assert found is not None
    return read_asked(found, query, prefer, staff=staff, cursor_key=KEY)


def refusal(path: str, query: bytes = b"") -> tuple[type[Refused], list[tuple[str, str]]]:
    with pytest.raises(Refused) as refused:
        ask(path, query)
    errors = [(error.field, error.code) for error in refused.value.errors]
    return type(refused.value), errors


def test_an_item():
    assert ask(f"/v2/lab-orders/{ID.upper()}") == AskedItem(resource=ORDERS, key=(ID,))


def test_a_list():
    for staff in (False, True):
        asked = ask("/v2/lab-orders", b"status=sent", staff=staff)
        query = parse_list(ORDERS, b"status=sent", staff=staff, parent=None, cursor_key=KEY)
        assert asked == AskedList(query=query, counted=False)
        assert asked.resource is ORDERS


def test_a_nested_list():
    asked = ask(f"/v2/lab-orders/{ID.upper()}/events", b"", b"count=exact")
    query = parse_list(EVENTS, b"", staff=False, parent=ID, cursor_key=KEY)
    assert asked == AskedList(query=query, counted=True)


@pytest.mark.parametrize(
    ("path", "query", "kind", "errors"),
    [
        ("/v2/lab-orders", b"colour=red", InvalidQuery, [("colour", "unknown_parameter")]),
        ("/v2/lab-orders/5", b"", InvalidKey, [("key", "expected_uuid")]),
        ("/v2/lab-orders/5/events", b"", InvalidKey, [("key", "expected_uuid")]),
        (f"/v2/lab-orders/{ID}", b"limit=1", InvalidQuery, [("query", "an_item_takes_none")]),
    ],
)
def test_refusals(path, query, kind, errors):
    assert refusal(path, query) == (kind, errors)


@pytest.mark.parametrize(
    ("prefer", "wanted"),
    [
        ((), False),
        ((b"",), False),
        ((b"count=exact",), True),
        ((b"return=minimal, Count=Exact ",), True),
        ((b"return=minimal", b"count=exact"), True),
        ((b"count=planned",), False),
        ((b"xcount=exact",), False),
        ((b"count=exactly",), False),
    ],
)
def test_wishes(prefer, wanted):
    assert wants_count(prefer) is wanted


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ([b"wait=10"], 10),
        ([b"count=exact, Wait = 3 "], 3),
        ([b"count=exact", b"wait=1"], 1),
        ([b"wait=26"], 25),
        ([b"wait=999999999"], 25),
        ([b"wait=2,wait=9"], 2),
        ([b"wait=0"], 0),
        ([b"wait=-1"], 0),
        ([b"wait=1.5"], 0),
        ([b"wait"], 0),
        ([b"wait=9999999999"], 0),
        ([b"await=5"], 0),
        ([], 0),
    ],
)
def test_how_long_one_would_wait(prefer: list[bytes], seconds: int):
    assert wanted_wait(prefer) == seconds


def test_one_waits_for_items_only_where_that_is_declared():
    asked = ask(f"/v2/lab-orders/{ID}", b"", b"wait=7")
    assert asked == AskedItem(resource=ORDERS, key=(ID,), wait=7)
    assert ask(f"/v2/appointments/{ID}", b"", b"wait=7").wait == 0
