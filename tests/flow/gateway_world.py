"""The gateway between two scripts: everything from the client's bytes to the upstreams' sockets is the real thing."""

import errno
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from catalog.service import Service
from catalog.stage import Stage
from gateway.alarm import Alarm
from gateway.announcer import Announcer
from gateway.deps import Deps
from gateway.legacy_side import LegacySide
from gateway.legacy_writes import LegacyWrites
from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.overload import Overload
from gateway.pins import Pins
from gateway.read import Reader
from gateway.row_write import RowWrites
from gateway.server import Gateway
from gateway.service_side import ServiceSide, owners
from gateway.service_writes import ServiceWrites
from gateway.user import User
from gateway.write import Deadlines, Writing
from runtime.accesslog import AccessLog
from runtime.accessrecord import problems
from runtime.eventlog.errors import LogUnavailable
from runtime.eventlog.memory import MemoryLog
from runtime.eventlog.protocol import NO_HEADERS, Message, Place
from runtime.flagset import EntityState, FlagSet, Scope, first_flag_set
from runtime.flagsnapshot import Snapshot
from runtime.identity import Identity, TokenRefused
from runtime.intent import TOPIC, Said, decode
from runtime.internal_token import InternalTokens
from runtime.jwks import KeysUnavailable
from runtime.ratelimit import Budget
from runtime.recordfile import RecordFile
from runtime.settings import Settings, load
from runtime.spool import Spool
from runtime.upstream.upstream import Upstream
from tests.fakes.memory_repeats import MemoryRepeats
from tests.fakes.scripted import Play, Script, Trouble, scripted
from tests.fakes.wire import Wire

ROW = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
KEY = b"k" * 32


class Verifier:
    """A token is a role; one that was seen is remembered."""

    def __init__(self) -> None:
        self.seen: dict[bytes, User] = {}

    def remembered(self, token: bytes) -> User | None:
        return self.seen.get(token)

    async def verify(self, token: bytes) -> User:
        if token == b"no-keys":
            raise KeysUnavailable
        if token == b"bug":
            raise ZeroDivisionError("patient 7")
        if token not in (b"patient", b"clinician", b"compliance"):
            raise TokenRefused("unknown")
        return self.seen.setdefault(token, user(token.decode()))


def user(role: str) -> User:
    return User(Identity(sub=ROW, app_role=role), role.encode())


class Records:
    """A real access log in a folder; `works` is whether it can be written."""

    def __init__(self, folder: Path) -> None:
        self.works = True
        self._folder = folder
        self.log = AccessLog(folder, "gateway", open_file=self._open)

    def _open(self, path: Path) -> RecordFile:
        if not self.works:
            raise OSError(errno.ENOSPC, "no space")
        return RecordFile(path)

    @property
    def lines(self) -> list[dict[str, Any]]:
        found = b"".join(path.read_bytes() for path in sorted(self._folder.glob("*.jsonl")))
        assert [problems(line) for line in found.splitlines() if problems(line)] == []
        return [json.loads(line) for line in found.splitlines()]


@dataclass
class Flags:
    """A feed that stands still."""

    current: Snapshot
    source: str = "push"
    staleness_seconds: float = 0.0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Stream(MemoryLog):
    """The mirror stream in memory, which notes in `trail` what is said, and may be down."""

    def __init__(self, trail: list[str]) -> None:
        super().__init__()
        self.down = False
        self.said: list[Said] = []
        self._trail = trail

    @override
    async def append_many(self, messages: Sequence[Message]) -> list[Place]:
        if self.down:
            raise LogUnavailable("down")
        places = await super().append_many(messages)
        for message in messages:
            said = decode(message.value)
            self.said.append(said)
            self._trail.append(type(said).__name__.lower())
        return places

    @override
    async def append(
        self, topic: str, key: bytes, value: bytes, *, headers: Mapping[str, bytes] = NO_HEADERS
    ) -> Place:
        found = await self.append_many([Message(topic=topic, key=key, value=value)])
        return found[0]


@dataclass
class World:
    """The gateway between two scripts; `asked` is what each was asked, by method and target, and `trail` what happened in
    which order."""

    client: httpx.AsyncClient
    asked: dict[str, list[str]]
    scripts: dict[str, Script]
    app: Gateway
    records: Records
    stream: Stream
    trail: list[str]
    spool: Path

    def at(self, flags: FlagSet) -> None:
        """From now on these flags hold, as after a push that found all pins."""
        feed = self.app.deps.flags
        feed.current = Snapshot(flags, version=feed.current.version + 1, store="s")

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str = "compliance",
        key: str = "",
        **headers: str,
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {role}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent["idempotency-key"] = f'"{key}"'
        content = None
        if body is not None:
            sent.setdefault("content-type", "application/json")
            content = json.dumps(body).encode()
        return await self.client.request(method, path, content=content, headers=sent)

    async def get(self, path: str, role: str = "clinician", **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={"authorization": f"Bearer {role}", **headers})


def task(**changed: Any) -> dict[str, Any]:
    """A compliance task as our own select has PostgREST answer it."""
    return {
        "id": ROW, "submission_id": None, "task_type": "identity_check", "status": "done", "title": "t",
        "description": None, "is_blocking": False, "priority": 3, "assignee_id": None, "due_at": None,
        "completed_at": None, "completed_by": None, "metadata": {}, "created_at": "2024-01-01T00:00:00+00:00",
        "updated_at": "2024-01-02T00:00:00+00:00", "_origin": "legacy", **changed,
    }  # fmt: skip


def reply(code: int, body: Any, **headers: str) -> httpx.Response:
    """As it comes from a socket: unread, and framed."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    framed = {"content-length": str(len(content)), **headers}
    return httpx.Response(code, headers=framed, stream=httpx.ByteStream(content))


def rows(*found: Mapping[str, Any]) -> Script:
    return lambda request: reply(200, list(found))


def status(code: int) -> Script:
    return lambda request: reply(code, {"message": "patient 7"})


def service(*, item: int = 404, known: bool = False, page: list[Any] | None = None) -> Script:
    """A service that knows, or does not know, what it is asked for."""

    def script(request: httpx.Request) -> httpx.Response:
        match request.extensions["target"]:
            case b"/internal/known":
                return reply(200, {"known": [known]})
            case b"/internal/page":
                keys = json.loads(request.content)["keys"]
                answer = {"items": page or [], "next": None, "known": [known] * len(keys)}
                return reply(200, answer)
            case _:
                row = {"id": ROW, "status": "from the service"}
                return reply(item, row, etag='"1.service"')

    return script


def at(stage: Stage, *, backfilled: bool = False, **partitions: Stage) -> FlagSet:
    """Everybody at this stage of every entity, partitions of compliance tasks apart."""
    first = first_flag_set(Stage.COMPLETE)
    state = EntityState(floor=stage, ceiling=stage, backfilled=backfilled)
    states = dict.fromkeys(first.states, state)
    for name, own in partitions.items():
        states[Scope(entity="compliance_tasks", partition=name)] = replace(
            state, floor=own, ceiling=own
        )
    return replace(first, states=states)


@pytest.fixture
def settings() -> Settings:
    return load(profile="sandbox", allowed_hosts="gateway")


@pytest.fixture
async def world(
    settings: Settings, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[World]:
    """`request.param`: the flag set. Both sides refuse until a test gives them a script."""
    asked: dict[str, list[str]] = {"legacy": [], "service": []}
    trail: list[str] = []
    scripts: dict[str, Script] = {"legacy": status(500), "service": status(500)}

    def upstream(name: str, side: str) -> Upstream:
        def script() -> Script:
            play = scripts[side]
            return play if isinstance(play, Trouble) else partial(noted, play)

        def noted(play: Play, request: httpx.Request) -> httpx.Response:
            asked[side].append(f"{request.method} {request.extensions['target'].decode()}")
            trail.append(f"{side} {request.method}")
            return play(request)

        return scripted(name, f"http://{name}", script, connections=1, deadline=1.0)

    legacy, compliance = upstream("legacy", "legacy"), upstream("compliance", "service")
    metrics, records, pins = Metrics(), Records(tmp_path), Pins()
    stream = Stream(trail)
    await stream.create(TOPIC)
    announcer = Announcer(stream, Spool(tmp_path / "spool"))
    owner = owners({Service.COMPLIANCE: compliance})
    services = ServiceSide(owner, InternalTokens("k" * 32), KEY)
    legacy_side = LegacySide(
        legacy,
        apikey="sb_publishable_x",
        budget=Budget(per_second=1000, burst=1000),
        unrepresentable=lambda e, c: None,
    )
    reader = Reader(legacy_side, services, KEY)
    writing = Writing(
        announcer=announcer,
        pins=pins,
        repeats=MemoryRepeats(time.monotonic),
        record_key=KEY,
        deadlines=Deadlines(write=1.0, statement=1.0),
        count=metrics.writes.inc,
    )
    deps = Deps(
        settings=settings,
        verifier=Verifier(),
        flags=Flags(current=Snapshot(request.param, version=7, store="s")),
        reader=reader,
        services=owner,
        writes=RowWrites(
            writing=writing,
            legacy=LegacyWrites(legacy_side, deadline=1.0),
            services=ServiceWrites(owner, deadline=1.0),
            reader=reader,
            record_key=KEY,
            unkeyed=metrics.unkeyed_writes.inc,
        ),
        pins=pins,
        limits=Limits(settings, metrics),
        overload=Overload(),
        records=records.log,
        metrics=metrics,
        tally=metrics.tally,
        alarm=Alarm(metrics, time.monotonic, {}),
        cursor_key=KEY,
        record_key=KEY,
        openapi=b"{}",
        clock=time.monotonic,
    )
    app = Gateway(deps, feeds=(), upstreams=(legacy, compliance))
    async with httpx.AsyncClient(transport=Wire(app), base_url="http://gateway") as client:
        yield World(
            client=client,
            asked=asked,
            scripts=scripts,
            app=app,
            records=records,
            stream=stream,
            trail=trail,
            spool=tmp_path / "spool",
        )
    await writing.drain()
    await announcer.stop()
    await app.stop()


def staged(*flag_sets: FlagSet) -> pytest.MarkDecorator:
    names = [f"flags-{number}" for number, _ in enumerate(flag_sets)]
    return pytest.mark.parametrize("world", flag_sets, indirect=True, ids=names)
