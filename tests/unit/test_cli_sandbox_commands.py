"""`banyan status|down` where nothing runs, and what they think of a stale stack.json."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.lockfile import hold, is_held
from runtime.stack import Process, Stack

pytestmark = pytest.mark.unit


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    """A stack.json whose sandbox was killed; its process id belongs to somebody else now: to us."""
    me = os.getpid()
    stack = Stack(
        pid=me, started_at="2025-01-01T00:00:00Z", ready=True, processes=[Process(name="a", pid=me)]
    )
    stack.write(tmp_path / "stack.json")
    (tmp_path / "sandbox.lock").touch()
    return tmp_path


def test_status_of_nothing(tmp_path: Path):
    answer = run("status", "--run", str(tmp_path))
    assert answer.exit_code == 1
    assert "No sandbox runs here" in answer.stderr
    assert json.loads(run("status", "--run", str(tmp_path), "--json").stdout) == {"running": False}


def test_a_stale_file_is_no_sandbox(stale: Path):
    assert run("status", "--run", str(stale)).exit_code == 1


def test_down_never_ends_a_process_that_only_has_the_number(stale: Path):
    """We would be ended here."""
    answer = run("down", "--run", str(stale))

    assert answer.exit_code == 0
    assert "No sandbox runs here" in answer.stderr


def test_status_shows_dead_processes(stale: Path):
    stack = Stack.read(stale / "stack.json")
    gone = Process(name="gone", pid=2**22 + 1, restarts=3)
    stack.model_copy(update={"processes": [*stack.processes, gone]}).write(stale / "stack.json")
    with hold(stale / "sandbox.lock") or pytest.fail("locked"):
        rows = json.loads(run("status", "--run", str(stale), "--json").stdout)["processes"]
        table = run("status", "--run", str(stale)).stdout

    assert [(row["name"], row["alive"], row["restarts"]) for row in rows] == [
        ("a", True, 0),
        ("gone", False, 3),
    ]
    assert "dead" in table


def test_a_sandbox_that_is_only_just_starting_is_left_alone(tmp_path: Path):
    with hold(tmp_path / "sandbox.lock") or pytest.fail("locked"):
        answer = run("down", "--run", str(tmp_path))
    assert answer.exit_code == 3


def test_the_lock_is_held_by_one_and_let_go_with_its_file(tmp_path: Path):
    path = tmp_path / "lock"
    assert not is_held(path)
    with hold(path) or pytest.fail("locked"):
        assert is_held(path)
        assert hold(path) is None
    assert not is_held(path)


@pytest.mark.parametrize("arguments", [["up", "--scale", "3"], ["up", "--nonsense"], ["nonsense"]])
def test_wrong_usage(arguments: list[str]):
    assert run(*arguments).exit_code == 2
