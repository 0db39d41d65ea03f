"""`banyan up`, `status` and `down`, with engines and data alone; what else runs is the release's own test."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys

import asyncpg
import pytest

from runtime import redis
from runtime.stack import Stack
from sandbox.seed.dataset import generate
from tests.patient import patient
from tests.sandboxes import SMALL, Banyan, is_alive
from tests.until import until

pytestmark = pytest.mark.stack

ALONE = ("--scale", str(SMALL), "--only", "")


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def ping(url: str) -> bool:
    client = patient(url)
    try:
        return bool(await client.ping())
    finally:
        await client.aclose()


def test_up_runs_engines_with_data(running: Banyan):
    stack = running.stack()
    legacy = stack.databases["legacy"]
    patients = len(generate(SMALL).tables["public.submissions"])

    assert stack.ready
    assert {process.name for process in stack.processes} == {
        *("legacy-postgres", "services-postgres", "valkey")
    }
    assert asyncio.run(ask(legacy, "select count(*) from public.submissions")) == patients
    assert (
        asyncio.run(ask(stack.databases["legacy_worker"], "select count(*) from banyan.status"))
        == 12
    )
    assert asyncio.run(ask(stack.databases["services"], "select current_database()")) == "services"
    assert asyncio.run(ask(stack.databases["control"], "select current_database()")) == "control"
    assert asyncio.run(ping(stack.redis))


def test_status_tells_who_lives(running: Banyan):
    status = running.json("status")

    assert (status["running"], status["ready"]) == (True, True)
    assert status["pid"] == running.stack().pid
    assert len(status["processes"]) == 3
    assert all(row["alive"] and row["restarts"] == 0 for row in status["processes"])
    assert running("status").stdout.count("alive") == 3


def test_down_stops_all_and_the_next_world_is_a_new_one(banyan: Banyan):
    up = banyan("up", "--detach", *ALONE)
    assert up.returncode == 0, up.stderr
    assert "operator-approver@sandbox.example" in up.stdout
    assert "✓ prepare legacy" in up.stderr
    first = banyan.stack()
    asyncio.run(ask(first.databases["services"], "create table left_behind ()"))
    (banyan.run / "panic").touch()

    down = banyan("down")
    assert down.returncode == 0, down.stderr
    assert not any(is_alive(process.pid) for process in first.processes)
    assert not is_alive(first.pid)
    assert banyan("status").returncode == 1
    assert banyan("down").returncode == 0

    up = banyan("up", "--detach", *ALONE, "--json")
    second = banyan.stack()
    assert Stack.model_validate_json(up.stdout) == second
    assert "✓" not in up.stderr
    assert first.environment["CURSOR_KEY"] != second.environment["CURSOR_KEY"]
    assert (
        asyncio.run(ask(second.databases["services"], "select to_regclass('left_behind')")) is None
    )
    assert not (banyan.run / "panic").exists()


def test_a_second_sandbox_in_the_same_folder_is_refused(running: Banyan):
    before = running.stack()

    second = running("up", *ALONE)
    assert second.returncode == 3
    assert "already runs here" in second.stderr

    arguments = ["--run", str(running.run), "--only", ""]
    direct = subprocess.run([sys.executable, "-m", "sandbox", *arguments], capture_output=True)
    assert direct.returncode == 3
    assert running.stack() == before
    assert running.json("status")["ready"]


def test_two_sandboxes_live_beside_each_other(running: Banyan, banyan: Banyan):
    assert banyan("up", "--detach", *ALONE).returncode == 0

    assert not set(running.stack().databases.values()) & set(banyan.stack().databases.values())
    assert running.json("status")["ready"]


def test_only_the_owner_reads_tokens_and_secrets(running: Banyan):
    assert stat.S_IMODE((running.run / "stack.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(running.run.stat().st_mode) == 0o700
    secret = running.stack().environment["INTERNAL_TOKEN_KEY"]
    assert len(secret) >= 64
    for log in running.run.glob("*.log"):
        assert secret not in log.read_text(errors="replace")


def test_in_the_foreground_it_repairs_itself_until_ctrl_c(banyan: Banyan):
    process = banyan.foreground(*ALONE)
    first = pids(banyan.stack())
    os.kill(first["valkey"], signal.SIGKILL)
    until(lambda: pids(banyan.stack())["valkey"] != first["valkey"])
    until(lambda: asyncio.run(answers(banyan.stack().redis)))

    stack = banyan.stack()
    assert {child.name: child.restarts for child in stack.processes} == {
        **dict.fromkeys(first, 0),
        "valkey": 1,
    }
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert not any(is_alive(pid) for pid in pids(stack).values())
    assert not (banyan.run / "stack.json").exists()


def pids(stack: Stack) -> dict[str, int]:
    return {process.name: process.pid for process in stack.processes}


async def answers(url: str) -> bool:
    try:
        return await ping(url)
    except redis.RedisError:
        return False


def test_a_signal_during_the_start_leaves_nothing(banyan: Banyan):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sandbox",
            "--run",
            str(banyan.run),
            "--scale",
            "2000",
            "--only",
            "",
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    children: list[int] = []
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "child.ready":
            children.append(event["pid"])
        if event.get("task") == "legacy-postgres":
            break
    process.terminate()
    process.stdout.read()
    process.stdout.close()

    assert process.wait(timeout=30) == 0
    assert children
    assert not any(is_alive(pid) for pid in children)
    assert not (banyan.run / "stack.json").exists()


def test_half_a_legacy_project_is_refused(banyan: Banyan):
    up = banyan("up", *ALONE, LEGACY_DATABASE_URL="postgresql://nobody@127.0.0.1:1/legacy")

    assert up.returncode == 3
    assert "LEGACY_REST_URL belong to one project" in up.stderr


def test_what_does_not_start_is_shown_with_its_log_and_stops_all(banyan: Banyan):
    """The gateway alone cannot: it knows the address of no service."""
    up = banyan("up", "--scale", str(SMALL), "--only", "gateway")

    assert up.returncode == 1
    assert "gateway: gateway ended with " in up.stderr
    assert "is not set, and this process needs it" in up.stderr
    assert "nothing is left running" in up.stderr
    started = [event["pid"] for event in banyan.events() if event["event"] == "child.ready"]
    assert started
    assert not any(is_alive(pid) for pid in started)
    assert not (banyan.run / "stack.json").exists()


def test_an_engine_whose_url_is_set_is_not_started(banyan: Banyan, redis_url: str, empty_dsn: str):
    up = banyan(
        *("up", "--detach", "--only", "", "--scale", "20"),
        REDIS_URL=redis_url,
        SERVICES_DATABASE_URL=empty_dsn,
        CONTROL_DATABASE_URL=empty_dsn,
    )
    assert up.returncode == 0, up.stderr
    stack = banyan.stack()

    assert [process.name for process in stack.processes] == ["legacy-postgres"]
    assert stack.redis == redis_url
    assert stack.databases["services"] == stack.databases["control"] == empty_dsn


def test_everything_elsewhere_starts_nothing(banyan: Banyan, redis_url: str, empty_dsn: str):
    elsewhere = {
        "REDIS_URL": redis_url,
        "SERVICES_DATABASE_URL": empty_dsn,
        "CONTROL_DATABASE_URL": empty_dsn,
        "LEGACY_DATABASE_URL": empty_dsn,
        "LEGACY_REST_URL": "http://127.0.0.1:9",
    }
    up = banyan("up", "--detach", "--only", "legacy", **elsewhere)
    assert up.returncode == 0, up.stderr

    assert banyan.stack().processes == []
    assert banyan.stack().environment["TOKEN_ISSUER"] == "http://127.0.0.1:9/auth/v1"
    assert asyncio.run(ask(empty_dsn, "select to_regclass('public.submissions')")) is None


def test_prepare_and_revert_from_the_command_line(running: Banyan):
    """One test, because the sandbox is shared: it ends prepared, as it began."""
    assert running.json("legacy", "prepare")["missing"] == []
    planned = running.json("legacy", "revert", "--dry-run")
    assert planned["installed"] > 100
    assert running.json("legacy", "prepare", "--dry-run") == planned

    close = "select banyan.set_write_mode('lab_orders', '{}', {}, 't', 't')".format
    asyncio.run(ask(running.stack().databases["legacy"], close("mirror_only", 1)))
    refused = running("legacy", "revert")
    assert refused.returncode == 3
    assert "lab_orders is mirror_only" in refused.stderr
    asyncio.run(ask(running.stack().databases["legacy"], close("read_write", 2)))

    reverted = running.json("legacy", "revert")
    assert (reverted["prepared"], reverted["installed"]) == ([], 0)
    assert len(running.json("legacy", "prepare", "--dry-run")["missing"]) == 12
    assert len(running.json("legacy", "prepare")["prepared"]) == 12
