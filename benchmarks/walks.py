"""Random walks over federated lists in a running world, while rows are copied behind their back.

One entity (partner check-ins), two viewers: a partner, who sees their own, and compliance, who sees all. A *scene* deals
the rows out: only in legacy, in both alike, newer in the service than in legacy (other values, so other places in every
order), hidden in the service, deleted in the service, only in the service. The truth of a walk is put together without
any gateway: what the service's own list shows, plus what legacy's own list shows of keys that the service does not know.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from benchmarks.random_queries import random_queries
from gateway.order import position, rank
from gateway.rows import decode_rows
from routes import resources
from routes.query import parse_list
from runtime.stack import Stack

RESOURCE = next(r for r in resources() if r.entity == "partner_checkins")
VIEWERS = (("partner", False), ("compliance", True))
QUERIES_PER_SCENE = 5
_TABLE = "partner_ops.checkin"
_SPARE = "partner_ops.checkin_spare"

Item = tuple[str, str]
"""Key and whole row as JSON text."""


@dataclass(kw_only=True)
class Walked:
    """Counts over all walks; `examples` name the first wrong ones by seed, viewer and query."""

    walks: int = 0
    pages: int = 0
    rows: int = 0
    copied: int = 0
    missing: int = 0
    doubled: int = 0
    wrong: int = 0
    """Rows that should not be there, are stale, or stand in the wrong place."""
    refused: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Gateways:
    """Base URLs: one gateway per side for the truth, and the federating one."""

    legacy: str
    service: str
    live: str


async def walk(stack: Stack, gateways: Gateways, *, walks: int, seed: int = 1) -> Walked:
    """`walks` walks in as many scenes as they need. The world's check-ins are as before afterwards."""
    walked = Walked()
    async with (
        _spare_copy(stack.databases["services"]) as database,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        number = 0
        while walked.walks < walks:
            number += 1
            dice = random.Random(f"{seed}:{number}")
            for name, staff in VIEWERS:
                scene = Scene(stack, gateways, database, client, dice, name, staff)
                await scene.deal()
                await scene.play(
                    min(QUERIES_PER_SCENE, walks - walked.walks), walked, f"{seed}:{number}"
                )
    return walked


class Scene:
    """One dealing of rows, for one viewer."""

    def __init__(
        self,
        stack: Stack,
        gateways: Gateways,
        database: asyncpg.Connection,
        client: httpx.AsyncClient,
        dice: random.Random,
        viewer: str,
        staff: bool,
    ) -> None:
        self._gateways = gateways
        self._database = database
        self._client = client
        self._dice = dice
        self._viewer = viewer
        self._staff = staff
        self._headers = {"authorization": f"Bearer {stack.tokens[viewer]}"}
        self._unknown: list[UUID] = []

    async def deal(self) -> None:
        """Rows into their states, from the spare copy."""
        dice, run = self._dice, self._database.execute
        await run(f"truncate {_TABLE}; delete from partner_ops.tombstones")
        await run(f"insert into {_TABLE} select * from {_SPARE}")
        ids = [
            row["id"] for row in await self._database.fetch(f"select id from {_SPARE} order by id")
        ]
        dice.shuffle(ids)
        shares = [dice.random() for _ in range(5)]
        states: list[list[UUID]] = [[] for _ in shares]
        for id_ in ids:
            dice.choices(states, weights=shares)[0].append(id_)
        unknown, _alike, newer, hidden, deleted = states
        self._unknown = unknown
        await run(f"delete from {_TABLE} where id = any($1)", [*unknown, *deleted])
        await self._database.executemany(
            "insert into partner_ops.tombstones (entity, key, updated_at, origin, row_version)"
            " values ('partner_checkins', $1, now(), 'service', 9)",
            [(json.dumps({"id": str(id_)}),) for id_ in deleted],
        )
        await run(
            f"update {_TABLE} set quantity = (quantity % 50) + 3, received_at = received_at + interval '9 days',"
            " expires_on = case when expires_on is null then date '2025-01-01' end, notes = 'newer',"
            " updated_at = updated_at + interval '1 day', origin = 'service' where id = any($1)",
            newer,
        )
        await run(f"update {_TABLE} set partner_id = gen_random_uuid() where id = any($1)", hidden)
        await run(
            f"insert into {_TABLE} select (jsonb_populate_record(x, jsonb_build_object('id', gen_random_uuid()))).*"
            f" from {_SPARE} x where id = any($1)",
            dice.sample(ids, k=min(5, len(ids))),
        )

    async def play(self, walks: int, walked: Walked, name: str) -> None:
        """Walks of this scene, each against its truth; rows are copied meanwhile."""
        known = await self._everything(self._gateways.legacy, "limit=200")
        rows = [json.loads(text) for _, text in known]
        queries = list(random_queries(RESOURCE, rows, staff=self._staff, seed=name, count=walks))
        for query in queries:
            expected = await self._truth(query)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                copying = group.create_task(self._copy_meanwhile(stop, walked))
                seen, pages, status = await self._walk(query)
                stop.set()
                await copying
            walked.walks += 1
            walked.pages += pages
            walked.rows += len(seen)
            walked.refused += status != 200
            _judge(seen, expected, walked, f"{name} {self._viewer} {query}")

    async def _truth(self, query: str) -> list[Item]:
        conditions = "&".join(w for w in query.split("&") if not w.startswith("limit="))
        whole = f"{conditions}&limit=200" if conditions else "limit=200"
        shown = await self._everything(self._gateways.service, whole)
        known = {str(r["id"]) for r in await self._database.fetch(f"select id from {_TABLE}")}
        known |= {
            str(r["id"])
            for r in await self._database.fetch(
                "select key->>'id' as id from partner_ops.tombstones"
            )
        }
        shown += [
            item
            for item in await self._everything(self._gateways.legacy, whole)
            if item[0] not in known
        ]
        order = parse_list(
            RESOURCE, query.encode(), staff=self._staff, parent=None, cursor_key=b""
        ).order

        def place(item: Item) -> Any:
            return rank(position(decode_rows(f"[{item[1]}]".encode())[0], order), order)

        return sorted(shown, key=place)

    async def _everything(self, gateway: str, query: str) -> list[Item]:
        items, _, status = await self._pages(gateway, query)
        if status != 200:
            raise RuntimeError(f"{query}: {status}")
        return items

    async def _walk(self, query: str) -> tuple[list[Item], int, int]:
        return await self._pages(self._gateways.live, query)

    async def _pages(self, gateway: str, query: str) -> tuple[list[Item], int, int]:
        items: list[Item] = []
        cursor, pages = "", 0
        while True:
            url = f"{gateway}{RESOURCE.collection_path}?{query}{cursor}"
            answer = await self._client.get(url, headers=self._headers)
            pages += 1
            if answer.status_code != 200:
                return items, pages, answer.status_code
            body = answer.json()
            items += [(row["id"], json.dumps(row)) for row in body["items"]]
            if body["next"] is None:
                return items, pages, 200
            cursor = f"&cursor={body['next']}"

    async def _copy_meanwhile(self, stop: asyncio.Event, walked: Walked) -> None:
        """A backfill: rows that the service does not know come in as legacy has them, a few at a time."""
        dice = random.Random(self._dice.random())
        speed = dice.choice((0.0, 0.005, 0.02))
        while not stop.is_set() and speed and self._unknown:
            some = [self._unknown.pop() for _ in range(min(len(self._unknown), dice.randint(1, 4)))]
            await self._database.execute(
                f"insert into {_TABLE} select * from {_SPARE} where id = any($1) on conflict do nothing",
                some,
            )
            walked.copied += len(some)
            await asyncio.sleep(speed * dice.random() * 2)


def _judge(seen: Sequence[Item], expected: Sequence[Item], walked: Walked, what: str) -> None:
    seen_keys = [key for key, _ in seen]
    missing = {key for key, _ in expected} - set(seen_keys)
    doubled = len(seen_keys) - len(set(seen_keys))
    wrong = 0
    if not missing and not doubled:
        wrong = sum(a != b for a, b in zip(seen, expected, strict=False)) + max(
            0, len(seen) - len(expected)
        )
    walked.missing += len(missing)
    walked.doubled += doubled
    walked.wrong += wrong
    if (missing or doubled or wrong) and len(walked.examples) < 10:
        walked.examples.append(what)


@asynccontextmanager
async def _spare_copy(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """The fully copied table beside the table; put back at the end."""
    database = await asyncpg.connect(dsn)
    try:
        # Rows are dealt as applies: with the stamps given here, and no tombstones or events of their own.
        await database.execute("set banyan.apply = 'on'")
        await database.execute(
            f"drop table if exists {_SPARE}; create table {_SPARE} as table {_TABLE}"
        )
        yield database
        await database.execute(
            f"truncate {_TABLE}; delete from partner_ops.tombstones where entity = 'partner_checkins';"
            f" insert into {_TABLE} select * from {_SPARE}; drop table {_SPARE}"
        )
    finally:
        await database.close()
