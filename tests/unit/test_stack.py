"""The state of the sandbox on disk."""

import stat
from pathlib import Path

import pytest

from runtime.stack import Process, Stack

pytestmark = pytest.mark.unit


def test_it_comes_back_as_it_was_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "stack.json"
    stack = Stack(
        pid=1, started_at="now", tokens={"patient": "t"}, processes=[Process(name="a", pid=2)]
    )
    stack.write(path)
    assert Stack.read(path) == stack
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_writing_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    Stack(pid=1, started_at="").write(path)
    Stack(pid=2, started_at="").write(path)
    assert Stack.read(path).pid == 2
    assert [found.name for found in tmp_path.iterdir()] == ["stack.json"]


def test_no_sandbox_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Stack.read(tmp_path / "stack.json")
