"""Do legacy and service give the same /v2 answers? Two gateways, the same users, random queries, page by page."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from json import loads
from typing import Any

import httpx

from benchmarks.random_queries import random_queries
from routes.resource import Resource
from runtime.identity import STAFF_ROLES
from runtime.stack import SampleUser, Stack

PAGES_PER_QUERY = 3
_ROWS_TO_LEARN_FROM = 200


@dataclass(kw_only=True)
class Agreement:
    """Counts over all comparisons; `examples` name resource, user and query of the first differences, without values."""

    queries: int = 0
    pages: int = 0
    rows: int = 0
    equal_bytes: int = 0
    different: int = 0
    refused: int = 0
    examples: list[str] = field(default_factory=list)


class Pair:
    """The same request to both gateways."""

    def __init__(self, legacy: str, service: str, client: httpx.AsyncClient) -> None:
        self._urls = (legacy, service)
        self._client = client

    async def get(self, target: str, token: str) -> tuple[httpx.Response, httpx.Response]:
        headers = {"authorization": f"Bearer {token}"}
        first, second = [
            await self._client.get(url + target, headers=headers) for url in self._urls
        ]
        return first, second


async def compare(
    pair: Pair,
    resource: Resource,
    user: SampleUser,
    token: str,
    *,
    queries: int,
    agreement: Agreement,
) -> None:
    """`queries` random list queries of one user over one resource, and the items of their first rows."""
    staff = user.role in STAFF_ROLES
    async for path in _paths(pair, resource, token):
        known = await _rows(pair, path, token)
        for query in random_queries(resource, known, staff=staff, seed=user.name, count=queries):
            agreement.queries += 1
            await _walk(pair, f"{path}?{query}", token, user, agreement)
        for row in known[:2] if not resource.nested else ():
            key = "~".join(str(row[name]) for name in resource.asset.key)
            if all(c.isalnum() or c in "-~" for c in key):
                await _same(pair, f"{path}/{key}", token, user, agreement)


async def _paths(pair: Pair, resource: Resource, token: str) -> AsyncIterator[str]:
    """The collection; for a nested one that of a parent which the user sees, if there is one."""
    if not resource.nested:
        yield resource.collection_path
        return
    parents = resource.collection_path.partition("/{id}")[0]
    for row in (await _rows(pair, parents, token))[:1]:
        yield resource.collection_path.replace("{id}", str(row["id"]))


async def _rows(pair: Pair, path: str, token: str) -> list[dict[str, Any]]:
    answer, _ = await pair.get(f"{path}?limit={_ROWS_TO_LEARN_FROM}", token)
    rows: list[dict[str, Any]] = normal(answer)["items"]
    return rows


async def _walk(
    pair: Pair, target: str, token: str, user: SampleUser, agreement: Agreement
) -> None:
    """Up to three pages, each side by its own cursors."""
    cursor = ""
    for _ in range(PAGES_PER_QUERY):
        answer = await _same(pair, target + cursor, token, user, agreement)
        following = answer.get("next")
        if not following:
            return
        cursor = f"&cursor={following}"


async def _same(
    pair: Pair, target: str, token: str, user: SampleUser, agreement: Agreement
) -> dict[str, Any]:
    legacy, service = await pair.get(target, token)
    agreement.pages += 1
    if legacy.status_code != 200:
        agreement.refused += 1
    left, right = normal(legacy), normal(service)
    agreement.rows += len(left.get("items", ()))
    agreement.equal_bytes += legacy.content == service.content
    if legacy.status_code != service.status_code or left != right:
        agreement.different += 1
        if len(agreement.examples) < 10:
            agreement.examples.append(f"{user.name} {target.partition('&cursor')[0]}")
    return left


def normal(answer: httpx.Response) -> dict[str, Any]:
    """The declared normal form where both sides are PostgreSQL: numbers by value, JSON by structure; the correlation id aside."""
    body: dict[str, Any] = loads(answer.content, parse_float=Decimal)
    body.pop("correlation_id", None)
    return body


async def visible_as_in_legacy(
    stack: Stack, gateway: str, client: httpx.AsyncClient, resource: Resource, token: str
) -> bool:
    """Whether /v2 shows a user exactly the keys that Supabase's row security shows the same token. Not for nested lists."""
    asset = resource.asset
    source = ",".join(column.source for column in asset.key_columns)
    headers = {
        "authorization": f"Bearer {token}",
        "apikey": stack.environment["LEGACY_PUBLISHABLE_KEY"],
    }
    theirs: set[tuple[str, ...]] = set()
    offset = 0
    while True:
        url = f"{stack.urls['legacy']}/rest/v1/{asset.entity}?select={source}&order={source}&limit=1000&offset={offset}"
        rows = (await client.get(url, headers=headers)).json()
        theirs |= {tuple(str(row[c.source]) for c in asset.key_columns) for row in rows}
        if len(rows) < 1000:
            break
        offset += 1000
    ours: set[tuple[str, ...]] = set()
    cursor = ""
    while True:
        url = f"{gateway}{resource.collection_path}?limit=200{cursor}"
        page = (await client.get(url, headers={"authorization": f"Bearer {token}"})).json()
        keys = [tuple(str(row[name]) for name in asset.key) for row in page["items"]]
        if ours & set(keys) or len(set(keys)) != len(keys):
            return False
        ours |= set(keys)
        if page["next"] is None:
            return ours == theirs
        cursor = f"&cursor={page['next']}"
