"""The engines from wheels: how they start, stop, come back, and what they leave behind."""

import asyncio
import os
import pwd
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from runtime import redis
from sandbox import ports
from sandbox.children import ChildDied, ChildSilent, Command, last_lines, start
from sandbox.engines import postgres, valkey
from sandbox.engines.postgres import Cluster
from tests.until import until

pytestmark = pytest.mark.stack

PLAIN = {"PATH": os.defpath}


def is_alive(pid: int) -> bool:
    """Alive and no zombie: whoever is orphaned here waits for a pid 1 that may not collect."""
    with suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in ("Z", "X")
    return False


def command(tmp_path: Path, *argv: str, stop_signal: signal.Signals = signal.SIGTERM) -> Command:
    return Command(
        name="child",
        argv=argv,
        log=tmp_path / "child.log",
        environment=PLAIN,
        stop_signal=stop_signal,
    )


# ---- children


def test_a_child_writes_to_its_log_and_stops_when_asked(tmp_path: Path):
    child = start(command(tmp_path, "sh", "-c", "echo hello; exec sleep 60"))
    child.wait(lambda: last_lines(tmp_path / "child.log") == ["hello"], within=10)

    assert child.stop() == -signal.SIGTERM
    assert child.code == -signal.SIGTERM


def test_a_deaf_child_is_killed_with_what_it_started(tmp_path: Path):
    script = "trap '' TERM; sleep 61 & echo $!; wait"
    child = start(command(tmp_path, "sh", "-c", script))
    child.wait(lambda: bool(last_lines(tmp_path / "child.log")), within=10)
    grandchild = int(last_lines(tmp_path / "child.log")[0])

    assert child.stop(grace=0.1) == -signal.SIGKILL
    until(lambda: not is_alive(grandchild))


def test_a_child_that_ends_early_is_an_error_with_its_log(tmp_path: Path):
    child = start(command(tmp_path, "sh", "-c", "echo why; exit 3"))

    with pytest.raises(ChildDied) as death:
        child.wait(lambda: False, within=10)
    assert death.value.code == 3
    assert last_lines(death.value.command.log) == ["why"]


def test_a_child_that_never_gets_ready_is_an_error(tmp_path: Path):
    child = start(command(tmp_path, "sleep", "60"))
    try:
        with pytest.raises(ChildSilent):
            child.wait(lambda: False, within=0.05)
    finally:
        child.stop()


def test_children_take_an_interrupt_although_we_ignore_it(tmp_path: Path):
    """As below `make up &`, where everything starts with SIGINT ignored; PostgreSQL is stopped with it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = start(command(tmp_path, "sleep", "60", stop_signal=signal.SIGINT))
        comm = Path(f"/proc/{child.pid}/comm")
        child.wait(lambda: comm.read_text() == "sleep\n", within=10)
        assert child.stop() == -signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_unknown_program_ends_at_once(tmp_path: Path):
    child = start(command(tmp_path, "no-such-program"))
    until(lambda: child.code is not None)
    assert child.code != 0


# ---- ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_replaced(taken: int):
    assert not ports.is_free(taken)
    assert ports.prefer(taken) != taken


def test_a_free_port_is_given_once():
    port = ports.free()
    assert ports.is_free(port)
    assert ports.prefer(port) != port


# ---- PostgreSQL


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wal_level", "logical"),
        ("synchronous_commit", "on"),
        ("fsync", "off"),
        ("listen_addresses", "127.0.0.1"),
        ("log_error_verbosity", "terse"),
        ("log_parameter_max_length_on_error", "0"),
    ],
)
async def test_settings(cluster: Cluster, name: str, value: str):
    assert await ask(cluster.dsn("postgres"), f"show {name}") == value


async def test_no_unix_socket_and_no_root(cluster: Cluster):
    assert await ask(cluster.dsn("postgres"), "show unix_socket_directories") == ""
    if os.geteuid() == 0:
        assert cluster.install.prefix or cluster.install.user


async def test_the_owner_is_no_superuser(cluster: Cluster):
    row = await ask(
        cluster.dsn("postgres"),
        "select (rolsuper, rolcreaterole, rolreplication, rolbypassrls)::text"
        " from pg_roles where rolname = 'postgres'",
    )
    assert row == "(f,t,t,t)"


async def test_failing_statements_leave_nothing_in_the_log(cluster: Cluster):
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute("create temp table t (mail text unique)")
        await connection.execute("insert into t values ('planted.name@mail.example')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("insert into t values ($1)", "planted.name@mail.example")
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("select 'planted.name'::integer")
    finally:
        await connection.close()

    log = cluster.log.read_text()
    assert "ready to accept connections" in log
    assert "planted" not in log


def test_stopping_does_not_wait_for_sessions(tmp_path: Path):
    with asyncio.Runner() as session:
        with postgres.running(tmp_path / "data") as cluster:
            connection = session.run(asyncpg.connect(cluster.dsn("postgres")))
            pid = int((cluster.folder / "postmaster.pid").read_text().splitlines()[0])
        connection.terminate()
        session.run(asyncio.sleep(0))  # its socket is closed in the loop's next turn

    assert not is_alive(pid)
    assert "database system is shut down" in cluster.log.read_text()


def test_a_killed_cluster_comes_back_with_its_rows(tmp_path: Path):
    cluster = postgres.new_cluster(tmp_path / "data")
    assert start(cluster.initdb()).process.wait() == 0
    first = start(cluster.server())
    first.wait(cluster.is_ready, within=20)
    asyncio.run(ask(cluster.dsn("postgres"), "create table kept as select 7 as n"))
    first.kill()
    assert first.process.wait() == -signal.SIGKILL

    second = start(cluster.server())
    try:
        second.wait(lambda: _accepts(cluster), within=20)
        assert asyncio.run(ask(cluster.dsn("postgres"), "select n from kept")) == 7
    finally:
        second.stop()


def _accepts(cluster: Cluster) -> bool:
    """The pid file cannot be asked: that of the killed server still says ready."""
    try:
        return asyncio.run(ask(cluster.dsn("postgres"), "select true")) is True
    except (OSError, asyncpg.PostgresError):
        return False


def test_a_taken_port_ends_the_start_with_an_error(tmp_path: Path, taken: int):
    cluster = postgres.new_cluster(tmp_path / "data")
    cluster = Cluster(**{**vars(cluster), "port": taken})
    assert start(cluster.initdb()).process.wait() == 0
    server = start(cluster.server())

    with pytest.raises(ChildDied):
        server.wait(cluster.is_ready, within=20)
    assert any("could not bind" in line for line in last_lines(cluster.log))


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder that others may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="banyan-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs to become somebody else")
@pytest.mark.parametrize("readable", [True, False], ids=["in place", "copied"])
def test_root_without_namespaces_runs_it_as_nobody(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, readable: bool
):
    """Where user namespaces are forbidden (many containers), also when nobody cannot enter the checkout."""
    runs = postgres._runs
    monkeypatch.setattr(postgres, "_NAMESPACE", ("false",))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if not readable:
        monkeypatch.setattr(
            postgres,
            "_runs",
            lambda argv, user=None: "site-packages" not in argv[0] and runs(argv, user=user),
        )
    postgres.find_install.cache_clear()
    try:
        with postgres.running(tmp_path / "data") as cluster:
            pid = int((cluster.folder / "postmaster.pid").read_text().splitlines()[0])
            owner = Path(f"/proc/{pid}").stat().st_uid
            assert asyncio.run(ask(cluster.dsn("postgres"), "select 1")) == 1
            assert cluster.install.bin.is_relative_to(temporary) != readable
        postgres.remove(tmp_path / "data")
        assert not cluster.folder.exists()
    finally:
        postgres.find_install.cache_clear()
    assert owner == pwd.getpwnam("nobody").pw_uid


# ---- Valkey


async def test_valkey_answers(redis_url: str):
    client = redis.connect(redis_url)
    try:
        await client.set("test_engines", b"1")
        assert await client.get("test_engines") == b"1"
        assert (await client.config_get("appendonly"))["appendonly"] == "yes"
        assert (await client.config_get("appendfsync"))["appendfsync"] == "always"
        assert (await client.config_get("save"))["save"] == ""
    finally:
        await client.aclose()


def test_a_killed_valkey_comes_back_with_its_keys(tmp_path: Path):
    """The append-only file is synced at every write; WAITAOF says so, as durable writers ask."""

    async def write(url: str) -> None:
        client = redis.connect(url, timeout=5)
        await client.set("kept", b"7")
        assert await client.waitaof(1, 0, 5000) == [1, 0]
        await client.aclose()

    async def read(url: str) -> object:
        client = redis.connect(url)
        try:
            return await client.get("kept")
        finally:
            await client.aclose()

    server = valkey.new_server(tmp_path / "data")
    first = start(server.command())
    first.wait(server.is_ready, within=10)
    asyncio.run(write(server.url))
    first.kill()
    assert first.process.wait() == -signal.SIGKILL

    second = start(server.command())
    try:
        second.wait(server.is_ready, within=10)
        assert asyncio.run(read(server.url)) == b"7"
    finally:
        assert second.stop() == 0
