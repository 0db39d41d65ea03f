"""Many book the same few times at once: each time is booked once."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import asyncpg

from benchmarks.claim import Claim
from benchmarks.size import Size
from benchmarks.world import everybody_at, gateway, sandbox
from benchmarks.writes.caller import Ask, Caller, Said, caller, client
from catalog.stage import Stage
from runtime.stack import Stack
from sandbox.seed.people import CLINICIANS

TOPIC = "writes"
_REDIS_NUMBER = 5
_CLINICIAN = str(CLINICIANS[0].id)
_USER = "clinician"
_SECONDS = 60.0
_FROM, _TO = "2031-01-06T00:00:00Z", "2031-01-12T00:00:00Z"


async def run(size: Size) -> AsyncIterator[Claim]:
    """The authority is the service; legacy has no such rule."""
    with (
        tempfile.TemporaryDirectory(prefix="banyan-bench-") as name,
        sandbox(Path(name), scale=60) as stack,
    ):
        flags = everybody_at(Stage.LIVE)
        with gateway(
            stack, Path(name), name="live", flags=flags, redis_number=_REDIS_NUMBER
        ) as live:
            yield await bookings(stack, live.url, slots=size.of(50, 10), each=10)


async def bookings(stack: Stack, url: str, *, slots: int, each: int) -> Claim:
    """Every slot is asked for by so many at once."""
    async with client(slots * each) as opened:
        edge = caller(stack, url, opened)
        free = (await _free(edge))[:slots]
        submission = (
            await edge.send(Ask(method="GET", path="/submissions?limit=1", user=_USER))
        ).json()["items"][0]["id"]
        asks = [_ask(submission, slot, n) for n in range(each) for slot in free]
        found = await asyncio.gather(*(edge.insist(ask, seconds=_SECONDS) for ask in asks))
        left = {item["starts_at"] for item in await _free(edge)}
    booked = [slot["starts_at"] for slot in free if slot["starts_at"] not in left]
    made = Counter(said.response.status_code for said in found)
    stored, overlaps = await _stored(stack, free)
    odd = [said for said in found if not said.ok and not _is_taken(said)]
    right = made[201] == stored == len(booked) == slots and not overlaps and not odd
    return Claim(
        topic=TOPIC,
        claim=f"bookings that succeed, of {len(asks)} at once for {slots} slots",
        value=made[201],
        unit="bookings",
        target=f"{slots}, all others refused with the field",
        ok=right,
        n=len(asks),
        how=(
            f"{each} callers for each slot, through the gateway, at once; {stored} rows stored, {overlaps} of them overlap;"
            f" {len(booked)} slots are not offered any more; answers: {', '.join(f'{n} x {status}' for status, n in sorted(made.items()))};"
            f" {sum(said.attempts for said in found)} requests, since a 503 is repeated; {len(odd)} refusals without the field"
        ),
    )


async def _free(edge: Caller) -> list[dict[str, str]]:
    asked = {"clinician_id": _CLINICIAN, "from": _FROM, "to": _TO, "duration_minutes": 30}
    response = await edge.send(
        Ask(method="GET", path=f"/appointments/slots?{urlencode(asked)}", user=_USER)
    )
    response.raise_for_status()
    items: list[dict[str, str]] = response.json()["items"]
    return items


def _ask(submission: str, slot: dict[str, str], number: int) -> Ask:
    body = {
        "submission_id": submission,
        "clinician_id": slot["clinician_id"],
        "starts_at": slot["starts_at"],
        "ends_at": slot["ends_at"],
        "reason": f"caller {number}",
    }
    return Ask(method="POST", path="/appointments", user=_USER, body=body)


def _is_taken(said: Said) -> bool:
    problem = said.response.json()
    fields = {error["field"]: error["code"] for error in problem.get("errors", [])}
    return (problem["code"], fields) == ("conflict", {"starts_at": "clinician_is_booked"})


async def _stored(stack: Stack, slots: list[dict[str, str]]) -> tuple[int, int]:
    """Appointments that stand in these slots; pairs of them that overlap."""
    connection = await asyncpg.connect(stack.databases["services"])
    mine = (
        "from scheduling.appointment {0} where {0}.clinician_id = $1::text::uuid"
        " and {0}.starts_at = any(select s::timestamptz from unnest($2::text[]) s)"
    )
    starts = [slot["starts_at"] for slot in slots]
    try:
        stored = await connection.fetchval(
            f"select count(*) {mine.format('a')}", _CLINICIAN, starts
        )
        overlaps = await connection.fetchval(
            f"select count(*) from (select * {mine.format('a')}) a join (select * {mine.format('b')}) b"
            " on a.id < b.id and tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)",
            _CLINICIAN,
            starts,
        )
    finally:
        await connection.close()
    return stored, overlaps
