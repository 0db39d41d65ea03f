"""What a write can meet that is nobody's fault: each has an answer that says what is wrong, what became of it, and what to do."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx

from benchmarks.claim import Claim
from benchmarks.writes.edge_world import EdgeWorld
from benchmarks.writes.wire import Break

TOPIC = "writes"
_SECONDS = 40.0
_REPLAYED_WITHIN_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`outcome` is empty where the answer is the row."""

    status: int
    code: str = ""
    outcome: str = ""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """`during`: as long as it lasts; `answer`: what a write gets then; `written`: whether its row may be there then."""

    name: str
    during: Callable[[EdgeWorld], AbstractAsyncContextManager[None]]
    answer: Answer
    written: bool = False


async def troubles(world: EdgeWorld) -> Claim:
    """Each begins, a write meets it, it ends; the write is repeated with its key, and there is one row of it."""
    wrong: list[str] = []
    for trouble in TROUBLES:
        wrong += [f"{trouble.name}: {what}" for what in await met(world, trouble)]
    return Claim(
        topic=TOPIC,
        claim=f"troubles of a write to {world.side} without their clear answer, or whose repeat does not end in one row",
        value=len(wrong),
        unit="troubles",
        target="0",
        ok=not wrong,
        n=len(TROUBLES),
        how=(
            f"{'; '.join(trouble.name for trouble in TROUBLES)}: status, code, outcome and Retry-After as documented, the row there"
            f" only where it may be, and once after the repeat{'; wrong: ' + '; '.join(wrong[:3]) if wrong else ''}"
        ),
    )


async def met(world: EdgeWorld, trouble: Trouble) -> list[str]:
    """What was not as it should be when a write met it, and when it was repeated behind it."""
    name = str(uuid4())
    ask = world.order(name)
    wrong = []
    async with trouble.during(world):
        wrong += _unlike(await world.edge.send(ask), trouble.answer)
        if not trouble.written and await world.named(name):
            wrong.append("a row is there")
    said = await world.edge.insist(ask, seconds=_SECONDS)
    if said.response.status_code != 201:
        wrong.append(f"the repeat got {said.response.status_code}")
    if (count := await world.named(name)) != 1:
        wrong.append(f"{count} rows after the repeat")
    if not await _replayed(world):
        wrong.append("what was spooled is not in the event log")
    return wrong


def _unlike(response: httpx.Response, answer: Answer) -> list[str]:
    said = response.json()
    if response.is_success:
        found = Answer(status=response.status_code)
    else:
        found = Answer(
            status=response.status_code, code=said["code"], outcome=said.get("outcome", "")
        )
    wrong = [f"{found} instead of {answer}"] if found != answer else []
    if response.status_code == 503 and "retry-after" not in response.headers:
        wrong.append("no Retry-After")
    if not response.is_success and not (said.get("detail") and said.get("correlation_id")):
        wrong.append("no detail, or no correlation id")
    return wrong


async def _replayed(world: EdgeWorld) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + _REPLAYED_WITHIN_SECONDS
    while list(world.spool.glob("*.spool")):
        if loop.time() > end:
            return False
        await asyncio.sleep(0.1)
    return True


# --- how each is brought about


def _wire(name: str, mode: Break) -> Callable[[EdgeWorld], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def during(world: EdgeWorld) -> AsyncIterator[None]:
        wire = {"authority": world.authority, "redis": world.redis, "control": world.control}[name]
        await wire.breaks(mode)
        try:
            yield
        finally:
            await wire.breaks(Break.NOTHING)

    return during


@asynccontextmanager
async def _no_spool(world: EdgeWorld) -> AsyncIterator[None]:
    shutil.rmtree(world.spool)
    world.spool.touch()
    try:
        async with _wire("redis", Break.REFUSE)(world):
            yield
    finally:
        world.spool.unlink()
        world.spool.mkdir()


@asynccontextmanager
async def _locked(world: EdgeWorld) -> AsyncIterator[None]:
    async with world.database.transaction():
        await world.database.execute(f"lock table {world.orders} in exclusive mode")
        yield


@asynccontextmanager
async def _full_disk(world: EdgeWorld) -> AsyncIterator[None]:
    """PostgreSQL's own error for it, raised by a trigger: no disk is filled."""
    owner = world.database
    await owner.execute(
        "create function public.zz_full() returns trigger language plpgsql as"
        " $$ begin raise exception 'could not extend file' using errcode = 'disk_full'; end $$"
    )
    await owner.execute(
        f"create trigger zz_full before insert on {world.orders} for each row execute function public.zz_full()"
    )
    try:
        yield
    finally:
        await owner.execute("drop function public.zz_full() cascade")


_BROKE = Answer(status=502, code="upstream_broke", outcome="unknown")
_TOO_SLOW = Answer(status=504, code="upstream_timeout", outcome="unknown")
_NOT_ANNOUNCED = Answer(status=503, code="not_announced", outcome="not_applied")

TROUBLES = (
    Trouble(
        name="the authority is down",
        during=_wire("authority", Break.REFUSE),
        answer=Answer(status=503, code="upstream_unreachable", outcome="not_applied"),
    ),
    Trouble(
        name="the authority resets the connection",
        during=_wire("authority", Break.CUT),
        answer=_BROKE,
    ),
    Trouble(name="the authority hangs", during=_wire("authority", Break.HANG), answer=_TOO_SLOW),
    Trouble(
        name="the authority's answer is lost",
        during=_wire("authority", Break.LOSE_REPLY),
        answer=_BROKE,
        written=True,
    ),
    Trouble(name="its table is locked", during=_locked, answer=_TOO_SLOW),
    Trouble(
        name="its disk is full",
        during=_full_disk,
        answer=Answer(status=507, code="storage_full", outcome="not_applied"),
    ),
    Trouble(
        name="the event log is down",
        during=_wire("redis", Break.REFUSE),
        answer=Answer(status=201),
        written=True,
    ),
    Trouble(
        name="the event log is down, and the spool gone", during=_no_spool, answer=_NOT_ANNOUNCED
    ),
    Trouble(
        name="the control database is down",
        during=_wire("control", Break.REFUSE),
        answer=_NOT_ANNOUNCED,
    ),
    Trouble(
        name="the control database hangs",
        during=_wire("control", Break.HANG),
        answer=_NOT_ANNOUNCED,
    ),
)
"""docs/v2-api.md shows them as a table."""
