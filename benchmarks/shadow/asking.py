"""A gateway of its own at stage `shadow`, asked as the sample users; and what `banyan shadow report` says of it."""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.world import ROOT, GatewayProcess, WorldFailed, everybody_at, gateway
from catalog.stage import Stage
from routes import resources
from routes.key import write_key
from routes.resource import Resource
from runtime.settings import inherited_environment
from runtime.stack import Stack

_AT_ONCE = 8
_AT_A_TIME = 64
"""Then it waits until they are compared, so that none is shed on a small machine: this is no load test."""
_SETTLED_SECONDS = 60.0
_IN_FLIGHT = "banyan_shadow_in_flight"
_UNDER_WAY = (
    _IN_FLIGHT,
    "banyan_shadow_comparator_pairs",
    "banyan_shadow_second_readings",
)
_WIDE = "400"
"""Columns of a terminal: nothing of a report is cut."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """`route` as it stands in logs; `user`: a sample user's name."""

    route: str
    path: str
    user: str


@dataclass(kw_only=True)
class Asked:
    """What was asked: route by correlation id, and how it was answered."""

    routes: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)


@contextmanager
def shadowing(
    stack: Stack, folder: Path, *, name: str, redis_number: int | None = None, **settings: str
) -> Iterator[GatewayProcess]:
    """Its release is its name. It asks legacy behind answers as often as it likes."""
    ours = {
        "RELEASE": name,
        "SHADOW_LEGACY_REQUESTS_PER_SECOND": "100000",
        "SHADOW_DEADLINE_SECONDS": "30",
        "READ_DEADLINE_SECONDS": "30",
        **settings,
    }
    world = stack.model_copy(update={"environment": {**stack.environment, **ours}})
    flags = everybody_at(Stage.SHADOW)
    with gateway(world, folder, name=name, flags=flags, redis_number=redis_number) as started:
        yield started


async def questions(
    stack: Stack,
    users: Iterable[str],
    *,
    of: Sequence[Resource] | None = None,
    queries: Sequence[str] = ("", "?limit=7", "?limit=50"),
    items: int = 5,
) -> list[Question]:
    """Lists of every resource in `queries`, and the first items; rows are looked up at the sandbox's own gateway."""
    found: list[Question] = []
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        for user, one in itertools.product(users, of or resources()):
            async for route, path, rows in _lists(stack, client, user, one):
                found += [Question(route=route, path=path + query, user=user) for query in queries]
                for row in () if one.nested else rows[:items]:
                    key = write_key(tuple(str(row[name]) for name in one.asset.key))
                    if "%2F" not in key:  # such a row has no address (routes/key.py)
                        item = Question(route=f"{route}/{{key}}", path=f"{path}/{key}", user=user)
                        found.append(item)
    return found


async def _lists(
    stack: Stack, client: httpx.AsyncClient, user: str, one: Resource
) -> AsyncIterator[tuple[str, str, list[dict[str, Any]]]]:
    """The collection; of a nested one those of the first parents."""
    route = one.collection_path
    if not one.nested:
        yield route, route, await _rows(stack, client, user, route)
        return
    for row in (await _rows(stack, client, user, route.partition("/{id}")[0]))[:3]:
        yield route, route.replace("{id}", str(row["id"])), []


async def _rows(
    stack: Stack, client: httpx.AsyncClient, user: str, path: str
) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {stack.tokens[user]}"}
    answer = await client.get(f"{stack.urls['gateway']}{path}?limit=50", headers=headers)
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def ask(
    stack: Stack, started: GatewayProcess, asked: Iterable[Question], *, name: str
) -> Asked:
    """All of them, some at once, and wait until everything behind the answers is done. Their correlation ids begin with `name`."""
    left, found = iter(list(asked)), Asked()
    numbers = itertools.count()

    async def some(client: httpx.AsyncClient) -> None:
        for one in itertools.islice(left, _AT_A_TIME // _AT_ONCE):
            id_ = f"{name}-{next(numbers):08}"
            found.routes[id_] = one.route
            headers = {
                "authorization": f"Bearer {stack.tokens[one.user]}",
                "x-correlation-id": id_,
            }
            answer = await client.get(started.url + one.path, headers=headers)
            found.statuses[answer.status_code] += 1

    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        before = -1
        while len(found.routes) > before:
            before = len(found.routes)
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(some(client))
            await _settled(client, started, _IN_FLIGHT)
        await _settled(client, started, *_UNDER_WAY)
    return found


async def _settled(client: httpx.AsyncClient, started: GatewayProcess, *names: str) -> None:
    deadline = time.monotonic() + _SETTLED_SECONDS
    while True:
        page = (await client.get(f"{started.url}/metrics")).text
        if not any(_gauge(page, name) for name in names):
            return
        if time.monotonic() > deadline:
            raise WorldFailed("what was begun behind answers does not end")
        await asyncio.sleep(0.02)


def _gauge(page: str, name: str) -> float:
    [line] = [line for line in page.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


def shown(run: Path, *arguments: str) -> str:
    """What `banyan shadow report` prints, standard error included. Raises WorldFailed if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "shadow", "report", *arguments, "--run", str(run)],
        cwd=ROOT,
        env={**inherited_environment(), "COLUMNS": _WIDE},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WorldFailed(done.stdout + done.stderr)
    return done.stdout + done.stderr


def reported(run: Path, release: str) -> dict[str, dict[str, Any]]:
    """The report's routes of one release, by name, with the service as candidate."""
    found = json.loads(shown(run, "--json", "--all", "--release", release))
    return {one["route"]: one for one in found["routes"] if one["candidate"] == "service"}
