"""The gateway in parts: its reads (both sides agree, everybody sees what Supabase would show, federated lists lose
nothing), its flags, what a request costs, whom it lets in, what it records, what it refuses, what it survives."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import auth, differential, faults, flags, framing, fuzz, records, security
from benchmarks.agreement import Agreement, Pair, compare, visible_as_in_legacy
from benchmarks.claim import Claim
from benchmarks.cost import run as cost
from benchmarks.size import Size
from benchmarks.topics import Run
from benchmarks.walks import Gateways, walk
from benchmarks.world import everybody_at, gateway, sandbox
from catalog.stage import Stage
from routes import resources
from runtime.stack import SampleUser, Stack

TOPIC = "gateway"
_AT_ONCE = 4


async def run(size: Size) -> AsyncIterator[Claim]:
    """Every part. Needs nothing that runs: each brings its own."""
    for part in PARTS.values():
        async for claim in part(size):
            yield claim


async def _reads(size: Size) -> AsyncIterator[Claim]:
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name, ExitStack() as running:
        folder = Path(name)
        stack = running.enter_context(sandbox(folder, scale=size.of(200, 60)))
        urls = {
            stage: running.enter_context(
                gateway(stack, folder, name=str(stage), flags=everybody_at(stage))
            ).url
            for stage in (Stage.LEGACY, Stage.LIVE, Stage.COMPLETE)
        }
        world = _World(stack=stack, urls=urls)
        yield await _agreement(world, Stage.LIVE, queries=size.of(200, 2))
        yield await _agreement(world, Stage.COMPLETE, queries=size.of(40, 1))
        yield await _visibility(world)
        async for claim in _walks(world, walks=size.of(2000, 20)):
            yield claim


PARTS: Mapping[str, Run] = {
    "reads": _reads,
    "flags": flags.run,
    "cost": cost.run,
    "auth": auth.run,
    "records": records.run,
    "security": security.run,
    "fuzz": fuzz.run,
    "framing": framing.run,
    "faults": faults.run,
    "differential": differential.run,
}
"""What `--part` can name, in the order in which `run` goes."""


@dataclass(frozen=True, kw_only=True)
class _World:
    stack: Stack
    urls: dict[Stage, str]

    @property
    def users(self) -> list[SampleUser]:
        return [user for user in self.stack.users if user.name in self.stack.tokens]


async def _agreement(world: _World, stage: Stage, *, queries: int) -> Claim:
    agreement = Agreement()
    places = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        pair = Pair(world.urls[Stage.LEGACY], world.urls[stage], client)

        async def one(user: SampleUser) -> None:
            token = world.stack.tokens[user.name]
            for resource in resources():
                async with places:
                    await compare(pair, resource, user, token, queries=queries, agreement=agreement)

        async with asyncio.TaskGroup() as group:
            for user in world.users:
                group.create_task(one(user))
    return Claim(
        topic=TOPIC,
        claim=f"v2 bodies of legacy and {stage} are equal",
        value=agreement.different,
        unit="different pages",
        target="0",
        ok=agreement.different == 0 and agreement.refused == 0 and agreement.rows > 0,
        n=agreement.pages,
        how=(
            f"{len(world.users)} users x {len(resources())} resources x {queries} random queries ({agreement.queries} in all, as far"
            f" as a nested list had a parent), up to 3 pages each and items; {agreement.rows} rows; {agreement.equal_bytes} pages"
            f" equal to the byte; {agreement.refused} not 200{_examples(agreement.examples)}"
        ),
    )


async def _visibility(world: _World) -> Claim:
    wrong = []
    collections = [resource for resource in resources() if not resource.nested]
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for user in world.users:
            for resource in collections:
                for url in world.urls.values():
                    token = world.stack.tokens[user.name]
                    if not await visible_as_in_legacy(world.stack, url, client, resource, token):
                        wrong.append(f"{user.name} {resource.path}")
    n = len(world.users) * len(collections) * len(world.urls)
    return Claim(
        topic=TOPIC,
        claim="everybody sees exactly the rows that Supabase's row security shows the same token",
        value=len(wrong),
        unit="differing (user, resource, stage)",
        target="0",
        ok=not wrong,
        n=n,
        how=f"all keys of a whole walk through /v2 against all keys of a whole walk through /rest/v1{_examples(wrong)}",
    )


async def _walks(world: _World, *, walks: int) -> AsyncIterator[Claim]:
    gateways = Gateways(
        legacy=world.urls[Stage.LEGACY],
        service=world.urls[Stage.COMPLETE],
        live=world.urls[Stage.LIVE],
    )
    walked = await walk(world.stack, gateways, walks=walks)
    for value, what in (
        (walked.missing, "missing"),
        (walked.doubled, "doubled"),
        (walked.wrong, "stale, misplaced or not to be seen"),
    ):
        yield Claim(
            topic=TOPIC,
            claim=f"federated lists: rows {what}",
            value=value,
            unit="rows",
            target="0",
            ok=value == 0 and walked.refused == 0 and walked.copied > 0,
            n=walked.walks,
            how=(
                f"random filters, orders and page sizes over check-ins of which random shares are only in legacy, alike, newer in"
                f" the service, hidden or deleted there, or only there; {walked.pages} pages, {walked.rows} rows,"
                f" {walked.copied} rows copied during the walks, {walked.refused} walks refused{_examples(walked.examples)}"
            ),
        )


def _examples(found: list[str]) -> str:
    return f"; first: {'; '.join(found[:3])}" if found else ""
