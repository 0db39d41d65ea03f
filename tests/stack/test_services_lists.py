"""Lists of the services: what is shown, filters, orders, pages, counts."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
import httpx
import pytest

from catalog.column import ORDERED, Column, Type
from catalog.service import Service
from catalog.transform import forward_sql
from routes import resources
from routes.query import parse_list
from routes.resource import Resource
from sandbox.legacy.load import Legacy
from tests.services_world import CURSOR_KEY, USERS, Issuer

pytestmark = pytest.mark.stack

Clients = Mapping[Service, httpx.AsyncClient]
Json = dict[str, Any]

TOP = {resource.path: resource for resource in resources() if not resource.nested}
EVENTS = next(resource for resource in resources() if resource.nested)
QUERIES = 25


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Sends requests as one user and follows pages."""

    clients: Clients
    issuer: Issuer
    user: str = "admin"

    async def get(self, resource: Resource, query: str = "", **headers: str) -> httpx.Response:
        path = resource.collection_path + (f"?{query}" if query else "")
        return await self.clients[resource.service].get(
            path, headers=self.issuer.headers(self.user, **headers)
        )

    async def walk(
        self, resource: Resource, query: str = "", limit: int = 200, cursor: str | None = None
    ) -> list[Json]:
        """All rows, page by page. Numbers keep their digits."""
        rows: list[Json] = []
        while True:
            asked = f"{query}&limit={limit}".removeprefix("&")
            response = await self.get(resource, asked + (f"&cursor={cursor}" if cursor else ""))
            assert response.status_code == 200, response.text
            page = json.loads(response.text, parse_float=Decimal)
            assert len(page["items"]) <= limit
            rows += page["items"]
            cursor = page["next"]
            if cursor is None:
                return rows
            assert page["items"]


@pytest.fixture
def admin(clients: Clients, issuer: Issuer) -> Asking:
    return Asking(clients=clients, issuer=issuer)


@pytest.mark.parametrize("path", TOP)
async def test_every_row_is_the_same_bytes_as_legacy_s(
    path: str, admin: Asking, source: Legacy
) -> None:
    """Legacy's rows as PostgreSQL writes them; the catalog's SQL forms give them their new names."""
    resource = TOP[path]
    asset = resource.asset
    columns = ", ".join(
        f'{forward_sql(column)} as "{column.target}"' for column in resource.columns(staff=True)
    )
    order = ", ".join(
        f'"{c.source}" collate "C"' if c.type is Type.TEXT else f'"{c.source}"'
        for c in asset.key_columns
    )
    inner = f"select {columns} from {asset.source} order by {order} limit 200"
    connection = await asyncpg.connect(source.worker, server_settings={"timezone": "UTC"})
    expected = await connection.fetchval(
        f"select coalesce(string_agg(to_json(r)::text, ','), '') from ({inner}) r"
    )
    await connection.close()
    response = await admin.get(
        resource, f"order={','.join(c.target for c in asset.key_columns if c.sort)}&limit=200"
    )
    assert response.status_code == 200
    assert response.text.startswith(f'{{"items":[{expected}],"next":')


@pytest.mark.parametrize("path", TOP)
async def test_random_queries_answer_as_plain_python_would(path: str, admin: Asking) -> None:
    """Filters of every operator, orders of one to three fields in both directions, pages of odd sizes."""
    resource = TOP[path]
    everything = await admin.walk(resource)
    assert len(everything) > 20
    chance = random.Random(path)
    for _ in range(QUERIES):
        query, expected = random_query(resource, everything, chance)
        limit = chance.choice((1, 2, 3, 7) if len(expected) < 40 else (37, 50, 200))
        found = await admin.walk(resource, query, limit=limit)
        assert found == expected, query


@pytest.mark.parametrize("path", TOP)
async def test_every_declared_order_puts_nulls_last_in_both_directions(
    path: str, admin: Asking
) -> None:
    resource = TOP[path]
    everything = await admin.walk(resource)
    for column in (c for c in resource.asset.kept if isinstance(c, Column) and c.sort and c.public):
        for word in (column.target, f"-{column.target}"):
            found = await admin.walk(resource, f"order={word}", limit=29)
            assert found == ordered(resource, everything, [word]), word
            empty = [row[column.target] is None for row in found]
            assert empty == sorted(empty), word


@pytest.mark.parametrize("path", TOP)
async def test_every_declared_filter_works_with_every_operator(path: str, admin: Asking) -> None:
    resource = TOP[path]
    everything = await admin.walk(resource)
    for column in (
        c for c in resource.asset.kept if isinstance(c, Column) and c.filter and c.public
    ):
        values = [row[column.target] for row in everything if row[column.target] is not None]
        value = sorted(values, key=str)[len(values) // 2]
        for op in operators(column):
            text, keep = condition(column, op, [value])
            found = await admin.walk(resource, f"{text}&order={key_order(resource)}")
            expected = [row for row in everything if keep(row)]
            assert found == ordered(resource, expected, key_order(resource).split(",")), text


async def test_events_of_an_order(admin: Asking) -> None:
    orders = await admin.walk(TOP["/lab-orders"])
    client, headers = admin.clients[Service.DIAGNOSTICS], admin.issuer.headers("admin")
    lengths = set()
    for order in orders[:20]:
        response = await client.get(f"/v2/lab-orders/{order['id']}/events?limit=3", headers=headers)
        page = response.json()
        rows = page["items"]
        while page["next"]:
            response = await client.get(
                f"/v2/lab-orders/{order['id']}/events?limit=3&cursor={page['next']}",
                headers=headers,
            )
            page = response.json()
            rows += page["items"]
        assert {row["lab_order_id"] for row in rows} == {order["id"]}
        assert [row["to_status"] for row in rows if row["to_status"]][-1] == order["status"]
        assert rows == sorted(rows, key=lambda row: (row["occurred_at"], row["id"]))
        lengths.add(len(rows) > 3)
    assert lengths == {False, True}
    strange = await client.get(
        "/v2/lab-orders/00000000-0000-4000-8000-000000000000/events", headers=headers
    )
    assert (strange.status_code, strange.json()) == (200, {"items": [], "next": None})


@pytest.mark.parametrize(
    "user", ["patient", "clinician", "partner", "finance", "compliance", "stranger"]
)
async def test_a_user_s_list_is_the_part_of_everything_that_row_security_leaves(
    user: str, clients: Clients, issuer: Issuer, source: Legacy
) -> None:
    connection = await asyncpg.connect(source.authenticator)
    for resource in TOP.values():
        keys = ", ".join(f'"{column.source}"::text' for column in resource.asset.key_columns)
        async with connection.transaction(readonly=True):
            await connection.execute(
                "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)",
                json.dumps(USERS[user].claims),
            )
            expected = {
                tuple(row)
                for row in await connection.fetch(f"select {keys} from {resource.asset.source}")
            }
        rows = await Asking(clients=clients, issuer=issuer, user=user).walk(resource)
        assert [
            key_of(resource, row) for row in rows if key_of(resource, row) not in expected
        ] == []
        assert len(rows) == len(expected), resource.path
    await connection.close()


@pytest.mark.parametrize("path", TOP)
async def test_only_staff_see_what_is_for_staff(
    path: str, clients: Clients, issuer: Issuer
) -> None:
    resource = TOP[path]
    for user, staff in (
        ("admin", True),
        ("clinician", True),
        ("patient", False),
        ("partner", False),
    ):
        rows = (
            await Asking(clients=clients, issuer=issuer, user=user).get(resource, "limit=2")
        ).json()["items"]
        shown = [column.target for column in resource.columns(staff=staff)]
        assert [list(row) for row in rows] == [shown] * len(rows)


async def test_what_is_for_staff_is_no_filter_for_others(clients: Clients, issuer: Issuer) -> None:
    asking = Asking(clients=clients, issuer=issuer, user="patient")
    response = await asking.get(TOP["/submissions"], "safeguarding_concern=true")
    assert response.status_code == 400
    assert response.json()["errors"] == [
        {"field": "safeguarding_concern", "code": "unknown_parameter"}
    ]
    staff = Asking(clients=clients, issuer=issuer, user="clinician")
    flagged = await staff.walk(TOP["/submissions"], "safeguarding_concern=true")
    assert flagged
    assert all(row["safeguarding_concern"] for row in flagged)


async def test_a_total_is_counted_over_all_pages_when_it_is_asked_for(admin: Asking) -> None:
    resource = TOP["/lab-orders"]
    everything = await admin.walk(resource, "status=resulted")
    assert len(everything) > 3
    response = await admin.get(
        resource, "status=resulted&limit=2", prefer="return=minimal, Count=Exact"
    )
    assert response.json()["total"] == len(everything)
    assert response.headers["preference-applied"] == "count=exact"
    behind = await admin.get(
        resource, f"status=resulted&limit=2&cursor={response.json()['next']}", prefer="count=exact"
    )
    assert behind.json()["total"] == len(everything)
    silent = await admin.get(resource, "status=resulted&limit=2")
    assert "total" not in silent.json()
    assert "preference-applied" not in silent.headers


async def test_a_cursor_goes_on_where_it_was_made_even_when_rows_come_and_go(admin: Asking) -> None:
    """A cursor holds a position, not a row: one that names no existing row works as well."""
    resource = TOP["/lab-orders"]
    everything = await admin.walk(resource, "order=order_number")
    middle = everything[len(everything) // 2]
    query = parse_list(
        resource, b"order=order_number", staff=True, parent=None, cursor_key=CURSOR_KEY.encode()
    )
    position = (str(middle["order_number"]), "00000000-0000-0000-0000-000000000000")
    cursor = query.cursor(position, CURSOR_KEY.encode())
    rest = await admin.walk(resource, "order=order_number", cursor=cursor)
    assert rest == everything[len(everything) // 2 :]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("statuss=draft", "statuss", "unknown_parameter"),
        ("integration_error=x", "integration_error", "unknown_parameter"),
        ("status=sent_to_vendor", "status", "unknown_value"),
        ("id=1", "id", "expected_uuid"),
        ("order_number=1.5", "order_number", "expected_integer"),
        (
            "created_at[gt]=2024-01-01T00:00:00+00:00",
            "created_at[gt]",
            "blank_in_timestamp_write_Z_or_%2B",
        ),
        ("test_code[gt]=A", "test_code[gt]", "no_range_on_this_field"),
        ("limit=0", "limit", "expected_1_to_200"),
        ("limit=201", "limit", "expected_1_to_200"),
        ("order=test_code", "order", "unknown_field"),
        ("cursor=abc", "cursor", "invalid_cursor"),
    ],
)
async def test_what_is_not_understood_is_refused_and_named(
    query: str, field: str, code: str, admin: Asking
) -> None:
    response = await admin.get(TOP["/lab-orders"], query)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["code"], body["errors"]) == ("invalid_query", [{"field": field, "code": code}])
    assert body["correlation_id"] == response.headers["x-correlation-id"]


async def test_a_cursor_of_another_query_is_refused(admin: Asking) -> None:
    page = (await admin.get(TOP["/lab-orders"], "limit=1")).json()
    response = await admin.get(TOP["/lab-orders"], f"limit=1&status=draft&cursor={page['next']}")
    assert response.json()["errors"] == [{"field": "cursor", "code": "cursor_of_another_query"}]


@pytest.mark.parametrize(
    "value",
    [
        "'; drop table x;--",
        "%",
        "_",
        "\\",
        "\u0007",
        "İ",
        "a,b",
        '"',
        "{}",
        "\U0001d49c",
        "x" * 3000,
    ],
)
async def test_hostile_texts_are_values_and_nothing_else(value: str, admin: Asking) -> None:
    for query in (
        f"test_code={quote(value)}",
        f"test_code[in]={quote(value)}",
        f"test_code[ne]={quote(value)}",
    ):
        response = await admin.get(TOP["/lab-orders"], query)
        assert response.status_code == 200, response.text
        assert bool(response.json()["items"]) is ("[ne]" in query)


# --- an independent reading of the query language, over rows as JSON


def random_query(
    resource: Resource, everything: Sequence[Json], chance: random.Random
) -> tuple[str, list[Json]]:
    """A query and the rows that it must give, in order."""
    columns = [c for c in resource.asset.kept if isinstance(c, Column) and c.public]
    words, keeps = [], []
    for column in chance.sample([c for c in columns if c.filter], chance.randint(0, 2)):
        known = [row[column.target] for row in everything if row[column.target] is not None]
        values = chance.sample(known, min(len(known), 3))
        text, keep = condition(column, chance.choice(operators(column)), values)
        words.append(text)
        keeps.append(keep)
    sortable = [column for column in columns if column.sort]
    sorts = [
        chance.choice(("", "-")) + column.target
        for column in chance.sample(sortable, min(chance.randint(0, 3), len(sortable)))
    ]
    if sorts:
        words.append(f"order={','.join(sorts)}")
    kept = [row for row in everything if all(keep(row) for keep in keeps)]
    return "&".join(words), ordered(resource, kept, sorts or resource.order.split(","))


Keep = Callable[[Json], bool]
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "": eq,
    "ne": ne,
    "lt": lt,
    "lte": le,
    "gt": gt,
    "gte": ge,
}


def operators(column: Column) -> list[str]:
    ranges = ["lt", "lte", "gt", "gte"] if column.type in ORDERED else []
    return ["", "ne", "in", "is null", "is not_null", *ranges]


def condition(column: Column, op: str, values: Sequence[Any]) -> tuple[str, Keep]:
    """A filter, and whether a row passes it. A row without a value passes `is null` alone."""
    name = column.target
    if op.startswith("is"):
        word = op.partition(" ")[2]
        return f"{name}[is]={word}", lambda row: (row[name] is None) == (word == "null")
    if op == "in":
        texts = [text_of(value) for value in values if "," not in text_of(value)] or ["none"]
        return f"{name}[in]={quote(','.join(texts))}", lambda row: text_of(row[name]) in texts
    value = values[0]
    sign = _SIGNS[op]
    field = f"{name}[{op}]" if op else name
    return urlencode(
        {field: text_of(value)}
    ), lambda row: row[name] is not None and sign(typed(column, row[name]), typed(column, value))


def text_of(value: Any) -> str:
    """As a caller writes it; a row without a value has a text that nobody asks for."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def typed(column: Column, value: Any) -> Any:
    match column.type:
        case Type.TIMESTAMPTZ:
            return datetime.fromisoformat(value)
        case Type.DATE:
            return date.fromisoformat(value)
        case Type.NUMERIC:
            return Decimal(value)
        case Type.TEXT:
            return str(value).encode()
        case _:
            return value


def ordered(resource: Resource, rows: Sequence[Json], sorts: Sequence[str]) -> list[Json]:
    """Sorted by the last field first: Python's sort keeps the order of equals."""
    words = [
        *sorts,
        *(name for name in resource.asset.key if name not in [s.lstrip("-") for s in sorts]),
    ]
    found = list(rows)
    for word in reversed(words):
        column = resource.asset.by_target[word.lstrip("-")]
        assert isinstance(column, Column)
        having = [row for row in found if row[column.target] is not None]
        empty = [row for row in found if row[column.target] is None]
        having.sort(key=partial(value_of, column), reverse=word.startswith("-"))
        found = having + empty
    return found


def value_of(column: Column, row: Json) -> Any:
    return typed(column, row[column.target])


def key_order(resource: Resource) -> str:
    return ",".join(c.target for c in resource.asset.key_columns if c.sort)


def key_of(resource: Resource, row: Json) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in resource.asset.key)
