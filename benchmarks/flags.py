"""Flags, measured: sticky shares, the push into each process, and life without Redis."""

import asyncio
import json
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.claim import Claim
from benchmarks.own_valkey import OwnValkey, own_valkey
from benchmarks.size import Size
from benchmarks.world import GatewayProcess, gateway, sandbox
from catalog.service import Service
from catalog.stage import Stage
from routes import resources
from runtime import redis, tasks
from runtime.auditchain import AuditChain
from runtime.control_database import migrate_control
from runtime.flagchange import Ramp, apply
from runtime.flagset import FlagSet, Scope, first_flag_set, flag_entities
from runtime.flagsnapshot import FlagUser, Snapshot
from runtime.flagstore import FlagStore, StoreUnavailable
from runtime.keyring import Keyring
from runtime.postgres import create_pool
from runtime.published import keep_published
from runtime.stack import Stack
from sandbox.engines import postgres

TOPIC = "gateway"
STEPS = (1, 5, 25, 50, 100, 25)
ENTITY = "lab_orders"
ARRIVAL_SECONDS = 1.0
_KEYS = Keyring(newest="benchmark", keys={"benchmark": b"k" * 32})
_GIVE_UP_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 0.004


async def run(size: Size) -> AsyncIterator[Claim]:
    """Every claim about flags. Brings its own engines and its own sandbox."""
    for measured in (shares, lookup, push, without_redis):
        async for claim in measured(size):
            yield claim


# --- shares


async def shares(size: Size) -> AsyncIterator[Claim]:
    """Everybody through the steps of a ramp: who moves, and how many are where."""
    count = size.of(100_000, 4_000)
    allowed = size.of(5, 30) / 10
    draw = random.Random(1)
    users = [FlagUser(sub=str(uuid.UUID(int=draw.getrandbits(128)))) for _ in range(count)]
    backward = forward = 0
    furthest = 0.0
    flag_set, before, at_25 = first_flag_set(Stage.COMPLETE), [False] * count, [False] * count
    for step, percent in enumerate(STEPS):
        flag_set = _ramped(flag_set, percent)
        snapshot = Snapshot(flag_set, version=step + 1)
        now = [snapshot.stage(ENTITY, user) is Stage.LIVE for user in users]
        furthest = max(furthest, abs(100 * sum(now) / count - percent))
        if step == len(STEPS) - 1:
            forward = sum(new and not old for old, new in zip(at_25, now, strict=True))
        else:
            backward += sum(old and not new for old, new in zip(before, now, strict=True))
        at_25 = now if percent == 25 and step < len(STEPS) - 1 else at_25
        before = now
    path = " -> ".join(map(str, STEPS))
    yield Claim(
        topic=TOPIC,
        claim="flags: nobody moves backward on a ramp up",
        value=backward,
        unit="users moved backward",
        target="0",
        ok=backward == 0,
        n=count * (len(STEPS) - 1),
        how=f"{count} random ids through {path} percent live, each step a new version evaluated by flagd-core",
    )
    yield Claim(
        topic=TOPIC,
        claim="flags: back at 25 percent it is the same users",
        value=forward,
        unit="users who were not at live at the first 25 percent",
        target="0",
        ok=forward == 0,
        n=count,
        how=f"the last of {path}",
    )
    yield Claim(
        topic=TOPIC,
        claim="flags: shares are as asked",
        value=round(furthest, 3),
        unit="points off at the worst step",
        target=f"<= {allowed:g}",
        ok=furthest <= allowed,
        n=count * len(STEPS),
        how=f"share of {count} random ids that are at live at each of {path} percent",
    )


def _ramped(flag_set: FlagSet, percent: int, *entities: str) -> FlagSet:
    for entity in entities or (ENTITY,):
        change = Ramp(scope=Scope(entity=entity), stage=Stage.LIVE, tenths=percent * 10)
        flag_set = apply(flag_set, change).flag_set
    return flag_set


async def lookup(size: Size) -> AsyncIterator[Claim]:
    """What an answer from memory costs, beside the evaluation that it saves, in turns."""
    count, rounds = size.of(10_000, 1_000), size.of(20, 4)
    users = [FlagUser(sub=str(uuid.UUID(int=n)), role="patient") for n in range(count)]
    flag_set = _ramped(first_flag_set(Stage.COMPLETE), 50)
    remembered: list[float] = []
    evaluated: list[float] = []
    for _ in range(rounds):
        snapshot = Snapshot(flag_set)
        for into in (evaluated, remembered):
            began = time.process_time()
            for user in users:
                snapshot.stage(ENTITY, user)
            into.append((time.process_time() - began) / count * 1e6)
    cost, saved = statistics.median(remembered), statistics.median(evaluated)
    yield Claim(
        topic=TOPIC,
        claim="flags: a remembered answer costs less than 1 µs of CPU",
        value=round(cost, 3),
        unit="µs of CPU per lookup",
        target="< 1",
        ok=cost < 1,
        n=count * rounds,
        how=f"median of {rounds} rounds over {count} users; the evaluation that it saves took {saved:.1f} µs, {saved / cost:.0f} times as much, in the same rounds",
    )


# --- push


async def push(size: Size) -> AsyncIterator[Claim]:
    """From the call that changes a flag to the last of the gateway processes that has it."""
    flips, restarts, processes = size.of(200, 8), size.of(20, 2), size.of(4, 2)
    with tempfile.TemporaryDirectory(prefix="banyan-bench-") as name, ExitStack() as running:
        folder = Path(name)
        valkey = running.enter_context(own_valkey(folder / "valkey"))
        cluster = running.enter_context(postgres.running(folder / "postgres"))
        async with _store(cluster.dsn("postgres"), valkey) as store:
            stack = _no_world(valkey, folder)
            gateways = [
                running.enter_context(gateway(stack, folder, name=f"gateway{number}"))
                for number in range(processes)
            ]
            async with _clients(gateways) as clients:
                plain = [await _flip(store, clients, flip) for flip in range(flips)]
                after_restart = []
                for flip in range(restarts):
                    valkey.kill()
                    valkey.start()
                    after_restart.append(await _flip(store, clients, flips + flip))
    for measured, when in (
        (plain, ""),
        (after_restart, ", right after Redis was killed and restarted"),
    ):
        yield _arrival(measured, processes, when)


def _arrival(measured: Sequence[float], processes: int, when: str) -> Claim:
    worst = max(measured)
    return Claim(
        topic=TOPIC,
        claim=f"flags: a change reaches {processes} gateway processes{when}",
        value=round(worst, 3),
        unit="seconds at p100",
        target=f"< {ARRIVAL_SECONDS:g}",
        ok=worst < ARRIVAL_SECONDS,
        n=len(measured),
        how=f"from the call (commit in PostgreSQL included) to the last process whose /readyz has the version; p50 {statistics.median(measured):.3f} s",
    )


async def _flip(store: FlagStore, clients: Sequence[httpx.AsyncClient], number: int) -> float:
    """Seconds until every process has it; a change that is refused while Redis comes back is asked for again, in the same time."""
    began = time.monotonic()
    version = await _change(store, 100 if number % 2 == 0 else 0)
    await asyncio.gather(*(_has(client, version, began) for client in clients))
    return time.monotonic() - began


async def _change(store: FlagStore, percent: int, *entities: str) -> int:
    for _ in range(100):
        try:
            changed = await store.change(
                lambda flag_set: _ramped(flag_set, percent, *entities),
                change={"kind": "benchmark"},
                who="benchmark",
                reason="",
            )
        except StoreUnavailable:
            await asyncio.sleep(0.01)
        else:
            return changed.stored.version
    raise TimeoutError("Redis did not come back")


async def _has(client: httpx.AsyncClient, version: int, began: float) -> None:
    while (await client.get("/readyz")).json()["flags"] < version:
        if time.monotonic() - began > _GIVE_UP_SECONDS:
            raise TimeoutError(f"{client.base_url} never heard of version {version}")
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


@asynccontextmanager
async def _store(dsn: str, valkey: OwnValkey) -> AsyncIterator[FlagStore]:
    """What the control process does."""
    await migrate_control(dsn)
    pool = await create_pool(dsn, name="benchmark", size=3)
    client = redis.connect(valkey.url)
    store = FlagStore(pool, client, AuditChain(_KEYS, writer="benchmark"))
    await store.found(first_flag_set(Stage.COMPLETE))
    keeper = tasks.spawn(keep_published(store), name="flags.keep_published")
    try:
        yield store
    finally:
        await tasks.stop(keeper)
        await client.aclose()
        await pool.close()


def _no_world(valkey: OwnValkey, folder: Path) -> Stack:
    """Settings of a gateway that is asked for nothing but its readiness."""
    nowhere = "http://127.0.0.1:9"
    environment = {
        "PROFILE": "sandbox",
        "REDIS_URL": valkey.url,
        "LEGACY_REST_URL": nowhere,
        "TOKEN_ISSUER": f"{nowhere}/auth/v1",
        "SERVICE_URLS": json.dumps(dict.fromkeys(Service, nowhere)),
        "LEGACY_PUBLISHABLE_KEY": "none",
        "INTERNAL_TOKEN_KEY": "k" * 32,
        "CURSOR_KEY": "k" * 32,
        "ACCESS_LOG_KEY": "k" * 32,
        "ACCESS_LOG_FOLDER": str(folder / "access"),
    }
    return Stack(pid=0, started_at="", environment=environment)


@asynccontextmanager
async def _clients(
    gateways: Sequence[GatewayProcess],
) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
    async with AsyncExitStack() as opened:
        yield [
            await opened.enter_async_context(
                httpx.AsyncClient(base_url=started.url, trust_env=False, timeout=30)
            )
            for started in gateways
        ]


# --- without Redis


@dataclass(kw_only=True)
class Load:
    """What the load saw."""

    requests: int = 0
    while_dead: int = 0
    failed: int = 0
    decisions: int = 0
    changed: int = 0


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request that is repeated, and what of its answer must not change."""

    method: str
    path: str
    token: str
    read: Callable[[httpx.Response], str]

    async def decision(self, client: httpx.AsyncClient) -> str | None:
        """Where the caller was routed, None for an answer that is not 200, or does not say."""
        headers = {"authorization": f"Bearer {self.token}"}
        content = b"{}" if self.method == "POST" else None
        answer = await client.request(self.method, self.path, headers=headers, content=content)
        return self.read(answer) or None if answer.status_code == 200 else None


def _flags_of(answer: httpx.Response) -> str:
    return str([(flag["key"], flag["value"]) for flag in answer.json()["flags"]])


def _route_of(answer: httpx.Response) -> str:
    return str(answer.headers.get("x-banyan-route", ""))


def _rows_of(answer: httpx.Response) -> str:
    return answer.text


@dataclass(kw_only=True)
class Watch:
    """Requests in a circle, each compared with what it was answered at the beginning."""

    asks: Sequence[Ask]
    at_first: dict[int, str | None] = field(default_factory=dict)
    load: Load = field(default_factory=Load)
    redis_is_dead: bool = False
    until: float = 0.0

    async def learn(self, client: httpx.AsyncClient) -> None:
        for number, ask in enumerate(self.asks):
            self.at_first[number] = await ask.decision(client)
            if self.at_first[number] is None:
                raise RuntimeError(f"{ask.method} {ask.path} fails already with Redis alive")

    async def press(self, client: httpx.AsyncClient, start_at: int) -> None:
        number = start_at
        while time.monotonic() < self.until:
            await self.once(client, number % len(self.asks))
            number += 1

    async def once(self, client: httpx.AsyncClient, number: int) -> None:
        self.load.requests += 1
        self.load.while_dead += self.redis_is_dead
        try:
            decision = await self.asks[number].decision(client)
        except httpx.HTTPError:
            decision = None
        if decision is None:
            self.load.failed += 1
        else:
            self.load.decisions += 1
            self.load.changed += decision != self.at_first[number]


async def without_redis(size: Size) -> AsyncIterator[Claim]:
    """Kill Redis under load, bring it back, kill it again, and start a gateway without it."""
    with (
        tempfile.TemporaryDirectory(prefix="banyan-bench-") as name,
        sandbox(Path(name) / "world", scale=60) as stack,
    ):
        async for claim in without_redis_in(stack, Path(name), size):
            yield claim


async def without_redis_in(stack: Stack, folder: Path, size: Size) -> AsyncIterator[Claim]:
    """The same in a world that runs already, whose own Redis and flags are not touched."""
    dead_seconds, at_once = size.of(20, 2), size.of(8, 4)
    with ExitStack() as running:
        valkey = running.enter_context(own_valkey(folder / "valkey"))
        cluster = running.enter_context(postgres.running(folder / "postgres"))
        ours = stack.model_copy(
            update={"environment": {**stack.environment, "REDIS_URL": valkey.url}}
        )
        watch = Watch(asks=list(_asks(stack)))
        async with _store(cluster.dsn("postgres"), valkey) as store:
            version = await _change(store, 50, *flag_entities())
            with gateway(ours, folder, name="gateway") as started:
                async with _clients([started]) as [client]:
                    await _has(client, version, time.monotonic())
                    await watch.learn(client)
                    await _through_a_death(watch, client, valkey, dead_seconds, at_once)
            valkey.kill()
        yield _claim(
            "flags: Redis killed under load, routes that change", watch.load.changed, watch
        )
        yield _claim("flags: Redis killed under load, requests that fail", watch.load.failed, watch)
        with gateway(ours, folder, name="gateway") as started:
            yield await _cold_start(started, watch, version)


async def _through_a_death(
    watch: Watch, client: httpx.AsyncClient, valkey: OwnValkey, dead_seconds: float, at_once: int
) -> None:
    watch.until = time.monotonic() + 2 * dead_seconds
    async with asyncio.TaskGroup() as pressing:
        for number in range(at_once):
            share = number * len(watch.asks) // at_once
            pressing.create_task(watch.press(client, share))
        await asyncio.sleep(dead_seconds / 2)
        valkey.kill()
        watch.redis_is_dead = True
        await asyncio.sleep(dead_seconds)
        watch.redis_is_dead = False
        valkey.start()


def _claim(claim: str, value: int, watch: Watch) -> Claim:
    load = watch.load
    return Claim(
        topic=TOPIC,
        claim=claim,
        value=value,
        unit="of the requests",
        target="0",
        ok=value == 0 and load.while_dead > 0,
        n=load.requests,
        how=(
            f"{len(watch.asks)} different requests in a circle through one gateway, every entity at 50 percent live: all flags of"
            f" every sample user by OFREP, a /v2 list of theirs by its body, and every /v2 list of an operator by X-Banyan-Route;"
            f" {load.while_dead} of them while"
            f" Redis was dead (kill -9, started again under load)"
        ),
    )


async def _cold_start(started: GatewayProcess, watch: Watch, version: int) -> Claim:
    watch.load = Load()
    async with _clients([started]) as [client]:
        ready = (await client.get("/readyz")).json()
        for number in range(len(watch.asks)):
            await watch.once(client, number)
    wrong = watch.load.changed + watch.load.failed
    right_source = ready["source"] == "disk" and ready["flags"] == version
    return Claim(
        topic=TOPIC,
        claim="flags: a cold start without Redis serves from the disk snapshot",
        value=wrong,
        unit="answers that differ from those with Redis",
        target="0",
        ok=wrong == 0 and right_source,
        n=watch.load.requests,
        how=f"a new gateway process with Redis dead: flags from {ready['source']}, version {ready['flags']} of {version}",
    )


def _asks(stack: Stack) -> Iterator[Ask]:
    lists = [f"{r.collection_path}?limit=2" for r in resources() if not r.nested]
    for token in stack.tokens.values():
        yield Ask(method="POST", path="/ofrep/v1/evaluate/flags", token=token, read=_flags_of)
        yield Ask(method="GET", path=lists[0], token=token, read=_rows_of)
    for path in lists:
        yield Ask(method="GET", path=path, token=stack.operators["operator"], read=_route_of)
