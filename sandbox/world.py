"""The composition root of the sandbox: what runs, with which settings, and in which order it starts.

Two PostgreSQL clusters (`legacy` is the Supabase project, `services` the new world) and Valkey, each of them unless
its URL is set; then the data; then the programs that answer HTTP. Ports and secrets are chosen before anything
starts, so everything that does not need another thing's data starts beside it.
"""

import asyncio
import base64
import json
import secrets
import sys
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from catalog.service import Service
from migration.app import NAMES as WORKERS
from migration.copy import TableCopy, copy_all
from migration.legacy.install import prepare
from runtime.keyring import KEY_BYTES
from runtime.settings import Settings, inherited_environment
from runtime.settingserror import SettingsError
from runtime.stack import Process, SampleUser, Stack
from sandbox import health, ports
from sandbox.children import Command
from sandbox.engines import postgres, valkey
from sandbox.legacy.load import OWNER, Legacy, load_schema
from sandbox.seed.dataset import generate
from sandbox.seed.diagnostics import VENDORS
from sandbox.seed.hours import load_hours
from sandbox.seed.load import load
from sandbox.seed.people import PEOPLE
from sandbox.steps import Step
from sandbox.supabase import passwords
from sandbox.supervisor import Supervisor
from services.migrate import migrate_all

log = structlog.get_logger("sandbox")

ROOT = Path(__file__).resolve().parents[1]
"""Programs run here: `config/` is found relative to it."""
_READY_SECONDS = 30.0
_READY_LINE = b'"event":"worker.ready"'
"""In the log of a program without a port."""

LEGACY, SERVICES, REDIS = ENGINES = ("legacy-postgres", "services-postgres", "valkey")
LOADED, PREPARED, CREATED, MIGRATED, COPIED, OPENED, SAMPLED = DATA = (
    "load legacy",
    "prepare legacy",
    "create databases",
    "migrate services",
    "copy to services",
    "open calendars",
    "sample users",
)
_SERVICE_ROLE, _APPLY_ROLE, _CONTROL_ROLE = "banyan_service", "banyan_apply", "banyan_control"
"""Made by the services' migrations: what service processes log in as, who writes copied rows, and who switches and restamps."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One Python program of the world. `port` is the wished one; it is called as `python -m <arguments> --port N`.

    Without a port it answers nobody, and is ready when its log says so.
    """

    name: str
    arguments: tuple[str, ...]
    port: int | None
    after: tuple[str, ...]
    health: str = "/healthz"
    environment: tuple[str, ...] = ()
    """Names of settings that this one gets beside those that all get."""


PROGRAMS = (
    Program(
        name="legacy",
        arguments=("sandbox.supabase",),
        port=8420,
        after=(PREPARED, SAMPLED),
        environment=("LEGACY_STANDIN_DSN", "LEGACY_STANDIN_STATE"),
    ),
    *(
        Program(
            name=service.value,
            arguments=("services", service.value),
            port=8410 + number,
            after=(MIGRATED,),
        )
        for number, service in enumerate(Service)
    ),
    Program(name="gateway", arguments=("gateway",), port=8400, after=(REDIS,)),
    Program(name="control", arguments=("gateway.control",), port=8401, after=(REDIS, CREATED)),
    Program(name="frontend", arguments=("sandbox.frontend",), port=8440, after=()),
    *(
        Program(
            name=name,
            arguments=("migration", name),
            port=None,
            after=(REDIS, PREPARED, COPIED, "control"),
        )
        for name in WORKERS
    ),
)


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that was decided before the start. An engine that is None lives elsewhere, under the URL in the settings."""

    run: Path
    scale: int
    seed: int
    legacy: Legacy | None
    services: postgres.Cluster | None
    own_databases: tuple[str, ...]
    """Those of `services` and `control` that live in our own cluster."""
    redis: valkey.Server | None
    programs: tuple[Program, ...]
    ports: dict[str, int]
    urls: dict[str, str]
    environment: dict[str, str] = field(repr=False)
    """Settings of every program, by the names of runtime/settings.py."""

    @property
    def standin(self) -> Path:
        """Where the REST stand-in keeps its keys, passwords and files."""
        return self.run / "data" / "standin"

    def owned(self, name: str) -> str | None:
        """DSN of one of our own databases as its owner; None if it lives elsewhere."""
        if self.services is None or name not in self.own_databases:
            return None
        return self.services.dsn(name, OWNER)

    def stack(self, *, pid: int, started_at: str) -> Stack:
        """What is known before the start: no process, no token."""
        databases = {
            "services": self.owned("services") or self.environment["SERVICES_DATABASE_URL"],
            "control": self.environment["CONTROL_DATABASE_URL"],
            "legacy_worker": self.environment["LEGACY_DATABASE_URL"],
        }
        if self.legacy:
            databases["legacy"] = self.legacy.owner
        if self.services and self.owned("services"):
            databases["services_apply"] = self.services.dsn("services", _APPLY_ROLE)
        return Stack(
            pid=pid,
            started_at=started_at,
            urls=self.urls,
            databases=databases,
            redis=self.environment["REDIS_URL"],
            users=[
                SampleUser(
                    name=person.name,
                    email=person.email,
                    password=person.password,
                    role=person.operator or person.app_role,
                )
                for person in PEOPLE
            ],
            environment=self.environment,
        )


def design(
    settings: Settings,
    *,
    run: Path,
    scale: int,
    seed: int,
    only: Collection[str] | None = None,
    durable: bool = False,
) -> World:
    """Choose ports and secrets, make the folders; `only` names the programs to start, None means all; `durable`: our own
    clusters sync what they write.

    Raises SettingsError for settings that do not go together.
    """
    if (settings.legacy_database_url is None) != (settings.legacy_rest_url is None):
        raise SettingsError(
            ["LEGACY_DATABASE_URL and LEGACY_REST_URL belong to one project: set both, or none"]
        )
    data = run / "data"
    legacy = services = redis = None
    if settings.legacy_database_url is None:
        cluster = postgres.new_cluster(data / LEGACY, log=run / f"{LEGACY}.log", durable=durable)
        legacy = Legacy(cluster=cluster, database="legacy")
    own = tuple(
        name
        for name in ("services", "control")
        if getattr(settings, f"{name}_database_url") is None
    )
    if own:
        services = postgres.new_cluster(
            data / SERVICES, log=run / f"{SERVICES}.log", durable=durable
        )
    if settings.redis_url is None:
        redis = valkey.new_server(data / REDIS, log=run / f"{REDIS}.log")
    movers = _movers(settings, legacy, services if "services" in own else None)
    programs = tuple(
        program
        for program in PROGRAMS
        if _is_wanted(program, legacy, only) and (program.port is not None or _can_move(movers))
    )
    chosen = {p.name: ports.prefer(p.port) for p in programs if p.port is not None}
    urls = {name: f"http://{ports.LOOPBACK}:{port}" for name, port in chosen.items()}
    if settings.legacy_rest_url:
        urls["legacy"] = settings.legacy_rest_url
    databases = {
        "LEGACY_DATABASE_URL": legacy.worker if legacy else settings.need("legacy_database_url"),
        **_new_world(settings, services),
        **movers,
        "REDIS_URL": redis.url if redis else settings.need("redis_url"),
    }
    return World(
        run=run,
        scale=scale,
        seed=seed,
        legacy=legacy,
        services=services,
        own_databases=own,
        redis=redis,
        programs=programs,
        ports=chosen,
        urls=urls,
        environment={**databases, **_environment(settings, run, urls)},
    )


def _is_wanted(program: Program, legacy: Legacy | None, only: Collection[str] | None) -> bool:
    if only is not None and program.name not in only:
        return False
    return program.name != "legacy" or legacy is not None


def _new_world(settings: Settings, cluster: postgres.Cluster | None) -> dict[str, str]:
    """The URL that is set, else the database of that name in our own cluster, as the role that the processes log in as."""
    found = {}
    for name, role in (("services", _SERVICE_ROLE), ("control", OWNER)):
        setting = f"{name}_database_url"
        ours = cluster if getattr(settings, setting) is None else None
        found[setting.upper()] = ours.dsn(name, role) if ours else settings.need(setting)
    return found


def _movers(
    settings: Settings, legacy: Legacy | None, cluster: postgres.Cluster | None
) -> dict[str, str]:
    """What the movers and restamps log in as beside the worker role, as far as it is known: engines elsewhere may be without."""
    found = {
        "LEGACY_CONTROL_DATABASE_URL": legacy and legacy.control,
        "SERVICES_APPLY_DATABASE_URL": cluster and cluster.dsn("services", _APPLY_ROLE),
        "SERVICES_CONTROL_DATABASE_URL": cluster and cluster.dsn("services", _CONTROL_ROLE),
    }
    for name in found:
        if getattr(settings, name.lower()) is not None:
            found[name] = settings.need_secret(name.lower())
    return {name: url for name, url in found.items() if url}


def _can_move(logins: Collection[str]) -> bool:
    """Restamps, which are an operator's, are all that a mover does without."""
    return {"LEGACY_CONTROL_DATABASE_URL", "SERVICES_APPLY_DATABASE_URL"} <= set(logins)


def _environment(settings: Settings, run: Path, urls: dict[str, str]) -> dict[str, str]:
    def secret(name: str, prefix: str = "") -> str:
        given = getattr(settings, name) is not None
        return settings.need_secret(name) if given else prefix + secrets.token_hex(32)

    def keys(name: str) -> str:
        if getattr(settings, name) is not None:
            return settings.need_secret(name)
        # An id of its own: in a database that outlives this sandbox its key is lost, not another one.
        return f"sandbox-{secrets.token_hex(4)}:{_new_key()}"

    services = {service.value: urls[service] for service in Service if service in urls}
    found = {
        "PROFILE": "sandbox",
        "SERVICE_URLS": json.dumps(services),
        "LEGACY_PUBLISHABLE_KEY": secret("legacy_publishable_key", "sb_publishable_"),
        "INTERNAL_TOKEN_KEY": secret("internal_token_key"),
        "CURSOR_KEY": secret("cursor_key"),
        "ACCESS_LOG_KEY": secret("access_log_key"),
        **{name.upper(): keys(name) for name in ("field_keys", "evidence_keys", "audit_keys")},
        "AUDIT_ANCHOR_FILE": str(run / "data" / "audit.anchors.jsonl"),
        "ACCESS_LOG_FOLDER": str(run / "access"),
        "OBJECT_STORE_URL": _object_store(settings, run),
        "VENDOR_KEYS": _vendor_keys(settings),
        # Benchmarks and tests ask as few users as fast as they can.
        "USER_REQUESTS_PER_SECOND": str(settings.user_requests_per_second * 1000),
        "PARTNER_REQUESTS_PER_SECOND": str(settings.partner_requests_per_second * 1000),
        "LEGACY_REQUESTS_PER_SECOND": str(settings.legacy_requests_per_second * 1000),
        "SPOOL_FOLDER": str(run / "data" / "spool"),
        "FLAGS_SNAPSHOT_FILE": str(run / "flags.snapshot.json"),
        "KILL_SWITCH_FILE": str(run / "panic"),
    }
    if "legacy" in urls:
        found["LEGACY_REST_URL"] = urls["legacy"]
        found["TOKEN_ISSUER"] = settings.token_issuer or f"{urls['legacy']}/auth/v1"
    if "gateway" in urls:
        found["GATEWAY_URL"] = urls["gateway"]
    if "frontend" in urls:
        found["CORS_ORIGINS"] = urls["frontend"]
    return found


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _vendor_keys(settings: Settings) -> str:
    """The secrets that are set, else one for a laboratory of the seeded orders."""
    if settings.vendor_keys is not None:
        return settings.need_secret("vendor_keys")
    return f"{VENDORS[0]}:{_new_key()}"


def _object_store(settings: Settings, run: Path) -> str:
    """The URL that is set, else a folder of ours."""
    if settings.object_store_url is not None:
        return settings.need_secret("object_store_url")
    return (run / "data" / "objects").resolve().as_uri()


def steps(world: World, supervisor: Supervisor) -> list[Step]:
    """What happens, each as early as what it needs is done."""
    found = [
        *_engine_steps(world, supervisor),
        *_data_steps(world),
        *(_program_step(world, supervisor, program) for program in world.programs),
    ]
    # An engine that lives elsewhere is ready already, and its owner takes care of its schema and data. Nobody waits for a
    # program that was left out.
    elsewhere = {*ENGINES, *DATA, *(p.name for p in PROGRAMS)} - {step.name for step in found}
    return [
        Step(name=step.name, run=step.run, after=tuple(n for n in step.after if n not in elsewhere))
        for step in found
    ]


def _engine_steps(world: World, supervisor: Supervisor) -> list[Step]:
    def cluster(cluster: postgres.Cluster) -> Step:
        async def serve() -> None:
            await supervisor.run(cluster.initdb())
            await supervisor.start(
                cluster.server(), _now(cluster.is_ready), within=postgres.READY_SECONDS, engine=True
            )
            await postgres.create_owner(cluster, OWNER)

        return Step(name=cluster.name, run=serve)

    found = []
    if world.legacy:
        found.append(cluster(world.legacy.cluster))
    if world.services:
        found.append(cluster(world.services))
    if redis := world.redis:

        async def serve() -> None:
            await supervisor.start(
                redis.command(), _now(redis.is_ready), within=valkey.READY_SECONDS, engine=True
            )

        found.append(Step(name=REDIS, run=serve))
    return found


def _data_steps(world: World) -> list[Step]:
    found = []
    if legacy := world.legacy:

        async def seed() -> None:
            await postgres.create_database(legacy.cluster, legacy.database, owner=OWNER)
            await load_schema(legacy.owner)
            await load(legacy.owner, await asyncio.to_thread(generate, world.scale, world.seed))

        async def sample() -> None:
            passwords.write(world.standin, {person.email: person.password for person in PEOPLE})

        found += [
            Step(name=LOADED, run=seed, after=(LEGACY,)),
            Step(name=PREPARED, run=lambda: prepare(legacy.owner), after=(LOADED,)),
            Step(name=SAMPLED, run=sample),
        ]
    if cluster := world.services:

        async def databases() -> None:
            for name in world.own_databases:
                await postgres.create_database(cluster, name, owner=OWNER)

        found.append(Step(name=CREATED, run=databases, after=(SERVICES,)))
        if owner := world.owned("services"):
            found.append(Step(name=MIGRATED, run=lambda: migrate_all(owner), after=(CREATED,)))
            found.append(Step(name=OPENED, run=lambda: load_hours(owner), after=(MIGRATED,)))
            if legacy:
                target = cluster.dsn("services", _APPLY_ROLE)
                found.append(
                    Step(
                        name=COPIED,
                        run=lambda: copy_all(legacy.worker, target, progress=_copied),
                        after=(PREPARED, MIGRATED),
                    )
                )
    return found


def _copied(table: TableCopy) -> None:
    if table.done:
        refused = sum(table.refused.values())
        log.info("table.copied", entity=table.entity, rows=table.applied, count=refused)


def _program_step(world: World, supervisor: Supervisor, program: Program) -> Step:
    port = world.ports.get(program.name)
    at = () if port is None else ("--port", str(port))
    own: dict[str, str] = {}
    if world.legacy:
        own = {
            "LEGACY_STANDIN_DSN": world.legacy.authenticator,
            "LEGACY_STANDIN_STATE": str(world.standin),
        }
    command = Command(
        name=program.name,
        argv=(sys.executable, "-m", *program.arguments, *at),
        log=world.run / f"{program.name}.log",
        environment={
            **inherited_environment(),
            **world.environment,
            **{name: own[name] for name in program.environment},
            "PYTHONUNBUFFERED": "1",
        },
        folder=ROOT,
    )

    async def ready() -> bool:
        if port is None:
            return _READY_LINE in command.log.read_bytes()
        return await health.answers(port, program.health)

    async def serve() -> None:
        url = world.urls.get(program.name, "")
        await supervisor.start(command, ready, within=_READY_SECONDS, url=url)

    return Step(name=program.name, run=serve, after=program.after)


def processes(supervisor: Supervisor) -> list[Process]:
    """The children as the stack file shows them."""
    return [
        Process(
            name=kept.command.name,
            pid=kept.child.pid,
            url=kept.url,
            log=str(kept.command.log),
            restarts=kept.restarts,
        )
        for kept in supervisor.kept
    ]


def _now(answer: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return answer()

    return ask
